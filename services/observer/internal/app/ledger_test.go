package app_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon.Add(-time.Second)),
			Labels:          map[string]string{"app": "web", "pod-template-hash": name},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", UID: "rs", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
		}}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func unschedulable(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
}

func gated(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated}}
}

func bound(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeName = node }
}

func asks(cpu string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
}

func replicaSet(replicas int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: "rs"}, Spec: appsv1.ReplicaSetSpec{Replicas: &replicas}}
}

func silent(time.Time, int) string { return "" }

// sum is what the tests compare: pods waiting, pods bound by node, and pods that are yet to come.
type sum struct {
	Pending  int
	Bound    map[string]int
	Arriving int
	Shapes   int
}

func sumUp(c *feed.Contents) sum {
	s := sum{Arriving: c.Arriving, Shapes: len(c.Shapes)}
	for _, p := range c.Pending {
		s.Pending += p.Count
	}
	for name, n := range c.Nodes {
		for _, count := range n.Pods {
			if s.Bound == nil {
				s.Bound = map[string]int{}
			}
			s.Bound[name] += count
		}
	}
	return s
}

func TestPressure(t *testing.T) {
	tests := map[string]struct {
		why  string
		pods []*corev1.Pod
		set  *appsv1.ReplicaSet
		want sum
	}{
		"RefusedPodsWait": {
			pods: []*corev1.Pod{pod("a", unschedulable), pod("b", unschedulable)}, want: sum{Pending: 2, Shapes: 1},
		},
		"IdentityLabelsMakeNoShapes": {
			why:  "each pod would be a shape of its own",
			pods: []*corev1.Pod{pod("a", unschedulable), pod("b", bound("n1"))}, want: sum{Pending: 1, Bound: map[string]int{"n1": 1}, Shapes: 1},
		},
		"UnseenPodsOfARefusedShapeWait": {
			why:  "what the scheduler said of one holds for its like",
			pods: []*corev1.Pod{pod("a", unschedulable), pod("b"), pod("c", asks("2"))}, want: sum{Pending: 2, Arriving: 1, Shapes: 2},
		},
		"GatedPodsDoNotWait": {
			why: "they must not be scheduled yet", pods: []*corev1.Pod{pod("a", gated)}, want: sum{},
		},
		"NominatedPodsWaitForAPreemption": {
			pods: []*corev1.Pod{pod("a", unschedulable, func(p *corev1.Pod) { p.Status.NominatedNodeName = "n1" })}, want: sum{},
		},
		"PodsBeingDeletedDoNotWait": {
			pods: []*corev1.Pod{pod("a", unschedulable, func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(noon)) })}, want: sum{},
		},
		"DaemonPodsWaitForTheirOwnNode": {
			pods: []*corev1.Pod{pod("a", unschedulable, func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" })}, want: sum{},
		},
		"FinishedPodsTakeNoRoom": {
			pods: []*corev1.Pod{pod("a", bound("n1"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })}, want: sum{},
		},
		"PodsBeingDeletedStillTakeRoom": {
			pods: []*corev1.Pod{pod("a", bound("n1"), func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(noon)) })},
			want: sum{Bound: map[string]int{"n1": 1}, Shapes: 1},
		},
		"PodsThatAReplicaSetStillMakesArrive": {
			why:  "one decision shall serve a whole rollout",
			pods: []*corev1.Pod{pod("a", unschedulable), pod("b", unschedulable)}, set: replicaSet(5), want: sum{Pending: 2, Arriving: 3, Shapes: 1},
		},
		"PodThatNoSchedulerTakesUp": {
			why:  "nobody should wait for it for ever",
			pods: []*corev1.Pod{pod("a", func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour)) })}, want: sum{Shapes: 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := app.NewLedger()
			l.SetNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
			for _, p := range tc.pods {
				if err := l.SetPod(p); err != nil {
					t.Fatal(err)
				}
			}
			if tc.set != nil {
				l.SetReplicaSet(tc.set, noon)
			}
			if diff := cmp.Diff(tc.want, sumUp(l.Contents(noon, silent))); diff != "" {
				t.Errorf("pressure (-want +got):\n%s%s", diff, tc.why)
			}
			for _, p := range tc.pods {
				l.DeletePod(p.UID)
			}
			l.DeleteReplicaSet("rs")
			if diff := cmp.Diff(sum{}, sumUp(l.Contents(noon, silent))); diff != "" {
				t.Errorf("after every pod is deleted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodMovesFromWaitingToItsNode(t *testing.T) {
	l := app.NewLedger()
	l.SetNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	for _, p := range []*corev1.Pod{pod("a"), pod("a", unschedulable), pod("a", bound("n1")), pod("a", bound("n1"))} {
		if err := l.SetPod(p); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(sum{Bound: map[string]int{"n1": 1}, Shapes: 1}, sumUp(l.Contents(noon, silent))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStuckRolloutIsNotWaitedFor(t *testing.T) {
	l := app.NewLedger()
	l.SetReplicaSet(replicaSet(5), noon)
	l.SetReplicaSet(replicaSet(5), noon.Add(time.Minute))
	if got := l.Contents(noon.Add(time.Minute), silent).Arriving; got != 0 {
		t.Errorf("%d pods arrive a minute after a quota kept them from being made", got)
	}
	l.SetReplicaSet(replicaSet(0), noon.Add(time.Minute))
	l.SetReplicaSet(replicaSet(2), noon.Add(2*time.Minute))
	if got := l.Contents(noon.Add(2*time.Minute), silent).Arriving; got != 2 {
		t.Errorf("%d pods arrive after a new rollout, want 2", got)
	}
}

func TestLostWatchIsTold(t *testing.T) {
	l := app.NewLedger()
	l.Troubled(errors.New("pods is forbidden"), noon)
	if got := l.Contents(noon.Add(time.Second), silent).Trouble; got != "pods is forbidden" {
		t.Errorf("trouble %q", got)
	}
	if got := l.Contents(noon.Add(5*time.Second), silent).Trouble; got != "" {
		t.Errorf("trouble %q five seconds after a single failure", got)
	}
	for now, wait := noon, time.Second; wait < time.Minute; wait *= 2 {
		now = now.Add(wait)
		if got := l.Contents(now.Add(-time.Millisecond), silent).Trouble; got == "" && wait > 4*time.Second {
			t.Errorf("no trouble %s after the last failure of a watch that keeps failing", wait)
		}
		l.Troubled(errors.New("pods is forbidden"), now)
	}
}

func TestBudgetsArePartOfTheShape(t *testing.T) {
	l := app.NewLedger()
	l.SetNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	p := pod("a", bound("n1"))
	if err := l.SetPod(p); err != nil {
		t.Fatal(err)
	}
	pdb := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1},
	}
	again, err := l.SetBudget(pdb)
	if err != nil || !again {
		t.Fatalf("a new budget asks for the pods again: %v, error %v", again, err)
	}
	if err := l.SetPod(p); err != nil {
		t.Fatal(err)
	}
	c := l.Contents(noon, silent)
	if len(c.Shapes) != 1 {
		t.Fatalf("%d shapes, want one", len(c.Shapes))
	}
	for _, s := range c.Shapes {
		if diff := cmp.Diff([]string{"default/web"}, s.GetBudgets()); diff != "" {
			t.Errorf("budgets (-want +got):\n%s", diff)
		}
	}
	if c.Budgets["default/web"] != 1 {
		t.Errorf("budget allows %d disruptions, want 1", c.Budgets["default/web"])
	}
	if again, err := l.SetBudget(pdb); err != nil || again {
		t.Errorf("an unchanged budget asks for the pods again: %v, error %v", again, err)
	}
}

func TestDaemonSetsShareAShapeWithTheirPods(t *testing.T) {
	l := app.NewLedger()
	l.SetNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	template := pod("d").Spec
	if err := l.SetDaemonSet(&appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent", UID: "ds"},
		Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: template}},
	}); err != nil {
		t.Fatal(err)
	}
	// What the DaemonSet controller makes of the template for one node.
	tolerations := []corev1.Toleration{
		{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	}
	for i := range 3 {
		if err := l.SetPod(pod(fmt.Sprintf("d%d", i), bound("n1"), func(p *corev1.Pod) {
			p.OwnerReferences[0].Kind, p.Spec.Tolerations = "DaemonSet", tolerations
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
					{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprintf("n%d", i)}},
				}}},
			}}}
		})); err != nil {
			t.Fatal(err)
		}
	}
	if c := l.Contents(noon, silent); len(c.Shapes) != 1 {
		t.Errorf("%d shapes, want one for the DaemonSet and all of its pods", len(c.Shapes))
	}
}

func TestStoryOfAShapeIsTracedOnce(t *testing.T) {
	l := app.NewLedger()
	stories := 0
	trace := func(time.Time, int) string { stories++; return fmt.Sprintf("story-%d", stories) }
	if err := l.SetPod(pod("a", unschedulable)); err != nil {
		t.Fatal(err)
	}
	l.Contents(noon, trace)
	if err := l.SetPod(pod("b", unschedulable)); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Contents(noon, trace).Pending {
		if p.Traceparent != "story-1" || p.Count != 2 {
			t.Errorf("pending %+v, want two pods in the first story", p)
		}
	}
	l.DeletePod("a")
	l.DeletePod("b")
	l.Contents(noon, trace)
	if err := l.SetPod(pod("c", unschedulable)); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Contents(noon, trace).Pending {
		if p.Traceparent != "story-2" {
			t.Errorf("pending %+v, want a story of its own", p)
		}
	}
}

package app_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
		"NominatedPodsTakeTheirRoom": {
			why:  "a preemption is making room for it, which is nobody else's",
			pods: []*corev1.Pod{pod("a", unschedulable, nominated("n1"))}, want: sum{Bound: map[string]int{"n1": 1}, Shapes: 1},
		},
		"PodsNominatedForANodeThatIsGoneWait": {
			pods: []*corev1.Pod{pod("a", unschedulable, nominated("gone"))}, want: sum{Pending: 1, Shapes: 1},
		},
		"NominatedPodsBeingDeletedDoNotWait": {
			pods: []*corev1.Pod{pod("a", unschedulable, nominated("n1"), func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(noon)) })},
			want: sum{},
		},
		"PodsBeingDeletedDoNotWait": {
			pods: []*corev1.Pod{pod("a", unschedulable, func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(noon)) })}, want: sum{},
		},
		"DaemonPodsWaitForTheirOwnNode": {
			pods: []*corev1.Pod{pod("a", unschedulable, func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" })}, want: sum{},
		},
		"PodsCalledADaemonSetsWaitForTheirOwnNode": {
			pods: []*corev1.Pod{
				pod("a", unschedulable, annotated("cluster-autoscaler.kubernetes.io/daemonset-pod", "true")),
				pod("b", unschedulable, labelled("cluster-autoscaler.kubernetes.io/daemonset-pod", "true")),
				pod("c", unschedulable, annotated("cluster-autoscaler.kubernetes.io/daemonset-pod", "false")),
			},
			want: sum{Pending: 1, Shapes: 1},
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
			l := ledgerOf(t, tc.pods...)
			if tc.set != nil {
				must(t, l.SetReplicaSet(tc.set, noon))
			}
			if diff := cmp.Diff(tc.want, sumUp(l.Contents(noon, silent))); diff != "" {
				t.Errorf("pressure (-want +got):\n%s%s", diff, tc.why)
			}
			for _, p := range tc.pods {
				must(t, l.DeletePod(p.UID))
			}
			must(t, l.DeleteReplicaSet("rs"))
			if diff := cmp.Diff(sum{}, sumUp(l.Contents(noon, silent))); diff != "" {
				t.Errorf("after every pod is deleted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodMovesFromWaitingToItsNode(t *testing.T) {
	l := ledgerOf(t, pod("a"), pod("a", unschedulable), pod("a", unschedulable, nominated("n1")), pod("a", bound("n1")), pod("a", bound("n1")))
	if diff := cmp.Diff(sum{Bound: map[string]int{"n1": 1}, Shapes: 1}, sumUp(l.Contents(noon, silent))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStuckRolloutIsNotWaitedFor(t *testing.T) {
	l := newLedger()
	must(t, l.SetReplicaSet(replicaSet(5), noon))
	must(t, l.SetReplicaSet(replicaSet(5), noon.Add(time.Minute)))
	if got := l.Contents(noon.Add(time.Minute), silent).Arriving; got != 0 {
		t.Errorf("%d pods arrive a minute after a quota kept them from being made", got)
	}
	must(t, l.SetReplicaSet(replicaSet(0), noon.Add(time.Minute)))
	must(t, l.SetReplicaSet(replicaSet(2), noon.Add(2*time.Minute)))
	if got := l.Contents(noon.Add(2*time.Minute), silent).Arriving; got != 2 {
		t.Errorf("%d pods arrive after a new rollout, want 2", got)
	}
}

func TestLostWatchIsTold(t *testing.T) {
	l := newLedger()
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

func TestDaemonSetsShareAShapeWithTheirPods(t *testing.T) {
	l := ledgerOf(t)
	must(t, l.SetDaemonSet(daemonSet("agent")))
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
		must(t, l.SetPod(pod(fmt.Sprintf("d%d", i), bound("n1"), func(p *corev1.Pod) {
			p.OwnerReferences[0].Kind, p.Spec.Tolerations = "DaemonSet", tolerations
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
					{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprintf("n%d", i)}},
				}}},
			}}}
		})))
	}
	if c := l.Contents(noon, silent); len(c.Shapes) != 1 {
		t.Errorf("%d shapes, want one for the DaemonSet and all of its pods", len(c.Shapes))
	}
}

func TestStoryOfAShapeIsTracedOnce(t *testing.T) {
	l := newLedger()
	stories := 0
	trace := func(time.Time, int) string { stories++; return fmt.Sprintf("story-%d", stories) }
	must(t, l.SetPod(pod("a", unschedulable)))
	l.Contents(noon, trace)
	must(t, l.SetPod(pod("b", unschedulable)))
	for _, p := range l.Contents(noon, trace).Pending {
		if p.Traceparent != "story-1" || p.Count != 2 {
			t.Errorf("pending %+v, want two pods in the first story", p)
		}
	}
	must(t, l.DeletePod("a"))
	must(t, l.DeletePod("b"))
	l.Contents(noon, trace)
	must(t, l.SetPod(pod("c", unschedulable)))
	for _, p := range l.Contents(noon, trace).Pending {
		if p.Traceparent != "story-2" {
			t.Errorf("pending %+v, want a story of its own", p)
		}
	}
}

package app_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
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

func nominated(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.NominatedNodeName = node }
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		if p.Annotations == nil {
			p.Annotations = map[string]string{}
		}
		p.Annotations[key] = value
	}
}

func labelled(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels[key] = value }
}

// avoids gives a pod a required anti-affinity to pods with a label.
func avoids(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term(key, value)},
		}}
	}
}

func term(key, value string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}}
}

func node(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }

func newLedger() *app.Ledger { return app.NewLedger(app.Config{DefaultSpread: true}) }

// ledgerOf is a ledger of a node n1 and some pods.
func ledgerOf(t testing.TB, pods ...*corev1.Pod) *app.Ledger {
	t.Helper()
	l := newLedger()
	must(t, l.SetNode(node("n1")))
	for _, p := range pods {
		must(t, l.SetPod(p))
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shapes are the shapes of the feed by the requests that tell them apart, in millicores.
func shapes(t testing.TB, l *app.Ledger) map[int64]*feedv1.Shape {
	t.Helper()
	out := map[int64]*feedv1.Shape{}
	for _, s := range l.Contents(noon, silent).Shapes {
		cpu := s.GetRequests()[string(corev1.ResourceCPU)]
		if out[cpu] != nil {
			t.Fatalf("two shapes request %dm: %v and %v", cpu, out[cpu], s)
		}
		out[cpu] = s
	}
	return out
}

func silent(time.Time, int) string { return "" }

// sum is what the tests compare: pods waiting, pods bound by node, and pods that the scheduler has not looked at or that are yet to come.
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
		s.Arriving += p.Arriving
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

func daemonSet(name string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("ds-" + name)},
		Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: pod("d").Spec}},
	}
}

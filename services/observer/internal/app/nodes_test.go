package app_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

func csiNode(limit int32) *storagev1.CSINode {
	return &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
		{Name: driver, Allocatable: &storagev1.VolumeNodeResources{Count: &limit}},
		{Name: "csi.unlimited", Allocatable: &storagev1.VolumeNodeResources{}},
		{Name: "csi.silent"},
	}}}
}

func TestNodeIsCopied(t *testing.T) {
	taints := []corev1.Taint{
		{Key: "startup-taint.cluster-autoscaler.kubernetes.io/cni", Effect: corev1.TaintEffectNoSchedule},
		{Key: "ignore-taint.cluster-autoscaler.kubernetes.io/x", Effect: corev1.TaintEffectNoSchedule},
		{Key: "status-taint.cluster-autoscaler.kubernetes.io/y", Effect: corev1.TaintEffectNoExecute},
	}
	n := node("n1")
	n.Labels, n.Spec.Taints, n.Spec.Unschedulable = map[string]string{"zone": "a"}, taints, true
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	want := &scheduling.Node{
		Name: "n1", Labels: n.Labels, Taints: taints, Unschedulable: true, Ready: true,
		Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000}, AttachLimits: map[string]int64{driver: 15},
	}
	for order, steps := range map[string][2]func(l *app.Ledger){
		"limits first": {func(l *app.Ledger) { l.SetCSINode(csiNode(15)) }, func(l *app.Ledger) { must(t, l.SetNode(n)) }},
		"node first":   {func(l *app.Ledger) { must(t, l.SetNode(n)) }, func(l *app.Ledger) { l.SetCSINode(csiNode(15)) }},
	} {
		l := newLedger()
		steps[0](l)
		l.Contents(noon, silent)
		steps[1](l)
		if diff := cmp.Diff(want, l.Contents(noon, silent).Nodes["n1"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", order, diff)
		}
		l.SetCSINode(csiNode(3))
		if got := l.Contents(noon, silent).Nodes["n1"].AttachLimits[driver]; got != 3 {
			t.Errorf("%s: the limit is %d, want 3", order, got)
		}
		l.DeleteCSINode("n1")
		if got := l.Contents(noon, silent).Nodes["n1"].AttachLimits; len(got) != 0 {
			t.Errorf("%s: limits %v after they are gone", order, got)
		}
		must(t, l.DeleteNode("n1"))
		if got := l.Contents(noon, silent).Nodes; len(got) != 0 {
			t.Errorf("%s: nodes %v after it is gone", order, got)
		}
	}
}

func TestNodeThatDoesNotChangeIsTheSame(t *testing.T) {
	l := ledgerOf(t, pod("a", bound("n1")))
	must(t, l.SetNode(node("n2")))
	before := l.Contents(noon, silent).Nodes
	must(t, l.SetPod(pod("b", bound("n1"))))
	after := l.Contents(noon, silent).Nodes
	if after["n2"] != before["n2"] {
		t.Error("a node that has not changed is another one")
	}
	if after["n1"] == before["n1"] || total(before["n1"]) != 1 || total(after["n1"]) != 2 {
		t.Errorf("what was handed out with one pod has %d, and then %d", total(before["n1"]), total(after["n1"]))
	}
}

func total(n *scheduling.Node) int {
	sum := 0
	for _, count := range n.Pods {
		sum += count
	}
	return sum
}

func TestHeartbeatsAreNoChange(t *testing.T) {
	l := ledgerOf(t, pod("a", bound("n1")))
	beat := func(i int) *corev1.Node {
		n := node("n1")
		n.ResourceVersion = string(rune('a' + i))
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(noon.Add(time.Duration(i) * time.Minute))}}
		return n
	}
	must(t, l.SetNode(beat(0)))
	<-l.Dirty()
	must(t, l.SetNode(beat(1)))
	must(t, l.SetPod(pod("a", bound("n1"), func(p *corev1.Pod) { p.ResourceVersion = "b" })))
	l.SetCSINode(&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	select {
	case <-l.Dirty():
		t.Error("the feed is written though nothing has changed")
	default:
	}
	must(t, l.SetNode(node("n1")))
	select {
	case <-l.Dirty():
	default:
		t.Error("the feed is not written though the node is not ready any longer")
	}
}

func TestNominatedPodsWaitWhenTheirNodeGoes(t *testing.T) {
	l := ledgerOf(t, pod("a", unschedulable, nominated("n1")))
	onNode := sum{Bound: map[string]int{"n1": 1}, Shapes: 1}
	if diff := cmp.Diff(onNode, sumUp(l.Contents(noon, silent))); diff != "" {
		t.Errorf("with its node (-want +got):\n%s", diff)
	}
	must(t, l.DeleteNode("n1"))
	if diff := cmp.Diff(sum{Pending: 1, Shapes: 1}, sumUp(l.Contents(noon, silent))); diff != "" {
		t.Errorf("without its node (-want +got):\n%s", diff)
	}
	must(t, l.SetNode(node("n1")))
	if diff := cmp.Diff(onNode, sumUp(l.Contents(noon, silent))); diff != "" {
		t.Errorf("with its node again (-want +got):\n%s", diff)
	}
}

func TestNamespacesAreCopied(t *testing.T) {
	l := newLedger()
	l.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"team": "x"}}})
	l.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "b"}})
	l.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"team": "y"}}})
	if diff := cmp.Diff(map[string]map[string]string{"a": {"team": "y"}, "b": nil}, l.Contents(noon, silent).Namespaces); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.DeleteNamespace("a")
	if got := l.Contents(noon, silent).Namespaces; len(got) != 1 {
		t.Errorf("after its deletion: %v", got)
	}
}

package app_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func nominations(value string) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) {
		n.Annotations = map[string]string{v1beta1.AnnotationNominations: value}
	}
}

func isClosed(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == v1beta1.TaintOpening && t.Effect == corev1.TaintEffectNoSchedule
	})
}

func TestNodeOpensOnceItsPodsAreNominated(t *testing.T) {
	f := newFixture(t, group(), intent("a", joining("m1", "host-1"), nominations(v1beta1.NominationsPending)), node("host-1", "", notReady))
	f.step("a", 0)
	if !isClosed(f.node("host-1")) {
		t.Fatal("the Node is open before it is Ready, though its pods are not nominated yet")
	}
	n := f.node("host-1")
	n.Status.Conditions[0].Status = corev1.ConditionTrue
	if err := f.kube.Status().Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	f.step("a", time.Second)
	if !isClosed(f.node("host-1")) || f.machine("a").Status.Phase != v1beta1.PhaseReady {
		t.Fatalf("phase %s, closed %v; want a Ready machine that is still closed", f.machine("a").Status.Phase, isClosed(f.node("host-1")))
	}
	m := f.machine("a")
	m.Annotations[v1beta1.AnnotationNominations] = v1beta1.NominationsDone
	if err := f.kube.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	f.step("a", time.Second)
	if isClosed(f.node("host-1")) {
		t.Error("the Node stays closed though its pods are nominated")
	}
}

// TestNodeThatIsNotReadyOpensToo: the network's agent, without which it never is, may be kept off like any other pod.
func TestNodeThatIsNotReadyOpensToo(t *testing.T) {
	for why, annotation := range map[string]string{"its pods are nominated": v1beta1.NominationsDone, "the planner is dead": v1beta1.NominationsPending} {
		f := newFixture(t, group(), intent("a", joining("m1", "host-1"), nominations(v1beta1.NominationsPending)), node("host-1", "", notReady))
		f.step("a", 0)
		m := f.machine("a")
		m.Annotations[v1beta1.AnnotationNominations] = annotation
		if err := f.kube.Update(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		f.step("a", 11*time.Second)
		if isClosed(f.node("host-1")) {
			t.Errorf("the Node stays closed until it is Ready, though %s", why)
		}
	}
}

// TestNodeOpensWithoutThePlanner: a dead planner must not keep a machine from work.
func TestNodeOpensWithoutThePlanner(t *testing.T) {
	f := newFixture(t, group(), intent("a", joining("m1", "host-1"), nominations(v1beta1.NominationsPending)), node("host-1", ""))
	f.step("a", 0)
	if !isClosed(f.node("host-1")) {
		t.Fatal("the Node is open before its pods are nominated")
	}
	f.step("a", 11*time.Second)
	if isClosed(f.node("host-1")) {
		t.Error("the Node is closed eleven seconds after it was Ready")
	}
}

func TestNodeWithoutNominationsIsNeverClosed(t *testing.T) {
	for _, value := range []string{"", v1beta1.NominationsDone} {
		f := newFixture(t, group(), intent("a", joining("m1", "host-1"), nominations(value)), node("host-1", ""))
		f.step("a", time.Second)
		if isClosed(f.node("host-1")) {
			t.Errorf("nominations are %q, and the Node is closed", value)
		}
	}
}

// TestNodeThatRegistersAgainIsNotClosed: its pods were placed long ago.
func TestNodeThatRegistersAgainIsNotClosed(t *testing.T) {
	f := newFixture(t, group(), intent("a", launched("m1", "host-1"), nominations(v1beta1.NominationsPending)), node("host-1", ""))
	f.step("a", time.Minute)
	if isClosed(f.node("host-1")) {
		t.Error("the Node of a machine in use is closed")
	}
}

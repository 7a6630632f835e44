package app_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

func pause() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: brake.ConfigMapName},
		Data:       map[string]string{brake.KeyReason: "bad image"},
	}
}

func (f *fixture) create(o client.Object) {
	f.t.Helper()
	if err := f.kube.Create(f.t.Context(), o); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) remove(o client.Object) {
	f.t.Helper()
	if err := f.kube.Delete(f.t.Context(), o); err != nil {
		f.t.Fatal(err)
	}
}

func TestPauseLaunchesNothing(t *testing.T) {
	f := newFixture(t, group(), intent("a"), pause())
	f.pass(time.Second)
	n := f.machine("a")
	if c := condition(n, v1beta1.ConditionLaunched); f.cloud.asked > 0 || c.Reason != "HoldPaused" || !strings.Contains(c.Message, "bad image") {
		t.Errorf("asked %d times, condition %+v; want the intent to wait and say why", f.cloud.asked, c)
	}
	before := n.ResourceVersion
	f.pass(time.Minute)
	if f.machine("a").ResourceVersion != before {
		t.Error("a standing pause was written again")
	}
	f.remove(pause())
	f.pass(2 * time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("asked %d times after the pause, want once", f.cloud.asked)
	}
}

func TestIntentExpiresDuringAPause(t *testing.T) {
	f := newFixture(t, group(), intent("a"), pause())
	f.pass(16 * time.Minute)
	f.remove(pause())
	f.pass(time.Minute)
	if n := f.machine("a"); f.cloud.asked > 0 || n.Status.Phase != v1beta1.PhaseFailed {
		t.Errorf("asked %d times, phase %s; want an intent of long ago to expire", f.cloud.asked, n.Status.Phase)
	}
}

// TestPauseStopsABatch pauses while a batch waits for the rate limit.
func TestPauseStopsABatch(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b"), intent("c"))
	calls := 0
	f.cloud.waits = func() {
		if calls++; calls == 2 {
			f.create(pause())
			f.clock.Step(time.Second)
		}
	}
	f.pass(time.Second)
	outcomes := map[v1beta1.LaunchOutcome]int{}
	for _, name := range []string{"a", "b", "c"} {
		for _, a := range f.machine(name).Status.Launches {
			outcomes[a.Outcome]++
		}
	}
	if f.cloud.asked != 1 || outcomes[v1beta1.LaunchAccepted] != 1 || outcomes[v1beta1.LaunchUnknown]+outcomes[v1beta1.LaunchRequested] > 0 {
		t.Errorf("asked %d times, outcomes %v; want one, and the rest on record as not made", f.cloud.asked, outcomes)
	}
}

func TestUnreadableSwitchStopsLaunchesAndDeletions(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b", launched("m1", "host-1"), retired), node("host-1", "m1"))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.getting = func(key client.ObjectKey, _ client.Object) error {
		if key.Name == brake.ConfigMapName {
			return apierrors.NewForbidden(corev1.Resource("configmaps"), key.Name, errors.New("no right"))
		}
		return nil
	}
	for range 5 {
		f.pass(time.Minute)
		f.step("b", time.Second)
	}
	for name, kind := range map[string]string{"a": v1beta1.ConditionLaunched, "b": v1beta1.ConditionDrained} {
		if c := condition(f.machine(name), kind); c.Reason != reason.HoldPauseUnreadable.Condition() || !strings.Contains(c.Message, "Forbidden") {
			t.Errorf("condition %+v of %s, want it to say that the switch cannot be read", c, name)
		}
	}
	f.tell()
	f.wantDecision(reason.HoldPauseUnreadable)
	if f.cloud.asked > 0 || len(f.cloud.deleted) > 0 || f.node("host-1").Spec.Unschedulable {
		t.Errorf("asked %d, deleted %v, node %+v; nobody knows whether a pause is on", f.cloud.asked, f.cloud.deleted, f.node("host-1").Spec)
	}
}

func TestPauseHoldsADrainWhereItIs(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.step("a", time.Second)
	f.create(pause())
	f.step("a", 6*time.Second)
	f.step("a", time.Hour)
	n := f.machine("a")
	if c := condition(n, v1beta1.ConditionDrained); c.Reason != "HoldPaused" || n.Spec.Retirement == nil || n.Status.Phase != v1beta1.PhaseDraining {
		t.Errorf("condition %+v, machine %+v; want the drain to stand still", c, n.Status)
	}
	if host := f.node("host-1"); !host.Spec.Unschedulable || !f.exists(pod("p", "host-1")) {
		t.Errorf("node %+v, pod there: %v; want neither an uncordon nor an eviction", host.Spec, f.exists(pod("p", "host-1")))
	}
	f.remove(pause())
	blocked := true
	f.evict = func(p *corev1.Pod) error {
		if blocked {
			return apierrors.NewTooManyRequests("budget", 0)
		}
		return f.kube.Delete(t.Context(), p)
	}
	f.step("a", 2*time.Second)
	if n := f.machine("a"); n.Spec.Retirement == nil || n.Status.DrainHeldAt != nil {
		t.Fatalf("machine %+v; the hour of the pause counted for the drain timeout of a minute", n.Status)
	}
	blocked = false
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v after the pause, want m1", f.cloud.deleted)
	}
}

func TestPauseIsLookedAtAfreshBeforeEachEviction(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p1", "host-1"), pod("p2", "host-1"), intent("a", launched("m1", "host-1"), retired))
	evicted := 0
	f.evict = func(p *corev1.Pod) error {
		evicted++
		f.create(pause())
		f.clock.Step(time.Second)
		return f.kube.Delete(t.Context(), p)
	}
	f.step("a", time.Second)
	f.step("a", 6*time.Second)
	if evicted != 1 {
		t.Errorf("%d pods were evicted, want none after the pause", evicted)
	}
}

func TestPauseHoldsADeletion(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	for range 3 {
		f.step("a", 6*time.Second)
	}
	f.create(pause())
	for range 5 {
		f.pass(time.Minute)
	}
	if c := condition(f.machine("a"), v1beta1.ConditionDeleted); len(f.cloud.deleted) > 0 || c.Reason != "HoldPaused" {
		t.Errorf("deleted %v, condition %+v", f.cloud.deleted, c)
	}
	f.remove(pause())
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(node("host-1", "")) {
		t.Errorf("deleted %v after the pause, want m1 and its Node", f.cloud.deleted)
	}
}

func TestPausedDrainThatIsWithdrawnIsAbortedLater(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired))
	f.step("a", time.Second)
	f.create(pause())
	n := f.machine("a")
	n.Spec.Retirement = nil
	if err := f.kube.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	f.step("a", 2*time.Second)
	if !f.node("host-1").Spec.Unschedulable {
		t.Error("the Node was uncordoned during the pause")
	}
	if c := condition(f.machine("a"), v1beta1.ConditionDrained); c.Reason != reason.HoldPaused.Condition() {
		t.Errorf("condition %+v, want it to say that the Node stays cordoned because of the pause", c)
	}
	f.wantDecision(reason.HoldPaused)
	f.remove(pause())
	f.step("a", 2*time.Second)
	if n := f.machine("a"); f.node("host-1").Spec.Unschedulable || n.Status.Phase != v1beta1.PhaseReady || n.Status.DrainHeldAt != nil {
		t.Errorf("after the pause the node is %+v and the machine %+v", f.node("host-1").Spec, n.Status)
	}
}

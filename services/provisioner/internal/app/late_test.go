package app_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// askedTwice has an intent whose first request was unclear and given up, and whose second one was answered by machine m1.
func askedTwice(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, group(), intent("a"))
	f.cloud.hide = true
	f.cloud.add = &app.CloudError{Failure: app.OutcomeUnknown, Message: "timeout"}
	f.pass(time.Second)
	f.cloud.add = nil
	f.pass(settle + time.Second)
	f.pass(10 * time.Second)
	f.cloud.arrive()
	f.pass(10 * time.Second)
	if n := f.machine("a"); f.cloud.asked != 2 || n.Status.Identifier != "m1" {
		t.Fatalf("asked %d times, %+v", f.cloud.asked, n.Status)
	}
	return f
}

// TestLateMachineOfARequestThatWasMadeAgain lets the machine of an unclear request come half an hour late, when
// another has been launched in its place.
func TestLateMachineOfARequestThatWasMadeAgain(t *testing.T) {
	f := askedTwice(t)
	f.clock.Step(20 * time.Minute)
	f.cloud.arrive()
	f.survey(10 * time.Second)
	f.pass(10 * time.Second)
	n := f.machine("a-1")
	if n.Status.Identifier != "m2" || n.Status.Phase != v1beta1.PhaseJoining || n.Spec.Origin != v1beta1.OriginLateAnswer || n.Spec.Reason != string(reason.AdoptLateAnswer) || n.Spec.NodeGroup != "g" {
		t.Errorf("object %+v, want one of its own for the machine that came late", n)
	}
	remnant := node("host-2", "", createdAt(noon.Add(-time.Minute)))
	f.create(remnant)
	f.step("a-1", time.Second)
	f.wantDecision(reason.HoldNodeNotOurs)
	if c := condition(f.machine("a-1"), v1beta1.ConditionRegistered); c.Reason != reason.HoldNodeNotOurs.Condition() {
		t.Errorf("condition %+v, want a Node that is older than the intent left alone", c)
	}
	f.remove(remnant)
	f.create(node("host-2", "", createdAt(noon.Add(5*time.Minute))))
	f.step("a-1", time.Second)
	if n := f.machine("a-1"); n.Status.Phase != v1beta1.PhaseReady {
		t.Errorf("machine %+v; its Node registered before it was listed, want it Ready all the same", n.Status)
	}
	f.cloud.arrive()
	f.survey(time.Minute)
	f.survey(time.Minute)
	if n := len(f.objects()); n != 2 {
		t.Errorf("%d objects, want one answer to a request", n)
	}
}

// TestLateMachineThatIsOlderThanItsIntent has one come late that VPSie made beside that of an earlier request.
func TestLateMachineThatIsOlderThanItsIntent(t *testing.T) {
	first := intent("x", launched("m1", "host-1"))
	later := intent("a", launched("m3", "host-3"), func(n *v1beta1.VPSieNode) {
		n.CreationTimestamp = metav1.NewTime(noon.Add(5 * time.Minute))
		n.Status.Launches = []v1beta1.LaunchAttempt{
			{Number: 1, RequestedAt: metav1.NewTime(noon.Add(5 * time.Minute)), Outcome: v1beta1.LaunchUnconfirmed},
			{Number: 2, RequestedAt: metav1.NewTime(noon.Add(17 * time.Minute)), Outcome: v1beta1.LaunchAccepted},
		}
	})
	f := newFixture(t, group(), first, later, node("host-1", "m1"), node("host-3", "m3"), node("host-2", "", createdAt(noon.Add(4*time.Minute))))
	f.clock.Step(20 * time.Minute)
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}, {Identifier: "m3", Hostname: "host-3", Size: small}, {Identifier: "m2", Hostname: "host-2", Size: small}}
	f.survey(time.Second)
	f.pass(10 * time.Second)
	f.step("a-1", time.Second)
	if n := f.machine("a-1"); n.Status.Identifier != "m2" || n.Status.Phase != v1beta1.PhaseReady {
		t.Errorf("machine %+v, want m2, Ready", n.Status)
	}
}

// TestLateMachineOfARetiredOne lets it come when the machine that was launched in its place is gone already.
func TestLateMachineOfARetiredOne(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired, func(n *v1beta1.VPSieNode) {
		n.Status.Launches = []v1beta1.LaunchAttempt{
			{Number: 1, RequestedAt: metav1.NewTime(noon), Outcome: v1beta1.LaunchUnconfirmed},
			{Number: 2, RequestedAt: metav1.NewTime(noon.Add(10 * time.Minute)), Outcome: v1beta1.LaunchAccepted},
		}
	}))
	f.cloud.machines = one("host-1")
	f.life("a")
	if len(f.cloud.deleted) != 1 || len(f.cloud.machines) > 0 || !f.exists(intent("a")) {
		t.Fatalf("deleted %v, object there: %v", f.cloud.deleted, f.exists(intent("a")))
	}
	f.cloud.machines = []launch.Listed{{Identifier: "m2", Hostname: "host-2", Size: small}}
	f.survey(time.Minute)
	if n := f.machine("a"); n.Status.Identifier != "m2" || n.Status.Phase != v1beta1.PhaseJoining || n.Status.ReadyAt != nil {
		t.Errorf("machine %+v, want the late one to go its normal way", n.Status)
	}
	f.step("a", 30*time.Minute)
	if r := f.machine("a").Spec.Retirement; r == nil || r.Reason != string(reason.LaunchDeadline) {
		t.Errorf("retirement %+v of a late machine whose Node never came", r)
	}
}

// TestLateMachineThatNeverJoinsIsGone has the object that was made for a late machine go with it.
func TestLateMachineThatNeverJoinsIsGone(t *testing.T) {
	f := newFixture(t, group(), intent("a-1", func(n *v1beta1.VPSieNode) {
		n.Spec.Origin = v1beta1.OriginLateAnswer
		n.Status = v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseJoining, Identifier: "m2", Hostname: "host-2", LaunchedAt: new(metav1.NewTime(noon))}
	}))
	f.cloud.machines = []launch.Listed{{Identifier: "m2", Hostname: "host-2", Size: small}}
	f.step("a-1", 16*time.Minute)
	f.life("a-1")
	if !slices.Equal(f.cloud.deleted, []string{"m2"}) || f.exists(intent("a-1")) {
		t.Errorf("deleted %v, object there: %v; want both gone", f.cloud.deleted, f.exists(intent("a-1")))
	}
}

// TestFailedIntentIsAnsweredLate has a machine come an hour after its request, when the intent has failed.
func TestFailedIntentIsAnsweredLate(t *testing.T) {
	for name, outcome := range map[string]v1beta1.LaunchOutcome{"Accepted": v1beta1.LaunchAccepted, "Unclear": v1beta1.LaunchUnknown} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.Enabled = new(false) }), intent("a", attempt(outcome)))
			for range 60 {
				f.pass(time.Minute)
				f.step("a", time.Millisecond)
			}
			if n := f.machine("a"); n.Status.Phase == v1beta1.PhaseLaunching {
				t.Fatalf("phase %s after an hour", n.Status.Phase)
			}
			f.cloud.arrive()
			f.survey(time.Second)
			f.create(node("host-1", "", createdAt(noon.Add(50*time.Minute))))
			f.step("a", 10*time.Minute)
			n := f.machine("a")
			if n.Status.Identifier != "m1" || n.Status.Phase != v1beta1.PhaseReady || n.Spec.Retirement != nil {
				t.Errorf("machine %+v, want it to go its normal way", n.Status)
			}
		})
	}
}

func TestDeletedIntentWaitsForItsAnswer(t *testing.T) {
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.Enabled = new(false) }), intent("a", attempt(v1beta1.LaunchUnknown)))
	f.pass(settle + time.Second)
	f.pass(time.Second)
	f.remove(f.machine("a"))
	f.step("a", 40*time.Minute)
	if !f.exists(intent("a")) {
		t.Fatal("the object of a request that may be answered is gone")
	}
	f.cloud.arrive()
	f.survey(time.Second)
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(intent("a")) {
		t.Errorf("deleted %v, object there: %v; want the late machine deleted", f.cloud.deleted, f.exists(intent("a")))
	}
}

func TestDeletedIntentDoesNotWaitForEver(t *testing.T) {
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.Enabled = new(false) }), intent("a", attempt(v1beta1.LaunchUnknown)))
	f.pass(settle + time.Second)
	f.remove(f.machine("a"))
	f.step("a", 80*time.Minute)
	if f.exists(intent("a")) {
		t.Error("the finalizer stays for ever")
	}
}

// TestNodeThatJoinsAfterItsMachineWasGivenUp has pods land on a machine that is about to be deleted.
func TestNodeThatJoinsAfterItsMachineWasGivenUp(t *testing.T) {
	f := newFixture(t, group(), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.step("a", time.Second)
	if f.machine("a").Status.DeleteRequestedAt == nil {
		t.Fatal("a machine without a Node is not given up")
	}
	f.create(node("host-1", "m1"))
	f.create(pod("p", "host-1"))
	f.pass(time.Second)
	if len(f.cloud.deleted) > 0 {
		t.Fatal("the machine was deleted with a pod on it")
	}
	f.step("a", time.Second)
	if n := f.node("host-1"); !n.Spec.Unschedulable {
		t.Error("the Node takes further pods")
	}
	f.life("a")
	if f.exists(pod("p", "host-1")) || !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, pod there: %v; want the pod moved and the machine deleted", f.cloud.deleted, f.exists(pod("p", "host-1")))
	}
}

// lateAndDeleted is an object that was made for a machine which came late, and which a person deletes before its status names that.
func lateAndDeleted(t *testing.T) *fixture {
	f := newFixture(t, group(), intent("a-1", func(n *v1beta1.VPSieNode) {
		n.Spec.Origin, n.Annotations = v1beta1.OriginLateAnswer, map[string]string{v1beta1.AnnotationAdopts: "m2"}
	}))
	f.remove(f.machine("a-1"))
	f.step("a-1", time.Second)
	f.pass(time.Second)
	if !f.exists(intent("a-1")) {
		t.Fatal("the object is gone, and nothing else knows of its machine")
	}
	f.wantDecision(reason.HoldLaunchOutcome)
	return f
}

func TestLateMachineWhoseObjectIsDeletedIsTerminated(t *testing.T) {
	f := lateAndDeleted(t)
	f.cloud.machines = []launch.Listed{{Identifier: "m2", Hostname: "host-2", Size: small}}
	f.pass(time.Second)
	f.life("a-1")
	if !slices.Equal(f.cloud.deleted, []string{"m2"}) || f.exists(intent("a-1")) {
		t.Errorf("deleted %v, object there: %v; want the late machine deleted", f.cloud.deleted, f.exists(intent("a-1")))
	}
}

func TestLateMachineThatIsNotListedAgainKeepsNoObject(t *testing.T) {
	f := lateAndDeleted(t)
	f.pass(16 * time.Minute)
	f.step("a-1", time.Second)
	if f.exists(intent("a-1")) {
		t.Error("the finalizer stays for ever")
	}
	f.wantDecision(reason.AdoptAbandoned)
}

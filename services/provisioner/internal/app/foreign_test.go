package app_test

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// TestWorkerOfAPersonIsNoAnswer has listings lack a person's worker while a machine of its size is requested: claimed as the
// answer, it would be drained and deleted one day.
func TestWorkerOfAPersonIsNoAnswer(t *testing.T) {
	for name, ready := range map[string]func(*corev1.Node){"Works": func(*corev1.Node) {}, "DoesNotWork": notReady} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), node("person-1", "", createdAt(noon.Add(-time.Hour)), ready), intent("a"))
			f.cloud.machines = []launch.Listed{{Identifier: "w1", Hostname: "Person-1", Size: small}}
			f.cloud.blank, f.cloud.hide = true, true
			f.pass(time.Second)
			f.pass(time.Second)
			f.cloud.blank = false
			f.pass(2 * time.Second)
			if id := f.machine("a").Status.Identifier; f.cloud.asked != 1 || id != "" {
				t.Fatalf("asked %d times, claims %q, whose Node was there before the intent", f.cloud.asked, id)
			}
			f.cloud.arrive()
			f.pass(15 * time.Second)
			if n := f.machine("a"); n.Status.Identifier == "" || n.Status.Identifier == "w1" {
				t.Errorf("claims %q, want its own machine", n.Status.Identifier)
			}
		})
	}
}

// TestWorkerOfAPersonIsNoAnswerAfterRestart has the one listing lack it that a launch request after a restart goes by; no Node tells.
func TestWorkerOfAPersonIsNoAnswerAfterRestart(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("b")), intent("b", launched("m1", "host-1")))
	all := []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}, {Identifier: "w1", Hostname: "person-1", Size: small}}
	f.cloud.machines = all
	for _, wait := range []time.Duration{time.Minute, time.Minute, 6 * time.Minute, time.Minute} {
		f.survey(wait)
	}
	f.restart()
	f.cloud.machines, f.cloud.hide = all[:1:1], true
	f.create(intent("a"))
	f.pass(3 * time.Second)
	f.cloud.machines = all
	f.pass(2 * time.Second)
	if id := f.machine("a").Status.Identifier; f.cloud.asked != 1 || id != "" {
		t.Errorf("asked %d times, claims %q, which is on record as foreign", f.cloud.asked, id)
	}
}

// TestWorkerOfAPersonIsNoAnswerToWhatBroughtNone has VPSieNodes of its size whose requests brought machines long ago, or none.
func TestWorkerOfAPersonIsNoAnswerToWhatBroughtNone(t *testing.T) {
	past := func(at time.Time, change func(*v1beta1.VPSieNode)) *v1beta1.VPSieNode {
		return intent("b", func(n *v1beta1.VPSieNode) {
			n.CreationTimestamp = metav1.NewTime(at)
			n.Status.Launches = []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(at), Outcome: v1beta1.LaunchAccepted}}
			change(n)
		})
	}
	tests := map[string]*v1beta1.VPSieNode{
		"InUseSinceLong": past(noon.Add(-30*24*time.Hour), func(n *v1beta1.VPSieNode) {
			n.Status.Phase, n.Status.Identifier, n.Status.Hostname, n.Status.NodeName = v1beta1.PhaseReady, "m0", "host-0", "host-0"
		}),
		"Refused": past(noon.Add(-20*time.Minute), func(n *v1beta1.VPSieNode) {
			n.Status.Phase, n.Status.Launches[0].Outcome, n.Status.Launches[0].Reason = v1beta1.PhaseFailed, v1beta1.LaunchRefused, string(reason.NoScaleUpOfferingSoldOut)
		}),
		"NotMade": past(noon.Add(-20*time.Minute), func(n *v1beta1.VPSieNode) {
			n.Status.Phase, n.Status.Launches[0].Outcome, n.Status.Launches[0].Reason = v1beta1.PhaseFailed, v1beta1.LaunchNotMade, string(reason.NoScaleUpLaunchFailed)
		}),
	}
	for name, old := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), old, node("person-1", "", createdAt(noon.Add(-10*time.Minute))), intent("a"))
			f.cloud.hide = true
			f.cloud.machines = []launch.Listed{{Identifier: "m0", Hostname: "host-0", Size: small}}
			f.pass(time.Second)
			f.pass(time.Second)
			f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "w1", Hostname: "Person-1", Size: small})
			f.pass(2 * time.Second)
			if id := f.machine("a").Status.Identifier; f.cloud.asked != 1 || id != "" {
				t.Errorf("asked %d times, claims %q, whose Node was there before the only request that may be answered", f.cloud.asked, id)
			}
		})
	}
}

// TestUnreadableReportHoldsUpLaunchesOnly keeps the list of other people's machines from being read.
func TestUnreadableReportHoldsUpLaunchesOnly(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b", launched("m1", "host-1"), retired, func(n *v1beta1.VPSieNode) {
		n.Status.Phase, n.Status.DeleteRequestedAt = v1beta1.PhaseDeleting, new(metav1.NewTime(noon))
	}))
	f.cloud.machines = one("host-1")
	f.getting = func(key client.ObjectKey, o client.Object) error {
		if _, is := o.(*corev1.ConfigMap); is && key.Name == app.OrphansConfigMap {
			return errors.New("no answer")
		}
		return nil
	}
	for range 3 {
		f.pass(2 * time.Second)
	}
	if f.cloud.asked != 0 || len(f.cloud.deleted) != 1 {
		t.Errorf("requested %d machines, deleted %v; want none and m1", f.cloud.asked, f.cloud.deleted)
	}
	if c := condition(f.machine("a"), v1beta1.ConditionLaunched); c.Reason != reason.HoldReportUnreadable.Condition() {
		t.Errorf("condition %+v does not say why", c)
	}
}

// TestMachineThatIsOlderThanItsIntent has VPSie make two machines for one request while listings are empty; the second answers
// a later request, than which its Node is older.
func TestMachineThatIsOlderThanItsIntent(t *testing.T) {
	for name, ready := range map[string]func(*corev1.Node){"Works": func(*corev1.Node) {}, "DoesNotWork": notReady} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), intent("a"))
			f.cloud.hide = true
			f.pass(time.Second)
			f.create(node("host-1", "", createdAt(noon.Add(time.Minute))))
			f.create(node("host-2", "", createdAt(noon.Add(time.Minute)), ready))
			f.clock.Step(3 * time.Minute)
			f.create(intent("b", func(n *v1beta1.VPSieNode) { n.CreationTimestamp = metav1.NewTime(f.clock.Now()) }))
			f.pass(3 * time.Second)
			f.cloud.arrive()
			f.cloud.arrive()
			f.pass(15 * time.Second)
			for _, name := range []string{"a", "b"} {
				f.step(name, time.Second)
				if c := condition(f.machine(name), v1beta1.ConditionRegistered); c.Status != metav1.ConditionTrue {
					t.Errorf("%s has machine %q: %+v", name, f.machine(name).Status.Identifier, c)
				}
			}
			if first := f.machine("b").Status.EarliestRequestAt; first == nil || !first.Time.Equal(f.machine("a").CreationTimestamp.Time) {
				t.Errorf("the earliest request is of %v, want that of a", first)
			}
		})
	}
}

// TestSecondMachineAfterALongOutage has the listings lack both machines of a request for two hours.
func TestSecondMachineAfterALongOutage(t *testing.T) {
	first := intent("b", launched("m0", "host-0"), func(n *v1beta1.VPSieNode) {
		at := metav1.NewTime(noon.Add(-2 * time.Hour))
		n.CreationTimestamp, n.Status.Launches[0].RequestedAt, n.Status.LaunchedAt = at, at, new(metav1.NewTime(noon.Add(-time.Minute)))
	})
	f := newFixture(t, group(), first, node("host-0", "m0"), node("host-2", "", createdAt(noon.Add(-time.Hour))), intent("a"))
	f.cloud.hide = true
	f.cloud.machines = []launch.Listed{{Identifier: "m0", Hostname: "host-0", Size: small}}
	f.pass(time.Second)
	f.pass(time.Second)
	f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m2", Hostname: "host-2", Size: small})
	f.pass(2 * time.Second)
	if id := f.machine("a").Status.Identifier; f.cloud.asked != 1 || id != "m2" {
		t.Errorf("asked %d times, claims %q, want the second machine of a request that was answered a minute ago", f.cloud.asked, id)
	}
}

// TestStuckMachineHoldsUpNobody has two machines that never joined, one of which has its name from an older Node.
func TestStuckMachineHoldsUpNobody(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "", notReady, createdAt(noon.Add(-time.Hour))), intent("a", joining("m1", "host-1")), intent("b", joining("m2", "host-2")))
	f.cloud.machines = append(one("host-1"), launch.Listed{Identifier: "m2", Hostname: "host-2", Size: small})
	f.step("a", time.Second)
	f.step("a", 16*time.Minute)
	for range 60 {
		f.step("a", time.Minute)
		f.step("b", time.Minute)
		f.pass(time.Second)
	}
	if len(f.cloud.deleted) != 1 || f.cloud.deleted[0] != "m2" {
		t.Errorf("deleted %v, want m2, for which nobody need wait", f.cloud.deleted)
	}
}

// TestSettleTimeIsNoneOfTheDrainTimeout gives a drain less time than its taint takes to settle.
func TestSettleTimeIsNoneOfTheDrainTimeout(t *testing.T) {
	short := group(func(g *v1beta1.NodeGroup) {
		g.Spec.ScaleDown.DrainTimeout = &metav1.Duration{Duration: 4 * time.Second}
	})
	f := newFixture(t, short, node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = one("host-1")
	f.step("a", time.Second)
	f.step("a", 6*time.Second)
	if f.machine("a").Spec.Retirement == nil {
		t.Errorf("the drain was aborted as soon as it could begin: %+v", condition(f.machine("a"), v1beta1.ConditionDrained))
	}
}

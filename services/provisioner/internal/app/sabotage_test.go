//go:build sabotage

package app_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// TestSabotage does the harm that each check prevents, so that a switch that does nothing is noticed.
func TestSabotage(t *testing.T) {
	harm := map[sabotage.Check]func(t *testing.T) bool{
		sabotage.CheckOwnershipProof: func(t *testing.T) bool {
			f := newFixture(t, group(), intent("a"))
			f.cloud.arrive()
			f.cloud.hide = true
			for range 3 {
				f.pass(2 * time.Second)
			}
			return f.machine("a").Status.Identifier == "m1"
		},
		sabotage.CheckListBeforeRetry: func(t *testing.T) bool {
			f := newFixture(t, group(), intent("a"))
			f.cloud.hide = true
			f.cloud.add = &app.CloudError{Failure: app.OutcomeUnknown, Message: "timeout"}
			for range 4 {
				f.pass(10 * time.Second)
			}
			return f.cloud.asked > 1
		},
		sabotage.CheckFreshReadAfterTaint: func(t *testing.T) bool {
			f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired),
				pod("p", "host-1", func(p *corev1.Pod) { p.OwnerReferences = nil }))
			f.step("a", time.Second)
			f.step("a", 6*time.Second)
			return !f.exists(pod("p", ""))
		},
		sabotage.CheckInFlightCounting: func(t *testing.T) bool {
			f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 1 }), intent("a", attempt(v1beta1.LaunchAccepted)), intent("b"))
			f.cloud.hide = true
			f.pass(time.Second)
			return f.cloud.asked > 0
		},
		sabotage.CheckCorrelatedFailureBreaker: func(t *testing.T) bool {
			f := newFixture(t, group())
			f.fleet(4, 4)
			f.retire("n1", reason.RepairNodeNotReady)
			f.life("n1")
			return slices.Equal(f.cloud.deleted, []string{"m1"})
		},
	}
	defer sabotage.Set("")
	for check, does := range harm {
		t.Run(string(check), func(t *testing.T) {
			sabotage.Set("")
			if does(t) {
				t.Error("harm is done although the check is in")
			}
			sabotage.Set(check)
			if !does(t) {
				t.Error("no harm is done although the check is taken out")
			}
		})
	}
}

// TestSabotagedDeletion has a machine under another name deleted.
func TestSabotagedDeletion(t *testing.T) {
	sabotage.Set(sabotage.CheckOwnershipProof)
	defer sabotage.Set("")
	f := newFixture(t, group(), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "somebody-elses", Size: small}}
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v", f.cloud.deleted)
	}
}

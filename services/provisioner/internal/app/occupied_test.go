package app_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// TestNodeThatJoinsLateHoldsTheDeletion has the Node of a machine that was given up join, and get a pod, before the deletion is requested.
func TestNodeThatJoinsLateHoldsTheDeletion(t *testing.T) {
	f := newFixture(t, group(), intent("a", launched("m1", "host-1"), func(n *v1beta1.VPSieNode) {
		n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireLaunchFailed, DecisionID: "r", Reason: string(reason.LaunchDeadline), Message: "no Node came"}
	}))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	for f.machine("a").Status.Phase != v1beta1.PhaseDeleting {
		if f.clock.Since(noon) > time.Hour {
			t.Fatalf("the machine is %+v, want it to be deleted", f.machine("a").Status)
		}
		f.step("a", time.Second)
	}
	f.create(node("host-1", "m1"))
	late := pod("p", "host-1")
	f.create(late)
	f.pass(10 * time.Second)
	c := condition(f.machine("a"), v1beta1.ConditionDeleted)
	if len(f.cloud.deleted) > 0 || c.Status != metav1.ConditionFalse || c.Reason != reason.HoldOccupied.Condition() {
		t.Errorf("deleted %v and condition %+v, want the deletion to wait for the pod", f.cloud.deleted, c)
	}
	f.wantDecision(reason.HoldOccupied)
	f.remove(late)
	f.pass(10 * time.Second)
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want m1 once its Node is empty", f.cloud.deleted)
	}
}

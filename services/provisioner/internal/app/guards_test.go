package app_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// TestEveryKindIsCarriedOut takes a machine with a pod to its end for each kind of retirement. Guards refuse what was not looked at, so it
// holds that everything is, before the taint, before the evictions and before the deletion.
func TestEveryKindIsCarriedOut(t *testing.T) {
	for _, kind := range disruption.Kinds {
		for name, there := range map[string]bool{"Node": true, "NoNode": false} {
			if !there && kind == v1beta1.RetireReplace {
				continue // what has no Node is repaired
			}
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				f := newFixture(t, group(), intent("old", launched("m1", "host-1"), func(n *v1beta1.VPSieNode) {
					n.Spec.Retirement = &v1beta1.Retirement{Kind: kind, DecisionID: "r", Reason: "r", Message: "it goes"}
				}), intent("new", launched("m2", "host-2"), replaces("old")), intent("third", launched("m3", "host-3")), node("host-2", "m2"), node("host-3", "m3"))
				if there {
					f.create(node("host-1", "m1", func(n *corev1.Node) {
						if kind == v1beta1.RetireRepair || kind == v1beta1.RetireLaunchFailed {
							notReady(n)
						}
					}))
					f.create(pod("p", "host-1"))
				}
				f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}, {Identifier: "m2", Hostname: "host-2", Size: small}, {Identifier: "m3", Hostname: "host-3", Size: small}}
				f.life("old")
				if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(pod("p", "")) {
					t.Errorf("deleted %v, want m1 after its pod was evicted; conditions %+v", f.cloud.deleted, f.machine("old").Status.Conditions)
				}
			})
		}
	}
}

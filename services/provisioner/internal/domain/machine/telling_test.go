package machine_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// TestEndsOfOneObjectAreTold gives an end an id that a later end, another end and another change of the object do not have.
func TestEndsOfOneObjectAreTold(t *testing.T) {
	id := func(version string, to v1beta1.Phase) string {
		n := &v1beta1.VPSieNode{ObjectMeta: metav1.ObjectMeta{UID: "u", ResourceVersion: version}}
		return machine.ChangeOf(n, v1beta1.PhaseDeleting, to, "why", "", time.Time{}).ID
	}
	seen := map[string]bool{}
	for _, version := range []string{"1", "2"} {
		for _, to := range []v1beta1.Phase{machine.Gone, machine.Released, v1beta1.PhaseFailed} {
			if seen[id(version, to)] {
				t.Errorf("%s at version %s has the id %s, which another has", to, version, id(version, to))
			}
			seen[id(version, to)] = true
		}
	}
}

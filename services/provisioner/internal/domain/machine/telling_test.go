package machine_test

import (
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// TestUntoldDecisionsAreBounded has a machine carry more records than it may: the newest stay.
func TestUntoldDecisionsAreBounded(t *testing.T) {
	for name, tc := range map[string]struct{ records, bytes, want int }{
		"Few": {records: 3, bytes: 700, want: 3}, "Many": {records: 30, bytes: 700, want: 20}, "Large": {records: 10, bytes: 30 << 10, want: 4},
	} {
		t.Run(name, func(t *testing.T) {
			n := &v1beta1.VPSieNode{}
			for range tc.records - 1 {
				machine.UntoldDecision(n, strings.Repeat("x", tc.bytes))
			}
			last := strings.Repeat("y", tc.bytes)
			before := len(n.Status.UntoldDecisions)
			dropped := machine.UntoldDecision(n, last)
			got := n.Status.UntoldDecisions
			if len(got) != tc.want || got[len(got)-1] != last || len(got)+len(dropped) != before+1 {
				t.Errorf("%d records are kept, want %d with the newest; %d are told to be dropped", len(got), tc.want, len(dropped))
			}
		})
	}
}

//go:build sabotage

package sim

import (
	"flag"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
)

var sabotageSeeds = flag.Uint64("sabotage-seeds", 1000, "within how many seeds a safety check that is taken out must be missed")

// TestSabotage takes safety checks out, one at a time: the simulation must notice each within so many seeds.
func TestSabotage(t *testing.T) {
	for _, check := range []sabotage.Check{
		sabotage.CheckOwnershipProof, sabotage.CheckListBeforeRetry, sabotage.CheckFreshReadAfterTaint,
		sabotage.CheckInFlightCounting, sabotage.CheckCorrelatedFailureBreaker,
	} {
		t.Run(string(check), func(t *testing.T) {
			sabotage.Set(check)
			defer sabotage.Set("")
			for seed := *from; seed < *from+*sabotageSeeds; seed++ {
				if r := play(t, makePlan(seed, *length)); len(r.Violations) > 0 {
					t.Logf("seed %d notices after %d seeds: %s", seed, seed-*from+1, r.Violations[0])
					return
				}
			}
			t.Errorf("%d seeds do not notice that %s is taken out", *sabotageSeeds, check)
		})
	}
}

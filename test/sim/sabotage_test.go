//go:build sabotage

package sim

import (
	"flag"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
)

var (
	sabotageSeeds = flag.Uint64("sabotage-seeds", 1000, "within how many seeds a safety check that is taken out must be missed")
	sabotageOnly  = flag.String("sabotage", "", "take out this check only, and start with the seed that -from names")
)

// TestSabotage takes safety checks out, one at a time: the simulation must notice each within so many seeds,
// and have nothing to say of the same seed with all checks in. The first seeds are near one that notices.
func TestSabotage(t *testing.T) {
	for check, first := range map[sabotage.Check]uint64{
		sabotage.CheckOwnershipProof: 1, sabotage.CheckListBeforeRetry: 1, sabotage.CheckFreshReadAfterTaint: 1,
		sabotage.CheckInFlightCounting: 1, sabotage.CheckCorrelatedFailureBreaker: 1,
	} {
		if *sabotageOnly != "" {
			if *sabotageOnly != string(check) {
				continue
			}
			first = *from
		}
		t.Run(string(check), func(t *testing.T) {
			defer sabotage.Set("")
			for seed := first; seed < first+*sabotageSeeds; seed++ {
				sabotage.Set(check)
				r := play(t, planFor(t, seed))
				if len(r.Violations) == 0 {
					continue
				}
				t.Logf("seed %d notices after %d seeds: %s", seed, seed-first+1, r.Violations[0])
				sabotage.Set("")
				judged(t, play(t, planFor(t, seed)))
				return
			}
			t.Errorf("%d seeds do not notice that %s is taken out", *sabotageSeeds, check)
		})
	}
}

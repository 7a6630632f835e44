//go:build sabotage

package sim

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
)

var (
	sabotageSeeds = flag.Uint64("sabotage-seeds", 1000, "within how many seeds a safety check that is taken out must be missed")
	sabotageOnly  = flag.String("sabotage", "", "take out this check only, and start with the seed that -from names")
)

// sabotaged is a check that is taken out, the invariants of which one has to break, and a seed near one that shows it.
type sabotaged struct {
	check  sabotage.Check
	breaks []string
	first  uint64
}

// TestSabotage takes safety checks out, one at a time: the simulation must notice each within so many seeds,
// by an invariant that the check is there for, and have nothing to say of the same seed with all checks in.
func TestSabotage(t *testing.T) {
	for _, s := range []sabotaged{
		{sabotage.CheckOwnershipProof, []string{"I2"}, 1},
		{sabotage.CheckInFlightCounting, []string{"I4"}, 1},
		{sabotage.CheckListBeforeRetry, []string{"I5"}, 41},
		{sabotage.CheckFreshReadAfterTaint, []string{"I26", "I30"}, 412},
		{sabotage.CheckCorrelatedFailureBreaker, []string{"I9"}, 323},
		{sabotage.CheckNominationCondition, []string{"I31"}, 401},
		{sabotage.CheckReplacementFirst, []string{"D14"}, 7},
		{sabotage.CheckRecordWithAct, []string{"I33"}, 1},
	} {
		if *sabotageOnly != "" {
			if *sabotageOnly != string(s.check) {
				continue
			}
			s.first = *from
		}
		t.Run(string(s.check), func(t *testing.T) {
			defer sabotage.Set("")
			for seed := s.first; seed < s.first+*sabotageSeeds; seed++ {
				sabotage.Set(s.check)
				r := play(t, planFor(t, seed))
				if len(r.Violations) == 0 {
					continue
				}
				t.Logf("seed %d notices after %d seeds: %s", seed, seed-s.first+1, r.Violations[0])
				if invariant, _, _ := strings.Cut(r.Violations[0], " "); !slices.Contains(s.breaks, invariant) {
					continue
				}
				sabotage.Set("")
				judged(t, play(t, planFor(t, seed)))
				return
			}
			t.Errorf("%d seeds do not notice that %s is taken out", *sabotageSeeds, s.check)
		})
	}
}

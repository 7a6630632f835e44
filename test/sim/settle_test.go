package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestStandingLoadSettles holds that the same pods do not make machines come and go again and again (I12): some time after
// they came, nothing is launched or taken away any more.
func TestStandingLoadSettles(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := makePlan(seed, time.Hour)
			dice := rand.New(rand.NewPCG(seed, 9))
			p.waves, p.replacements = nil, nil
			for i := range p.loads {
				p.waves = append(p.waves, wave{between(dice, 0, 5*time.Minute), i, 3 + dice.IntN(8)})
			}
			var settled ending
			now := func(w *world) ending {
				counts := w.cloud.sim.Truth().Counts
				return ending{launched: counts.Launched, lives: counts.Deleted}
			}
			p.ownFaults = []fault{{"nothing", func(w *world, _ *rand.Rand) func() { settled = now(w); return func() {} }}}
			p.faults = []occurrence{{fault: "nothing", at: 25 * time.Minute}}
			p.afterFaults = func(w *world) {
				if end := now(w); end != settled || end.launched == 0 {
					t.Errorf("%+v after twenty-five minutes, %+v after an hour", settled, end)
				}
			}
			judged(t, play(t, p))
		})
	}
}

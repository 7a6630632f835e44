package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stride leaves crash points out where the race detector makes each slow; make test-sim tries every one.
var stride = flag.Int("crash-stride", 25, "which crash points to try: every nth call")

// TestCrashPoints has a service die at each of its calls during the life of one machine, before the call
// takes effect and after: the end is the same as without, with one machine bought and none left, and all of it on record.
func TestCrashPoints(t *testing.T) { crashEverywhere(t, nil) }

// TestCrashPointsWithoutMessages does so while the bus takes none, from before the machine is bought until after it is gone.
func TestCrashPointsWithoutMessages(t *testing.T) {
	const name = "bus-full"
	crashEverywhere(t, func(p *plan) {
		p.ownFaults = []fault{{name, func(w *world, _ *rand.Rand) func() {
			w.hit(name)
			w.set(func() { w.busFaults.full = true })
			return func() { w.set(func() { w.busFaults.full = false }) }
		}}}
		p.faults = []occurrence{{fault: name, at: time.Second, length: 19 * time.Minute}}
	})
}

func crashEverywhere(t *testing.T, change func(*plan)) {
	crashing := func(service string, call int, after bool) plan {
		p := oneLife(service, call, after)
		if change != nil {
			change(&p)
		}
		return p
	}
	for _, service := range []string{Planner, Provisioner} {
		t.Run(service, func(t *testing.T) {
			whole := play(t, crashing(service, 0, false))
			judged(t, whole)
			want := ending{bought: 1, lives: 1}
			if got := endingOf(whole); got != want {
				t.Fatalf("without a crash: %+v, want %+v", got, want)
			}
			calls := whole.CallsOf[service]
			t.Logf("%d calls", calls)
			for call := 1; call <= calls; call += *stride {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d/after=%v", call, after), func(t *testing.T) {
						r := play(t, crashing(service, call, after))
						judged(t, r)
						// A Lease is renewed, or a status written, once more in one run than in the next.
						if deaths := r.Hits["crash-point"]; deaths != 1 && call < calls-2 {
							t.Errorf("the process died %d times", deaths)
						}
						if diff := cmp.Diff(want, endingOf(r), cmp.AllowUnexported(ending{})); diff != "" {
							t.Error(diff)
						}
					})
				}
			}
		})
	}
}

type ending struct{ bought, lives int }

func endingOf(r result) ending { return ending{r.Bought, r.Lives} }

// oneLife is a run in which one pod comes and goes, and a service dies at one of its calls; 0 is none.
func oneLife(service string, call int, after bool) plan {
	p := makePlan(1, time.Hour)
	p.length = 20 * time.Minute
	p.faults = nil
	p.catalogue.Clusters[0].Workers = nil
	p.groups = p.groups[:1]
	p.groups[0].Spec.MinNodes = 0
	p.groups[0].Spec.ScaleDown.UnneededFor.Duration = time.Minute
	p.loads = []*workload{{name: "load", milliCPU: 700, memoryMi: 200, keep: -1}}
	// The pod waits longer than a dead leader keeps its Lease and an attempt without an outcome settles.
	p.waves = []wave{{10 * time.Second, 0, 1}, {16 * time.Minute, 0, 0}}
	p.crash = &crashPoint{service: service, call: call, after: after}
	p.livesMin = 0
	return p
}

package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stride leaves crash points out where the race detector makes each slow; make test-crash tries more, and make soak every one.
var stride = flag.Int("crash-stride", 150, "which crash points to try: every nth call")

// crashed is a run in which a service dies at one of its calls, and how it ends.
type crashed struct {
	plan func(service string, call int, after bool) plan
	want ending
}

// TestCrashPoints has a service die at each of its calls during the life of one machine, and while one is replaced that runs a pod,
// before the call takes effect and after: the end is the same as without, with as many machines launched and none left, and all of it
// on record.
func TestCrashPoints(t *testing.T) {
	for name, c := range map[string]crashed{
		"OneLife":        {oneLife, ending{launched: 1, lives: 1}},
		"OneReplacement": {oneReplacement, ending{launched: 2, lives: 2, replaced: 1}},
	} {
		t.Run(name, func(t *testing.T) { crashEverywhere(t, c) })
	}
}

// TestCrashPointsWithoutMessages does so while the bus takes none, from before the machine is launched until after it is gone.
func TestCrashPointsWithoutMessages(t *testing.T) {
	const name = "bus-full"
	crashEverywhere(t, crashed{func(service string, call int, after bool) plan {
		p := oneLife(service, call, after)
		p.ownFaults = []fault{{name, func(w *world, _ *rand.Rand) func() {
			w.hit(name)
			w.set(func() { w.busFaults.full = true })
			return func() { w.set(func() { w.busFaults.full = false }) }
		}}}
		p.faults = []occurrence{{fault: name, at: time.Second, length: 19 * time.Minute}}
		return p
	}, ending{launched: 1, lives: 1}})
}

func crashEverywhere(t *testing.T, c crashed) {
	for _, service := range []string{Planner, Provisioner} {
		t.Run(service, func(t *testing.T) {
			whole := play(t, c.plan(service, 0, false))
			judged(t, whole)
			if got := endingOf(whole); got != c.want {
				t.Fatalf("without a crash: %+v, want %+v", got, c.want)
			}
			calls := whole.CallsOf[service]
			t.Logf("%d calls", calls)
			for call := 1; call <= calls; call += *stride {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d/after=%v", call, after), func(t *testing.T) {
						r := play(t, c.plan(service, call, after))
						judged(t, r)
						// A Lease is renewed, or a status written, once more in one run than in the next.
						if deaths := r.Hits["crash-point"]; deaths != 1 && call < calls-2 {
							t.Errorf("the process died %d times", deaths)
						}
						if diff := cmp.Diff(c.want, endingOf(r), cmp.AllowUnexported(ending{})); diff != "" {
							t.Error(diff)
						}
					})
				}
			}
		})
	}
}

type ending struct{ launched, lives, replaced int }

func endingOf(r result) ending { return ending{r.Launched, r.Lives, r.Hits["machines-replaced"]} }

// oneLife is a run in which one pod comes and goes, and a service dies at one of its calls; 0 is none.
func oneLife(service string, call int, after bool) plan {
	p := makePlan(1, time.Hour)
	p.length = 20 * time.Minute
	p.faults, p.replacements = nil, nil
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

// oneReplacement is a run in which one pod comes, its machine is replaced under it, and it goes, and a service dies at one of its calls.
func oneReplacement(service string, call int, after bool) plan {
	p := oneLife(service, call, after)
	// Each of the two machines may take as long as an attempt without an outcome settles.
	p.length = 44 * time.Minute
	p.waves = []wave{{10 * time.Second, 0, 1}, {40 * time.Minute, 0, 0}}
	p.replacements = []replacement{{at: 3 * time.Minute}}
	p.groups[0].Spec.ScaleDown.DrainTimeout.Duration = 6 * time.Minute // a dead leader keeps its Lease for two
	return p
}

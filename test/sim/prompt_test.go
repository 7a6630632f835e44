package sim

import (
	"fmt"
	"testing"
	"time"
)

// smallLife is a run in which pods come and go twice, and nothing goes wrong.
func smallLife() plan {
	p := oneLife(Planner, 0, false)
	p.crash = nil // so that it is held to be prompt
	p.length = 40 * time.Minute
	p.waves = []wave{{time.Minute, 0, 3}, {12 * time.Minute, 0, 0}, {20 * time.Minute, 0, 4}, {30 * time.Minute, 0, 0}}
	return p
}

// TestBusIsAHint loses, doubles or reorders every message of a run: as many machines come and go as without, and
// none later than the resync.
func TestBusIsAHint(t *testing.T) {
	whole := play(t, smallLife())
	judged(t, whole)
	want := endingOf(whole)
	if want.launched < 4 {
		t.Fatalf("without a fault: %+v", want)
	}
	for _, name := range []string{"bus-loss", "bus-duplicate", "bus-reorder"} {
		t.Run(name, func(t *testing.T) {
			p := smallLife()
			p.faults = []occurrence{{fault: name, length: p.length}}
			r := play(t, p)
			judged(t, r)
			if got := endingOf(r); got != want || r.Hits[name] == 0 {
				t.Errorf("%+v after the fault met %d messages, want %+v", got, r.Hits[name], want)
			}
		})
	}
}

// TestPoisonGroupStarvesNobody has ninety-nine groups fail, whose machines are sold out, beside one that does not.
func TestPoisonGroupStarvesNobody(t *testing.T) {
	const poisoned = 99
	p := smallLife()
	p.promptInvariant, p.length = "I22", 12*time.Minute
	p.waves = []wave{{3 * time.Minute, 0, 3}, {7 * time.Minute, 0, 0}}
	p.groups[0].Spec.Offerings = groupSizes[1:2]
	for i := range poisoned {
		g := *p.groups[0].DeepCopy()
		g.Name, g.Spec.MinNodes, g.Spec.Offerings = fmt.Sprintf("poison-%d", i), 1, groupSizes[:1]
		p.groups = append(p.groups, g)
	}
	p.switches.SoldOut = []string{fmt.Sprint(groupSizes[0])}
	tried := 0
	p.afterFaults = func(w *world) {
		for _, n := range machines(w) {
			if n.Spec.NodeGroup != p.groups[0].Name && len(n.Status.Launches) > 0 {
				tried++
			}
		}
		for i := range w.plan.groups[1:] {
			w.must(w.cluster.server.As("person").Delete(&w.plan.groups[1+i], deleteNow))
		}
	}
	r := play(t, p)
	judged(t, r)
	if got := endingOf(r); got.launched < 1 || got.lives != got.launched || tried < poisoned {
		t.Errorf("%+v, and %d machines of the poisoned groups were tried", got, tried)
	}
}

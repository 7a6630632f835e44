package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is something that goes wrong for a while.
type fault struct {
	name string
	// start makes it so and returns what makes it good again, which may be called at any later time.
	start func(w *world, dice *rand.Rand) (stop func())
}

// faults lists every fault by a name that the command line knows. Most are of the list in the
// reliability document, whose number is given.
func faults() []fault {
	return slices.Concat(processFaults(), kubernetesFaults(), nodeFaults(), cloudFaults(), busFaultList(), workloadFaults(), nominationFaults())
}

func faultNames() []string {
	var names []string
	for _, f := range faults() {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names
}

func faultNamed(name string) (fault, bool) { return named(name, faults()) }

func named(name string, list []fault) (fault, bool) {
	i := slices.IndexFunc(list, func(f fault) bool { return f.name == name })
	if i < 0 {
		return fault{}, false
	}
	return list[i], true
}

// occurrence is a fault in a plan.
type occurrence struct {
	fault  string
	at     time.Duration
	length time.Duration
}

func (o occurrence) String() string {
	return strings.Join([]string{o.fault, "at", o.at.Round(time.Second).String(), "for", o.length.Round(time.Second).String()}, " ")
}

// suffer lets the planned faults happen, each in a goroutine of its own, until done is closed; then all are over.
func (w *world) suffer(done <-chan struct{}, finished func()) {
	for i, o := range w.plan.faults {
		f, ok := named(o.fault, slices.Concat(faults(), w.plan.ownFaults))
		if !ok {
			w.fail("harness", "there is no fault %q", o.fault)
			continue
		}
		w.ending.Add(1)
		go func() {
			defer w.ending.Done()
			defer finished()
			if !sleep(done, o.at) {
				return
			}
			w.note("fault", "%s begins, for %s", o.fault, o.length)
			stop := f.start(w, rand.New(rand.NewPCG(w.plan.seed, uint64(i)+100)))
			sleep(done, o.length)
			stop()
			w.note("fault", "%s ends", o.fault)
		}()
	}
}

// sleep reports false when done was closed before d had passed.
func sleep(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

func between(dice *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(dice.Int64N(int64(high-low)))
}

// set changes a part of the world under its lock for the time of a fault.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

package sim

import (
	"math/rand/v2"
	"time"
)

// busFaultList is what goes wrong with the bus (49 to 54).
func busFaultList() []fault {
	change := func(name string, count bool, on, off func(f *busFaults)) fault {
		return fault{name, func(w *world, _ *rand.Rand) func() {
			if count {
				w.hit(name)
			}
			w.set(func() { on(&w.busFaults) })
			return func() { w.set(func() { off(&w.busFaults) }) }
		}}
	}
	return []fault{
		change("bus-down", true, func(f *busFaults) { f.down = true }, func(f *busFaults) { f.down = false }),
		change("feed-down", true, func(f *busFaults) { f.feedDown = true }, func(f *busFaults) { f.feedDown = false }),
		change("bus-loss", false, func(f *busFaults) { f.loss = 100 }, func(f *busFaults) { f.loss = 0 }),
		change("bus-duplicate", false, func(f *busFaults) { f.duplicate = 100 }, func(f *busFaults) { f.duplicate = 0 }),
		change("bus-reorder", false, func(f *busFaults) { f.delay = 2 * time.Minute }, func(f *busFaults) { f.delay = 0 }),
		{"bus-wiped", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 20*time.Second, 2*time.Minute, func() {
				w.hit("bus-wiped")
				w.bucket.Wipe()
				w.bus.Wipe()
			})
		}},
	}
}

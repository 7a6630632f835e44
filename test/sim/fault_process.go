package sim

import (
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// processFaults are what happens to our own processes (1 to 8, 55 and 56).
func processFaults() []fault {
	list := []fault{
		{"all-down", func(w *world, _ *rand.Rand) func() {
			w.hit("all-down")
			var undo []func()
			for _, service := range []string{Observer, Planner, Provisioner} {
				undo = append(undo, w.hold(service))
			}
			return func() {
				for _, f := range undo {
					f()
				}
			}
		}},
	}
	for _, service := range []string{Observer, Planner, Provisioner} {
		list = append(list,
			fault{"crash-" + service, crash(service)},
			fault{"restart-" + service, restart(service)},
			fault{"freeze-" + service, freeze(service)},
			fault{"two-leaders-" + service, twoLeaders(service)},
			fault{"standby-" + service, standby(service)},
			fault{"down-" + service, func(w *world, _ *rand.Rand) func() { w.hit("down-" + service); return w.hold(service) }},
		)
		list = append(list, fault{"clock-jump-" + service, clockJump(service)})
		if service != Observer {
			list = append(list, fault{"crash-at-call-" + service, crashAtCall(service)})
		}
	}
	return list
}

// hold kills a service and keeps it from being started.
func (w *world) hold(service string) func() {
	w.set(func() { w.held[service]++ })
	for p := w.one(service); p != nil; p = w.one(service) {
		w.kill(p)
	}
	return func() { w.set(func() { w.held[service]-- }) }
}

// crash kills a service every few minutes.
func crash(service string) func(*world, *rand.Rand) func() {
	return func(w *world, dice *rand.Rand) func() {
		return w.repeat(dice, 30*time.Second, 4*time.Minute, func() {
			if p := w.one(service); p != nil {
				w.hit("crash-" + service)
				w.kill(p)
			}
		})
	}
}

// restart ends a service in an orderly way every few minutes, as rolling updates do.
func restart(service string) func(*world, *rand.Rand) func() {
	return func(w *world, dice *rand.Rand) func() {
		return w.repeat(dice, 30*time.Second, 4*time.Minute, func() {
			if p := w.one(service); p != nil {
				w.hit("restart-" + service)
				w.stop(p)
			}
		})
	}
}

// crashAtCall has a service die at one of its next calls, before it takes effect or before its answer comes.
func crashAtCall(service string) func(*world, *rand.Rand) func() {
	return func(w *world, dice *rand.Rand) func() {
		return w.repeat(dice, 20*time.Second, 2*time.Minute, func() {
			if p := w.one(service); p != nil {
				w.hit("crash-at-call-" + service)
				p.gate.crashIn(1+dice.IntN(30), dice.IntN(2) == 0)
			}
		})
	}
}

// freeze stops a process for longer than its Lease lasts, while another one is there to take over.
func freeze(service string) func(*world, *rand.Rand) func() {
	return func(w *world, dice *rand.Rand) func() {
		undo := standby(service)(w, dice)
		p := w.one(service)
		if p == nil {
			return undo
		}
		w.hit("freeze-" + service)
		p.wasFrozen.Store(true)
		p.gate.freeze()
		w.note("process", "freeze %s", p.name)
		thaw := time.AfterFunc(between(dice, w.plan.leaseDuration/2, 5*w.plan.leaseDuration), p.gate.thaw)
		return func() {
			thaw.Stop()
			p.gate.thaw()
			undo()
		}
	}
}

// standby runs a second replica.
func standby(service string) func(*world, *rand.Rand) func() {
	return func(w *world, _ *rand.Rand) func() {
		w.hit("standby-" + service)
		w.set(func() { w.replicas[service]++ })
		return func() {
			w.set(func() { w.replicas[service]-- })
			w.mu.Lock()
			surplus := len(w.running[service]) - w.replicas[service]
			w.mu.Unlock()
			for range surplus {
				if p := w.one(service); p != nil {
					w.stop(p)
				}
			}
		}
	}
}

// twoLeaders takes the Lease from under the leader, so that another acts before the first one knows.
func twoLeaders(service string) func(*world, *rand.Rand) func() {
	return func(w *world, dice *rand.Rand) func() {
		undo := standby(service)(w, dice)
		stop := w.repeat(dice, 20*time.Second, 2*time.Minute, func() {
			lease := kubesim.Get[coordinationv1.Lease](w.cluster.server, namespace, "vpsie-"+service)
			if lease == nil {
				return
			}
			w.hit("two-leaders-" + service)
			w.set(func() { w.robbedAt[service] = time.Now() })
			ignore(w.cluster.server.As("admin").Delete(lease, deleteNow))
		})
		return func() { stop(); undo() }
	}
}

// clockJump sets a process's wall clock wrong, by a day at most.
func clockJump(service string) func(*world, *rand.Rand) func() {
	return func(w *world, dice *rand.Rand) func() {
		restart := func() {
			if p := w.one(service); p != nil {
				w.kill(p)
			}
		}
		wrong := func() time.Duration { return between(dice, -24*time.Hour, 24*time.Hour) }
		w.set(func() { w.skew[service] = wrong() })
		restart()
		stop := w.repeat(dice, 10*time.Second, 3*time.Minute, func() {
			if p := w.one(service); p != nil {
				w.hit("clock-jump-" + service)
				p.clock.skew.Store(int64(wrong()))
			}
		})
		return func() {
			stop()
			w.set(func() { delete(w.skew, service) })
			restart() // people notice, and start it anew with a right clock
		}
	}
}

// repeat does something again and again, after waits between low and high, until it is stopped.
func (w *world) repeat(dice *rand.Rand, low, high time.Duration, do func()) func() {
	done, ended := make(chan struct{}), make(chan struct{})
	dice = rand.New(rand.NewPCG(dice.Uint64(), 3))
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			wait := between(dice, low, high)
			if first {
				wait /= 10
			}
			if !sleep(done, wait) {
				return
			}
			do()
		}
	}()
	return func() { close(done); <-ended }
}

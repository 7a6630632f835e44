package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// counted makes a question of how many of a set there are.
func (w *watcher) counted(want int, what string, count func() int) func() (bool, string) {
	return func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := count()
		return n >= want, fmt.Sprintf("%d of %d %s", n, want, what)
	}
}

func (w *watcher) groupReady() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.readyWhy == "", w.readyWhy
}

// podsWait does not ask that all of them do: where pods are made slowly the last ones find nodes that were launched for the first.
func (w *watcher) podsWait() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.firstWait.IsZero(), "none waits"
}

func (w *watcher) decidedUp() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.scaledUp, "no decision record for a scale-up is on the bus"
}

func (w *watcher) launched(n int) func() (bool, string) {
	return w.counted(n, "machines", func() int {
		listed := 0
		for _, m := range w.machines {
			if !m.ListedAt.IsZero() {
				listed++
			}
		}
		return listed
	})
}

func (w *watcher) ready(n int) func() (bool, string) {
	return w.counted(n, "nodes", func() int { return len(w.readied) })
}

func (w *watcher) running(n int) func() (bool, string) {
	return w.counted(n, "pods", func() int { return len(w.run) })
}

func (w *watcher) podsGone() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.run)+len(w.waiting) == 0, fmt.Sprintf("%d pods are there", len(w.run)+len(w.waiting))
}

func (w *watcher) decidedDown() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.retired > 0, "no decision record for a scale-down is on the bus"
}

func (w *watcher) drained(n int) func() (bool, string) {
	return w.counted(n, "nodes", func() int { return len(w.emptied) })
}

func (w *watcher) machinesGone(n int) func() (bool, string) {
	return w.counted(n, "machines", func() int { return len(w.machines) - w.alive() })
}

func (w *watcher) recordsGone() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.nodes)+len(w.phases) == 0, fmt.Sprintf("%d Nodes and %d VPSieNodes are there", len(w.nodes), len(w.phases))
}

// alive counts the machines that are there or on their way. The caller holds the lock.
func (w *watcher) alive() int {
	n := 0
	for _, m := range w.machines {
		if m.GoneAt.IsZero() {
			n++
		}
	}
	return n
}

func (w *watcher) machinesAlive() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alive()
}

// served counts the pods that ever ran.
func (w *watcher) served() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ran)
}

// waits returns the median and the longest time from the moment a watch showed the first waiting
// pod to the moment VPSie was asked for a machine, over all machines.
func (w *watcher) waits(t vpsiesim.Truth) (p50, longest time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	for _, m := range t.Machines {
		if !m.Foreign {
			all = append(all, m.RequestedAt.Sub(w.firstWait))
		}
	}
	if len(all) == 0 || w.firstWait.IsZero() {
		return 0, 0, errors.New("no pod waited, or no machine was launched")
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], all[len(all)-1], nil
}

// residentMB is the most memory each service was seen to occupy, in megabytes, rounded up.
func (w *watcher) residentMB() map[string]int64 {
	const megabyte = 1_000_000
	w.mu.Lock()
	defer w.mu.Unlock()
	mb := map[string]int64{}
	for _, name := range stack.Services() {
		mb[name] = (w.memory[name] + megabyte - 1) / megabyte
	}
	return mb
}

// dollars writes money with as many decimals as prices of hours have.
func dollars(m vpsiesim.Money) string {
	const decimalsCut = 2 // of six
	text := m.String()
	return "$" + text[:len(text)-decimalsCut]
}

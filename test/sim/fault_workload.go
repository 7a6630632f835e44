package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// workloadFaults are what users and their pods do (57 to 61).
func workloadFaults() []fault {
	return []fault{
		{"pods-never-fit", func(w *world, dice *rand.Rand) func() {
			w.hit("pods-never-fit")
			load := &workload{name: fmt.Sprintf("impossible-%d", dice.Uint32()), replicas: 1 + dice.IntN(20), memoryMi: 128, keep: -1, impossible: true}
			w.cluster.add(load)
			return func() { w.cluster.scale(load, 0) }
		}},
		{"budgets-block", func(w *world, _ *rand.Rand) func() {
			w.hit("budgets-block")
			budgets := func(keep int) {
				for _, b := range listOf[policyv1.PodDisruptionBudget](w) {
					changed := b.DeepCopy()
					changed.Spec.MinAvailable = new(intstr.FromInt32(int32(keep)))
					ignore(w.cluster.server.As("person").Update(changed))
				}
			}
			budgets(1000)
			return func() { budgets(1) }
		}},
		{"late-binding", func(w *world, dice *rand.Rand) func() {
			// Pods come just when Nodes are closed, and the scheduler does not know yet that they are.
			w.cluster.setLateBinding(between(dice, 2*time.Second, 4*time.Second))
			load := &workload{name: fmt.Sprintf("late-%d", dice.Uint32()), milliCPU: 100, memoryMi: 64, keep: -1, protected: dice.IntN(2) == 0}
			w.cluster.add(load)
			stop := w.repeat(dice, 500*time.Millisecond, 1500*time.Millisecond, func() {
				if w.cluster.closedLately() {
					w.cluster.scale(load, min(load.replicas+1, 20))
				}
			})
			return func() { stop(); w.cluster.setLateBinding(0); w.cluster.scale(load, 0) }
		}},
		{"pods-churn", func(w *world, dice *rand.Rand) func() {
			load := &workload{name: fmt.Sprintf("churn-%d", dice.Uint32()), milliCPU: 200, memoryMi: 128, keep: -1}
			w.cluster.add(load)
			stop := w.repeat(dice, time.Second, 20*time.Second, func() {
				w.hit("pods-churn")
				w.cluster.scale(load, dice.IntN(15))
			})
			return func() { stop(); w.cluster.scale(load, 0) }
		}},
		{"pods-stuck", func(w *world, _ *rand.Rand) func() {
			w.hit("pods-stuck")
			w.cluster.setStuck(true)
			return func() { w.cluster.setStuck(false) }
		}},
	}
}

func (c *cluster) setLateBinding(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lateBinding = d
}

// closedLately reports whether a Node was cordoned a moment ago.
func (c *cluster) closedLately() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.tainted {
		if time.Since(at) < 2*time.Second {
			return true
		}
	}
	return false
}

func (c *cluster) setStuck(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuckPods = is
	c.poke()
}

package sim

import (
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// nodeFaults are what happens to machines and their Nodes (21 to 30).
func nodeFaults() []fault {
	cutOff := func(share int) func(w *world, dice *rand.Rand) func() {
		return func(w *world, dice *rand.Rand) func() {
			cut := w.cluster.cutOff(dice, share)
			for range cut {
				w.hit("nodes-not-ready")
			}
			return func() { w.cluster.reconnect(cut) }
		}
	}
	return []fault{
		{"node-not-ready", func(w *world, dice *rand.Rand) func() {
			cut := w.cluster.cutOff(dice, 1)
			w.hit("node-not-ready")
			return func() { w.cluster.reconnect(cut) }
		}},
		{"nodes-not-ready", cutOff(30)},
		{"most-nodes-not-ready", func(w *world, dice *rand.Rand) func() { w.hit("most-nodes-not-ready"); return cutOff(60)(w, dice) }},
		{"all-nodes-not-ready", func(w *world, dice *rand.Rand) func() { w.hit("all-nodes-not-ready"); return cutOff(100)(w, dice) }},
		{"nodes-flap", func(w *world, dice *rand.Rand) func() {
			var cut []*kubelet
			stop := w.repeat(dice, 40*time.Second, 90*time.Second, func() {
				w.hit("nodes-flap")
				if cut != nil {
					w.cluster.reconnect(cut)
					cut = nil
				} else {
					cut = w.cluster.cutOff(dice, 40)
				}
			})
			return func() { stop(); w.cluster.reconnect(cut) }
		}},
		{"never-join", func(w *world, _ *rand.Rand) func() {
			w.hit("never-join")
			w.cloud.set(map[string]any{"nodeRegisters": false})
			return func() { w.cloud.set(map[string]any{"nodeRegisters": true}) }
		}},
		{"join-late", func(w *world, dice *rand.Rand) func() {
			w.hit("join-late")
			w.cloud.set(map[string]any{"bootDelay": between(dice, 5*time.Minute, 45*time.Minute).String()})
			return func() { w.cloud.set(map[string]any{"bootDelay": time.Duration(w.plan.switches.BootDelay).String()}) }
		}},
		{"join-not-ready", func(w *world, _ *rand.Rand) func() {
			w.hit("join-not-ready")
			w.cluster.setNeverReady(true)
			return func() { w.cluster.setNeverReady(false) }
		}},
		{"join-twice", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 20*time.Second, 2*time.Minute, func() { w.cluster.registerAgain(dice) })
		}},
		{"capacity-lies", func(w *world, _ *rand.Rand) func() {
			w.hit("capacity-lies")
			w.mu.Lock()
			if w.smallSince.IsZero() {
				w.smallSince = time.Now()
			}
			w.mu.Unlock()
			w.cloud.set(map[string]any{"allocatableShare": 80})
			return func() { w.cloud.set(map[string]any{"allocatableShare": 100}) }
		}},
		{"node-deleted", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, time.Minute, 5*time.Minute, func() {
				for _, node := range listOf[corev1.Node](w) {
					if dice.IntN(4) == 0 && !w.isForeign(node.Name) {
						w.hit("node-deleted")
						ignore(w.cluster.server.As("person").Delete(node, deleteNow))
						return
					}
				}
			})
		}},
		{"machine-vanishes", removal("machine-vanishes", vpsiesim.DeletedByVanishing)},
		{"machine-deleted-by-person", removal("machine-deleted-by-person", vpsiesim.DeletedInConsole)},
		{"machine-stops", func(w *world, dice *rand.Rand) func() {
			// It is stopped and still listed, for hours; in the end somebody starts it again.
			w.hit("machine-stops")
			cut := w.cluster.cutOff(dice, 1)
			w.set(func() { w.stopped = append(w.stopped, cut...) })
			return func() {}
		}},
	}
}

func removal(name string, how vpsiesim.HowDeleted) func(w *world, dice *rand.Rand) func() {
	return func(w *world, dice *rand.Rand) func() {
		return w.repeat(dice, time.Minute, 6*time.Minute, func() {
			for _, m := range w.cloud.sim.Truth().Machines {
				if m.Alive() && !m.Foreign && m.DeleteRequestedAt.IsZero() && dice.IntN(3) == 0 {
					if w.cloud.sim.Model().RemoveMachine(m.Identifier, how) == nil {
						w.note("person", "machine %s (%s) %s", m.Hostname, m.Identifier, how)
						w.hit(name)
						return
					}
				}
			}
		})
	}
}

func (w *world) isForeign(node string) bool {
	m, known := w.cloud.sim.Model().MachineNamed(node)
	return !known || m.Foreign
}

// cutOff silences a share of the working kubelets, in percent, one at least.
func (c *cluster) cutOff(dice *rand.Rand, share int) []*kubelet {
	c.mu.Lock()
	defer c.mu.Unlock()
	var working, cut []*kubelet
	for _, node := range listOf[corev1.Node](c.world) {
		if k := c.kubelets[node.Name]; k != nil && k.isAlive() {
			working = append(working, k)
		}
	}
	dice.Shuffle(len(working), func(i, j int) { working[i], working[j] = working[j], working[i] })
	for i, k := range working {
		if i > 0 && i*100 >= share*len(working) {
			break
		}
		k.deadSince = time.Now()
		c.world.note("cluster", "node %s falls silent", k.machine.NodeName())
		cut = append(cut, k)
	}
	return cut
}

func (c *cluster) reconnect(cut []*kubelet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range cut {
		if !k.gone {
			k.deadSince = time.Time{}
		}
	}
	c.poke()
}

func (c *cluster) setNeverReady(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.neverReady = is
}

// mend has a Node's kubelet work from now on.
func (c *cluster) mend(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.kubelets[node]; k != nil && k.neverReady {
		k.neverReady = false
		c.poke()
	}
}

// registerAgain deletes a Node whose kubelet registers it anew, as after a reinstallation under the same name.
func (c *cluster) registerAgain(dice *rand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, node := range listOf[corev1.Node](c.world) {
		k := c.kubelets[node.Name]
		if k == nil || !k.isAlive() || dice.IntN(4) != 0 || k.machine.Foreign {
			continue
		}
		c.world.hit("join-twice")
		c.world.note("cluster", "node %s registers again", node.Name)
		ignore(c.server.As("kubelet").Delete(node, deleteNow))
		ignore(c.register(k))
		return
	}
}

package sim

import (
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// nominationFaults are what happens to nominations of pods: kube-scheduler clears them when it finds no place, preemptions make others, and other
// schedulers do not look at them. Machines that are gone and lost writes are faults of their own.
func nominationFaults() []fault {
	return []fault{
		{"nominations-lost", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, time.Second, 5*time.Second, func() {
				w.eachWaiting(func(pod *corev1.Pod) {
					if pod.Status.NominatedNodeName != "" {
						w.hit("nominations-lost")
						w.nominate(pod, "")
					}
				})
			})
		}},
		{"preemptions-nominate", func(w *world, dice *rand.Rand) func() {
			// Often enough to come between a plan and its writes.
			stop := w.repeat(dice, 100*time.Millisecond, time.Second, func() {
				nodes := kubesim.List[corev1.Node](w.cluster.server, "")
				w.eachWaiting(func(pod *corev1.Pod) {
					if len(nodes) > 0 && dice.IntN(8) == 0 {
						w.hit("preemptions-nominate")
						w.nominate(pod, nodes[dice.IntN(len(nodes))].Name)
					}
				})
			})
			return func() {
				stop()
				w.eachWaiting(func(pod *corev1.Pod) {
					if pod.Status.NominatedNodeName != "" && !isOurNomination(pod) {
						w.nominate(pod, "")
					}
				})
			}
		}},
		// A planner that was frozen writes late, for a machine that is gone by then.
		{"nominations-stale", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 2*time.Second, 10*time.Second, func() {
				w.eachWaiting(func(pod *corev1.Pod) {
					if isOurNomination(pod) {
						w.hit("nominations-stale")
						moved := pod.DeepCopy()
						moved.Status.NominatedNodeName = "gone-" + pod.Status.NominatedNodeName
						ignore(w.cluster.server.As("latecomer").ManagedBy(v1beta1.FieldManagerNominations).UpdateStatus(moved))
					}
				})
			})
		}},
		{"another-scheduler", func(w *world, _ *rand.Rand) func() {
			w.cluster.setHeedless(true)
			return func() { w.cluster.setHeedless(false) }
		}},
	}
}

// eachWaiting visits the pods that have no node.
func (w *world) eachWaiting(visit func(*corev1.Pod)) {
	for _, pod := range kubesim.List[corev1.Pod](w.cluster.server, "") {
		if pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil {
			visit(pod)
		}
	}
}

func (w *world) nominate(pod *corev1.Pod, node string) {
	changed := pod.DeepCopy()
	changed.Status.NominatedNodeName = node
	ignore(w.cluster.server.As("kube-scheduler").UpdateStatus(changed))
}

// setHeedless has pods scheduled with no regard to nominations.
func (c *cluster) setHeedless(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heedless = is
	c.poke()
}

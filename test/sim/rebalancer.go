package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

const (
	// rebalancerName is the client of a service that may replace machines.
	rebalancerName = "rebalancer"
	// replacementWithin is how long the rebalancer waits for a replacement, or for the machine that it retired.
	replacementWithin = 40 * time.Minute
	rebalancerPoll    = 2 * time.Second
)

// replacement is a machine that is replaced in a run.
type replacement struct {
	at time.Duration
	// pick chooses among the busy machines.
	pick int
	// eager has the retirement written before the replacement is Ready.
	eager bool
}

// drawReplacements has its own dice, so that runs without replacements are as they were.
func (p *plan) drawReplacements() {
	dice := rand.New(rand.NewPCG(p.seed, 10))
	if dice.IntN(3) > 0 {
		return
	}
	for range 1 + dice.IntN(3) + int(p.length/(10*time.Hour)) {
		p.replacements = append(p.replacements, replacement{at: between(dice, 3*time.Minute, p.length-10*time.Minute), pick: dice.IntN(100), eager: dice.IntN(3) == 0})
	}
}

// rebalance lets the planned replacements happen, one after another, until done is closed.
func (w *world) rebalance(done <-chan struct{}) {
	plans := slices.SortedFunc(slices.Values(w.plan.replacements), func(a, b replacement) int { return int(a.at - b.at) })
	for number, r := range plans {
		if wait := r.at - time.Since(w.began); wait > 0 && !sleep(done, wait) {
			return
		}
		if !w.replace(done, number, r) {
			return
		}
	}
}

// replace launches a machine in the place of a busy one, and retires that one once the new one is Ready. It reports false when done was
// closed.
func (w *world) replace(done <-chan struct{}, number int, r replacement) bool {
	var old *v1beta1.VPSieNode
	for old == nil {
		if !sleep(done, rebalancerPoll) {
			return false
		}
		if busy := w.replaceable(); len(busy) > 0 {
			old = busy[r.pick%len(busy)].DeepCopy()
		}
	}
	rebalancer := w.cluster.server.As(rebalancerName)
	next := replacementOf(old, number)
	if err := rebalancer.Create(next); err != nil {
		return true
	}
	w.note(rebalancerName, "%s is launched in the place of %s", next.Name, old.Name)
	w.hit("replacements-launched")
	for began := time.Now(); !r.eager && !w.isUsable(next); {
		if !sleep(done, rebalancerPoll) {
			return false
		}
		if !w.mayCome(next) || time.Since(began) > replacementWithin {
			return true // whoever has no use for it takes it away
		}
	}
	if !w.retireReplaced(old) {
		return true
	}
	w.note(rebalancerName, "%s is retired, its replacement is %s", old.Name, next.Name)
	for began := time.Now(); time.Since(began) < replacementWithin; {
		if !sleep(done, rebalancerPoll) {
			return false
		}
		now := kubesim.Get[v1beta1.VPSieNode](w.cluster.server, old.Namespace, old.Name)
		switch {
		case now == nil || now.UID != old.UID || now.Status.Identifier == "": // its object may be kept for another request
			w.hit("machines-replaced")
			return true
		case now.Spec.Retirement == nil:
			w.hit("replacements-aborted")
			return true
		}
	}
	return true
}

// replaceable are the machines that run something, in groups that have room for one more.
func (w *world) replaceable() []*v1beta1.VPSieNode {
	count, most := map[string]int{}, map[string]int{}
	for _, g := range listOf[v1beta1.NodeGroup](w) {
		if g.DeletionTimestamp == nil {
			most[keyOf(g)] = int(g.Spec.MaxNodes)
		}
	}
	all := machines(w)
	for _, n := range all {
		count[groupOf(n)]++
	}
	busy := map[string]bool{}
	for _, pod := range listOf[corev1.Pod](w) {
		busy[pod.Spec.NodeName] = busy[pod.Spec.NodeName] || pod.DeletionTimestamp == nil && !isOver(pod)
	}
	return slices.DeleteFunc(slices.Clone(all), func(n *v1beta1.VPSieNode) bool {
		return n.Status.Phase != v1beta1.PhaseReady || n.DeletionTimestamp != nil || n.Spec.Retirement != nil ||
			n.Status.NodeName == "" || !busy[n.Status.NodeName] || count[groupOf(n)] >= most[groupOf(n)]
	})
}

// replacementOf is a machine of the same size and group.
func replacementOf(old *v1beta1.VPSieNode, number int) *v1beta1.VPSieNode {
	return &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: old.Namespace, Name: fmt.Sprintf("replacement-%d", number), Finalizers: []string{v1beta1.FinalizerMachine},
			Labels: map[string]string{v1beta1.LabelNodeGroup: old.Spec.NodeGroup, v1beta1.LabelCluster: old.Spec.Cluster.Identifier},
		},
		Spec: v1beta1.VPSieNodeSpec{
			NodeGroup: old.Spec.NodeGroup, Offering: old.Spec.Offering, OfferingName: old.Spec.OfferingName, Cluster: old.Spec.Cluster,
			Origin: v1beta1.OriginReplacement, Reason: "replace.test", DecisionID: fmt.Sprintf("replacement-%d", number),
			LaunchDeadline: metav1.Duration{Duration: 15 * time.Minute}, Replaces: []string{old.Name},
		},
	}
}

// isUsable reports whether the Node of a machine takes pods.
func (w *world) isUsable(n *v1beta1.VPSieNode) bool {
	now := kubesim.Get[v1beta1.VPSieNode](w.cluster.server, n.Namespace, n.Name)
	if now == nil || now.Status.Phase != v1beta1.PhaseReady || !w.mayCome(n) {
		return false
	}
	node := kubesim.Get[corev1.Node](w.cluster.server, "", now.Status.NodeName)
	return node != nil && isReady(node)
}

// mayCome reports whether a machine is there, or may come, and nobody wants it gone.
func (w *world) mayCome(n *v1beta1.VPSieNode) bool {
	now := kubesim.Get[v1beta1.VPSieNode](w.cluster.server, n.Namespace, n.Name)
	return now != nil && now.UID == n.UID && now.DeletionTimestamp == nil && now.Spec.Retirement == nil && now.Status.Phase != v1beta1.PhaseFailed
}

// retireReplaced writes the retirement, and reports false when the machine goes anyway.
func (w *world) retireReplaced(old *v1beta1.VPSieNode) bool {
	now := kubesim.Get[v1beta1.VPSieNode](w.cluster.server, old.Namespace, old.Name)
	if now == nil || now.UID != old.UID || now.DeletionTimestamp != nil || now.Spec.Retirement != nil {
		return false
	}
	changed := now.DeepCopy()
	changed.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireReplace, DecisionID: "replacement", Reason: "replace.test", Message: "replaced by a machine that is launched for that"}
	return w.cluster.server.As(rebalancerName).Update(changed) == nil
}

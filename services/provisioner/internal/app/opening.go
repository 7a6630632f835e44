package app

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// openingMax is how long after its registration a Node stays closed to pods at most. The planner nominates the machine's pods well
// before, unless it is dead or the API server is slow; kube-scheduler then places them as it likes. It does not count from the first
// Ready: the network's agent may be one of the pods that are kept off.
const openingMax = 10 * time.Second

// staysClosed is for how much longer a Node is kept closed for the pods that its machine was launched for: those that kube-scheduler tries
// before they are nominated would take the room of others.
func staysClosed(n *v1beta1.VPSieNode, node *corev1.Node, now time.Time) time.Duration {
	if n.Annotations[v1beta1.AnnotationNominations] != v1beta1.NominationsPending {
		return 0
	}
	return max(node.CreationTimestamp.Add(openingMax).Sub(now), 0)
}

// closed puts the taint that keeps pods off a new Node on it.
func closed(node *corev1.Node) {
	if !hasTaint(node, v1beta1.TaintOpening) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: v1beta1.TaintOpening, Effect: corev1.TaintEffectNoSchedule})
	}
}

// opened takes the taint off, and reports whether it was there.
func opened(node *corev1.Node) bool {
	before := len(node.Spec.Taints)
	node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1beta1.TaintOpening })
	return len(node.Spec.Taints) < before
}

// open lets pods onto a Node once those that it was launched for are nominated to it, and returns when to look again; zero is when
// something changes.
func (r *Nodes) open(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (time.Duration, error) {
	if !hasTaint(node, v1beta1.TaintOpening) {
		return 0, nil
	}
	if wait := staysClosed(n, node, r.clock.Now()); wait > 0 {
		return wait, nil
	}
	base := node.DeepCopy()
	return 0, r.patchNode(ctx, base, node, !opened(node))
}

// sooner is the shorter of two waits, of which zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

package app

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// openingMax is how long after its Node's first Ready a machine stays closed to pods at most. The planner nominates the machine's pods
// well before, unless it is dead or the API server is slow; kube-scheduler then places them as it likes.
const openingMax = 10 * time.Second

// awaitsNominations reports whether a machine's Node is to stay closed for the pods that the machine was bought for: those that
// kube-scheduler tries before they are nominated would take the room of others.
func awaitsNominations(n *v1beta1.VPSieNode, now time.Time) bool {
	return n.Annotations[v1beta1.AnnotationNominations] == v1beta1.NominationsPending && now.Before(opensAt(n, now))
}

// opensAt is when a machine's Node opens at the latest.
func opensAt(n *v1beta1.VPSieNode, now time.Time) time.Time {
	if n.Status.ReadyAt == nil {
		return now.Add(openingMax)
	}
	return n.Status.ReadyAt.Add(openingMax)
}

// closed puts the taint that keeps pods off a new Node on it.
func closed(node *corev1.Node) {
	if !hasTaint(node, v1beta1.TaintOpening) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: v1beta1.TaintOpening, Effect: corev1.TaintEffectNoSchedule})
	}
}

// open lets pods onto a Ready Node once those that it was bought for are nominated to it, and returns when to look again.
func (r *Nodes) open(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (time.Duration, error) {
	now := r.clock.Now()
	if !hasTaint(node, v1beta1.TaintOpening) {
		return 0, nil
	}
	if awaitsNominations(n, now) {
		return opensAt(n, now).Sub(now), nil
	}
	base := node.DeepCopy()
	node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1beta1.TaintOpening })
	return 0, r.patchNode(ctx, base, node, false)
}

package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// nodeOf reads the machine's Node live; nil means that there is none. A Node that has the machine's
// name and is not the machine's is not returned, but why it is not.
func (r *Nodes) nodeOf(ctx context.Context, n *v1beta1.VPSieNode) (*corev1.Node, string, error) {
	name := fleet.NodeName(n)
	if name == "" {
		return nil, "", nil
	}
	node := &corev1.Node{}
	if err := r.store.Live.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return nil, "", ignoreGone(err)
	}
	if why := disowned(n, node); why != "" {
		return nil, why, nil
	}
	return node, "", nil
}

// cordon keeps new pods away from the Node and remembers that it was us. It reports whether the taint had to be put on.
func (r *Nodes) cordon(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (tainted bool, err error) {
	base := node.DeepCopy()
	if !hasTaint(node, v1beta1.TaintDraining) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: v1beta1.TaintDraining, Value: n.Name, Effect: corev1.TaintEffectNoSchedule})
	}
	if !node.Spec.Unschedulable {
		node.Spec.Unschedulable = true
		if node.Annotations == nil {
			node.Annotations = map[string]string{}
		}
		node.Annotations[v1beta1.AnnotationCordoned] = "true"
	}
	tainted = !hasTaint(base, v1beta1.TaintDraining)
	if tainted {
		r.settling.forget(node.Name) // also if the answer to the patch is lost
	}
	return tainted, r.patchNode(ctx, base, node, !tainted && base.Spec.Unschedulable)
}

// uncordon removes our taint, and our cordon if it was ours.
func (r *Nodes) uncordon(ctx context.Context, node *corev1.Node) error {
	base := node.DeepCopy()
	taints := node.Spec.Taints[:0:0]
	for _, taint := range node.Spec.Taints {
		if taint.Key != v1beta1.TaintDraining {
			taints = append(taints, taint)
		}
	}
	changed := len(taints) != len(node.Spec.Taints)
	node.Spec.Taints = taints
	r.settling.forget(node.Name) // the next taint settles anew
	if node.Annotations[v1beta1.AnnotationCordoned] != "" {
		delete(node.Annotations, v1beta1.AnnotationCordoned)
		node.Spec.Unschedulable = false
		changed = true
	}
	return r.patchNode(ctx, base, node, !changed)
}

func (r *Nodes) patchNode(ctx context.Context, base, node *corev1.Node, unchanged bool) error {
	if unchanged {
		return nil
	}
	if err := r.store.Patch(ctx, node, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("change Node %q: %w", node.Name, err)
	}
	return nil
}

func hasTaint(node *corev1.Node, key string) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == key {
			return true
		}
	}
	return false
}

// taintKept is after how long a taint is forgotten; a drain that goes on for longer settles once more.
const taintKept = time.Hour

// settling is since when this process knows of the taint on each Node that it drains. When the drain began, or what another
// process wrote of a time, does not say that everybody has seen the taint: that process may have died before it. The methods
// are safe for concurrent use.
type settling struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func newSettling() *settling { return &settling{since: map[string]time.Time{}} }

// forget has the time of a Node's taint begin anew when it is next seen.
func (s *settling) forget(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, node)
}

// passed is for how long the taint on a Node has been known by now.
func (s *settling) passed(node string, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, since := range s.since {
		if now.Sub(since) > taintKept {
			delete(s.since, name)
		}
	}
	since, known := s.since[node]
	if !known {
		s.since[node] = now
		return 0
	}
	return now.Sub(since)
}

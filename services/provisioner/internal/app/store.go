package app

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// Store reads and writes Kubernetes: from a cache where a stale answer costs time, and live where
// it would cost a machine.
type Store struct {
	client.Client
	Live  client.Reader
	Facts Facts
}

// Facts tells the other services what happened to machines. It never blocks.
type Facts interface {
	PhaseChanged(ctx context.Context, n *v1beta1.VPSieNode, from, to v1beta1.Phase, message string)
}

// Change writes what happened to a machine on the condition that nobody else changed the object since it was read; when
// somebody did, it reads and decides again, so the change may be made more than once, each time to what the API server holds
// then. The object is brought up to date. It reports whether anything was written, and tells of the phase when it changed.
func (s *Store) Change(ctx context.Context, n *v1beta1.VPSieNode, change machine.Change) (bool, error) {
	var step machine.Step
	written, err := s.update(ctx, n, func(n *v1beta1.VPSieNode) (bool, error) {
		var err error
		step, err = machine.Apply(n, change)
		return step.Changed, err
	}, func(base client.Patch) error { return s.Status().Patch(ctx, n, base) })
	if written && step.IsTransition() {
		s.Facts.PhaseChanged(ctx, n, step.From, step.To, step.Why)
	}
	return written, err
}

// Update does for the rest of the object what Change does for its status.
func (s *Store) Update(ctx context.Context, node *v1beta1.VPSieNode, change func(*v1beta1.VPSieNode) bool) (bool, error) {
	return s.update(ctx, node, func(n *v1beta1.VPSieNode) (bool, error) { return change(n), nil },
		func(base client.Patch) error { return s.Patch(ctx, node, base) })
}

// LetGo takes the finalizer off an object that is deleted, if it may go as it is then, and tells of the end: Gone or Released.
func (s *Store) LetGo(ctx context.Context, n *v1beta1.VPSieNode, end v1beta1.Phase, why string) (bool, error) {
	var from v1beta1.Phase
	written, err := s.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		from = machine.StateOf(n)
		return machine.MayGo(n, end) && controllerutil.RemoveFinalizer(n, v1beta1.FinalizerMachine)
	})
	if written {
		s.Facts.PhaseChanged(ctx, n, from, end, why)
	}
	return written, err
}

func (s *Store) update(ctx context.Context, node *v1beta1.VPSieNode, change func(*v1beta1.VPSieNode) (bool, error), write func(client.Patch) error) (bool, error) {
	written := false
	key := client.ObjectKeyFromObject(node)
	fresh := true
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if !fresh {
			if err := s.Live.Get(ctx, key, node); err != nil {
				return err
			}
		}
		fresh, written = false, false
		base := node.DeepCopy()
		if changed, err := change(node); err != nil || !changed {
			return err
		}
		if err := write(client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
			return err
		}
		written = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("write VPSieNode %s: %w", key, err)
	}
	return written, nil
}

// acceptsObjects reports whether a namespace exists and is not being deleted.
func (s *Store) acceptsObjects(ctx context.Context, namespace string) (bool, error) {
	object := &corev1.Namespace{}
	err := s.Live.Get(ctx, client.ObjectKey{Name: namespace}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read Namespace %q: %w", namespace, err)
	}
	return object.DeletionTimestamp == nil, nil
}

// allNodes reads every VPSieNode live, because a stale list would count a machine as nobody's.
func (s *Store) allNodes(ctx context.Context) ([]*v1beta1.VPSieNode, error) {
	return listNodes(ctx, s.Live)
}

// knownNodes reads every VPSieNode from the cache.
func (s *Store) knownNodes(ctx context.Context) ([]*v1beta1.VPSieNode, error) {
	return listNodes(ctx, s.Client)
}

func listNodes(ctx context.Context, r client.Reader) ([]*v1beta1.VPSieNode, error) {
	var list v1beta1.VPSieNodeList
	if err := r.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list VPSieNodes: %w", err)
	}
	nodes := make([]*v1beta1.VPSieNode, len(list.Items))
	for i := range list.Items {
		nodes[i] = &list.Items[i]
	}
	return nodes, nil
}

// ignoreGone drops errors that say that the object is gone.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	return err
}

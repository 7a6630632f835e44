package app

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Store reads and writes Kubernetes: from a cache where a stale answer costs time, and live where
// it would cost a machine.
type Store struct {
	client.Client
	Live client.Reader
}

// Mutate changes a VPSieNode and reports whether there is anything to write. It may be called more
// than once, each time with what the API server holds then, so it decides on what it is given.
type Mutate func(*v1beta1.VPSieNode) bool

// UpdateStatus applies a change to the status of a VPSieNode on the condition that nobody else
// changed the object since it was read; when somebody did, it reads and decides again. The object
// is brought up to date. It reports whether anything was written.
func (s *Store) UpdateStatus(ctx context.Context, node *v1beta1.VPSieNode, change Mutate) (bool, error) {
	return s.update(ctx, node, change, func(base client.Patch) error { return s.Status().Patch(ctx, node, base) })
}

// Update does for the rest of the object what UpdateStatus does for its status.
func (s *Store) Update(ctx context.Context, node *v1beta1.VPSieNode, change Mutate) (bool, error) {
	return s.update(ctx, node, change, func(base client.Patch) error { return s.Patch(ctx, node, base) })
}

func (s *Store) update(ctx context.Context, node *v1beta1.VPSieNode, change Mutate, write func(client.Patch) error) (bool, error) {
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
		if !change(node) {
			return nil
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

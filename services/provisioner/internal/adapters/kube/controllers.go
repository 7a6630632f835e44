// Package kube calls the provisioner's use cases when Kubernetes changes.
package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

const (
	nodeWorkers    = 8
	clusterWorkers = 4
	retryFirst     = 200 * time.Millisecond
	retryMax       = 30 * time.Second
	indexHostname  = "status.hostname"
)

// CacheOptions trims what the informers keep.
func CacheOptions() *cache.Options {
	return &cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: map[client.Object]cache.ByObject{
		&corev1.Node{}: {Transform: trimNode},
	}}
}

// trimNode keeps what is read of Nodes: all that is ours to write, and of the status whether they are Ready and what they have.
func trimNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	node.ManagedFields = nil
	status := corev1.NodeStatus{Allocatable: node.Status.Allocatable}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime}}
		}
	}
	node.Status = status
	return node, nil
}

// NodeReconciler takes one VPSieNode a step further.
type NodeReconciler interface {
	Reconcile(ctx context.Context, key client.ObjectKey) (time.Duration, error)
}

// ClusterReconciler does what is to be done at VPSie for one cluster.
type ClusterReconciler interface {
	Reconcile(ctx context.Context, cluster string) (time.Duration, error)
}

// Wakeups carries what a message or a listing asks to look at.
type Wakeups[K comparable] chan event.TypedGenericEvent[K]

// ClusterWakeups name VPSie clusters.
type ClusterWakeups = Wakeups[string]

// NodeWakeups name VPSieNodes.
type NodeWakeups = Wakeups[reconcile.Request]

// NewWakeups returns an empty channel of them.
func NewWakeups[K comparable]() Wakeups[K] { return make(Wakeups[K], 64) }

// Wake asks for a look.
func (w Wakeups[K]) Wake(ctx context.Context, what K) error {
	select {
	case w <- event.TypedGenericEvent[K]{Object: what}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wake %v: %w", what, ctx.Err())
	}
}

// source has a controller look at what is asked for.
func (w Wakeups[K]) source() source.TypedSource[K] {
	return source.TypedChannel(w, handler.TypedFuncs[K, K]{
		GenericFunc: func(_ context.Context, e event.TypedGenericEvent[K], q workqueue.TypedRateLimitingInterface[K]) {
			q.Add(e.Object)
		},
	})
}

// AddNodes runs a reconciler of VPSieNodes, woken by messages, by the VPSieNodes and by their Nodes.
func AddNodes(mgr manager.Manager, r NodeReconciler, wakeups NodeWakeups) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1beta1.VPSieNode{}, indexHostname, func(o client.Object) []string {
		if n, ok := o.(*v1beta1.VPSieNode); ok && n.Status.Hostname != "" {
			return []string{strings.ToLower(n.Status.Hostname)}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index VPSieNodes by hostname: %w", err)
	}
	ofNode := func(ctx context.Context, o client.Object) []reconcile.Request {
		var list v1beta1.VPSieNodeList
		if err := mgr.GetCache().List(ctx, &list, client.MatchingFields{indexHostname: o.GetName()}); err != nil {
			return nil // the cache is closing
		}
		var requests []reconcile.Request
		for i := range list.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
		return requests
	}
	return ctrl.NewControllerManagedBy(mgr).Named("vpsienode").
		For(&v1beta1.VPSieNode{}).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(ofNode), builder.WithPredicates(predicate.Funcs{UpdateFunc: nodeMatters})).
		WatchesRawSource(wakeups.source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: nodeWorkers, RateLimiter: limiter[reconcile.Request]()}).
		Complete(ofNodes(r))
}

// AddTeller runs a reconciler of the VPSieNodes that carry something to tell. It has one worker, since nothing waits for it.
func AddTeller(mgr manager.Manager, r NodeReconciler) error {
	carries := predicate.NewPredicateFuncs(func(o client.Object) bool {
		n, ok := o.(*v1beta1.VPSieNode)
		return ok && len(n.Status.Untold)+len(n.Status.UntoldDecisions) > 0
	})
	return ctrl.NewControllerManagedBy(mgr).Named("vpsienode-teller").
		For(&v1beta1.VPSieNode{}, builder.WithPredicates(carries)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, RateLimiter: limiter[reconcile.Request]()}).
		Complete(ofNodes(r))
}

// ofNodes has a reconciler called for VPSieNodes by name.
func ofNodes(r NodeReconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		return result(r.Reconcile(ctx, req.NamespacedName))
	})
}

// nodeMatters drops the kubelet's heartbeats.
func nodeMatters(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*corev1.Node)
	after, ok2 := e.ObjectNew.(*corev1.Node)
	if !ok || !ok2 {
		return true
	}
	return ready(before) != ready(after) || before.Spec.ProviderID != after.Spec.ProviderID ||
		before.Spec.Unschedulable != after.Spec.Unschedulable || len(before.Spec.Taints) != len(after.Spec.Taints) ||
		before.Labels[v1beta1.LabelVPSieNode] != after.Labels[v1beta1.LabelVPSieNode] || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero()
}

func ready(node *corev1.Node) corev1.ConditionStatus {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status
		}
	}
	return ""
}

// AddClusters runs a reconciler of VPSie clusters, woken by messages and by the VPSieNodes in them.
// A queue never works on the same cluster twice at once, which serialises its launches.
func AddClusters(mgr manager.Manager, r ClusterReconciler, wakeups ClusterWakeups) error {
	c, err := controller.NewTyped("vpsiecluster", mgr, controller.TypedOptions[string]{
		MaxConcurrentReconciles: clusterWorkers,
		RateLimiter:             limiter[string](),
		Reconciler: reconcile.TypedFunc[string](func(ctx context.Context, cluster string) (reconcile.Result, error) {
			return result(r.Reconcile(ctx, cluster))
		}),
	})
	if err != nil {
		return fmt.Errorf("make controller of VPSie clusters: %w", err)
	}
	enqueue := handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, n *v1beta1.VPSieNode) []string {
		return []string{n.Spec.Cluster.Identifier}
	})
	changes := predicate.TypedFuncs[*v1beta1.VPSieNode]{UpdateFunc: func(e event.TypedUpdateEvent[*v1beta1.VPSieNode]) bool {
		return e.ObjectOld.Status.Phase != e.ObjectNew.Status.Phase || e.ObjectOld.Generation != e.ObjectNew.Generation ||
			e.ObjectOld.DeletionTimestamp.IsZero() != e.ObjectNew.DeletionTimestamp.IsZero()
	}}
	if err := c.Watch(source.TypedKind(mgr.GetCache(), &v1beta1.VPSieNode{}, enqueue, changes)); err != nil {
		return fmt.Errorf("watch VPSieNodes: %w", err)
	}
	if err := c.Watch(wakeups.source()); err != nil {
		return fmt.Errorf("watch wake-ups: %w", err)
	}
	return nil
}

// result looks again soon after a conflict, which says no more than that somebody else was faster.
func result(wait time.Duration, err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: retryFirst}, nil
	}
	return reconcile.Result{RequeueAfter: wait}, err
}

func limiter[K comparable]() workqueue.TypedRateLimiter[K] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[K](retryFirst, retryMax)
}

// Package kube feeds the observer's ledger from Kubernetes watches.
package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	libkube "github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// CacheOptions trims what the informers keep to what shapes are made of, and tells the ledger when
// one of them loses the cluster.
func CacheOptions(ledger *app.Ledger, c clock.WithTicker) (*cache.Options, error) {
	scheme, err := libkube.Scheme()
	if err != nil {
		return nil, err
	}
	// Nobody else looks at storage and priorities.
	if err := errors.Join(storagev1.AddToScheme(scheme), schedulingv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register API types: %w", err)
	}
	troubled := func(ctx context.Context, r *toolscache.Reflector, err error) {
		toolscache.DefaultWatchErrorHandler(ctx, r, err)
		// A watch that the server ends in an orderly way is opened again at once.
		if !errors.Is(err, io.EOF) && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			ledger.Troubled(err, c.Now())
		}
	}
	return &cache.Options{
		Scheme: scheme, DefaultWatchErrorHandler: troubled, DefaultTransform: cache.TransformStripManagedFields(), ByObject: trimmed(ledger),
		NewInformer: unindexed,
	}, nil
}

// unindexed makes an informer without indices: nobody looks anything up in it, and one of pods by namespace is large.
func unindexed(lw toolscache.ListerWatcher, kind runtime.Object, resync time.Duration, _ toolscache.Indexers) toolscache.SharedIndexInformer {
	return toolscache.NewSharedIndexInformer(lw, kind, resync, toolscache.Indexers{})
}

// Watch connects the informers of a cache to the ledger. The handlers run from then on; Synced of
// the returned registrations tells when the first listing has been taken in.
func Watch(ctx context.Context, informers cache.Cache, ledger *app.Ledger, c clock.PassiveClock, log *slog.Logger) ([]toolscache.ResourceEventHandlerRegistration, error) {
	var registrations []toolscache.ResourceEventHandlerRegistration
	for _, k := range kinds(ledger, c) {
		informer, err := informers.GetInformer(ctx, k.object, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", k.object, err)
		}
		registration, err := informer.AddEventHandler(k.handler(log))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", k.object, err)
		}
		registrations = append(registrations, registration)
	}
	return registrations, nil
}

// kind is a kind of object that the ledger is told of.
type kind struct {
	object      client.Object
	set, forget func(any) error
}

// kinds lists what is watched. What pods' shapes depend on goes first, so that most pods of the first
// listing get their shape once; any order is right.
func kinds(l *app.Ledger, c clock.PassiveClock) []kind {
	return []kind{
		of(l.SetNode, func(o *corev1.Node) error { return l.DeleteNode(o.Name) }),
		of(sure(l.SetCSINode), sure(func(o *storagev1.CSINode) { l.DeleteCSINode(o.Name) })),
		of(sure(l.SetNamespace), sure(func(o *corev1.Namespace) { l.DeleteNamespace(o.Name) })),
		of(l.SetClass, func(o *storagev1.StorageClass) error { return l.DeleteClass(o.Name) }),
		of(l.SetVolume, func(o *corev1.PersistentVolume) error { return l.DeleteVolume(o.Name) }),
		of(l.SetClaim, func(o *corev1.PersistentVolumeClaim) error { return l.DeleteClaim(o.Namespace, o.Name) }),
		of(l.SetBudget, func(o *policyv1.PodDisruptionBudget) error { return l.DeleteBudget(o.Namespace, o.Name) }),
		of(
			func(o *appsv1.ReplicaSet) error { return l.SetReplicaSet(o, c.Now()) },
			func(o *appsv1.ReplicaSet) error { return l.DeleteReplicaSet(o.UID) },
		),
		of(l.SetStatefulSet, func(o *appsv1.StatefulSet) error { return l.DeleteStatefulSet(o.UID) }),
		of(l.SetPriorityClass, func(o *schedulingv1.PriorityClass) error { return l.DeletePriorityClass(o.Name) }),
		of(l.SetDaemonSet, func(o *appsv1.DaemonSet) error { return l.DeleteDaemonSet(o.Namespace + "/" + o.Name) }),
		{
			object: &corev1.Pod{},
			set:    either(l.SetPod, l.SetCompact),
			forget: either(func(o *corev1.Pod) error { return l.DeletePod(o.UID) }, func(o *app.Pod) error { return l.DeletePod(o.UID) }),
		},
	}
}

// object is a Kubernetes object whose pointer type is P.
type object[T any] interface {
	*T
	client.Object
}

func of[T any, P object[T]](set, forget func(P) error) kind {
	typed := func(handle func(P) error) func(any) error {
		return func(o any) error {
			if o, ok := o.(P); ok {
				return handle(o)
			}
			return nil
		}
	}
	return kind{object: P(new(T)), set: typed(set), forget: typed(forget)}
}

// either handles a pod as it comes or as the informer keeps it.
func either(whole func(*corev1.Pod) error, compact func(*app.Pod) error) func(any) error {
	return func(o any) error {
		switch o := o.(type) {
		case *corev1.Pod:
			return whole(o)
		case *app.Pod:
			return compact(o)
		}
		return nil
	}
}

// sure makes a handler of one that cannot fail.
func sure[P any](handle func(P)) func(P) error {
	return func(o P) error { handle(o); return nil }
}

func (k kind) handler(log *slog.Logger) toolscache.ResourceEventHandlerFuncs {
	warn := func(o any, err error) {
		if err != nil {
			subject, _ := toolscache.DeletionHandlingMetaNamespaceKeyFunc(o) // it is for people
			log.Warn("object left out of the feed", "kind", fmt.Sprintf("%T", k.object), telemetry.KeySubject, subject, telemetry.KeyError, err)
		}
	}
	set := func(o any) { warn(o, k.set(o)) }
	forget := func(o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		warn(o, k.forget(o))
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: set,
		UpdateFunc: func(old, o any) {
			// An object that is made anew while the watch is away shows as an update of its predecessor.
			if before, err := meta.Accessor(old); err == nil {
				if after, err := meta.Accessor(o); err == nil && before.GetUID() != after.GetUID() {
					forget(old)
				}
			}
			set(o)
		},
		DeleteFunc: forget,
	}
}

// Package kube feeds the observer's ledger from Kubernetes watches.
package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// CacheOptions trims what the informers keep to what shapes are made of, and tells the ledger when
// one of them loses the cluster.
func CacheOptions(ledger *app.Ledger, c clock.WithTicker) *cache.Options {
	troubled := func(ctx context.Context, r *toolscache.Reflector, err error) {
		toolscache.DefaultWatchErrorHandler(ctx, r, err)
		// A watch that the server ends in an orderly way is opened again at once.
		if !errors.Is(err, io.EOF) && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			ledger.Troubled(err, c.Now())
		}
	}
	return &cache.Options{DefaultWatchErrorHandler: troubled, DefaultTransform: cache.TransformStripManagedFields(), ByObject: map[client.Object]cache.ByObject{
		&corev1.Pod{}:        {Transform: trimPod},
		&corev1.Node{}:       {Transform: trimNode},
		&appsv1.ReplicaSet{}: {Transform: trimReplicaSet},
	}}
}

func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	pod.ManagedFields = nil
	conditions := pod.Status.Conditions[:0]
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled {
			conditions = append(conditions, condition)
		}
	}
	pod.Status = corev1.PodStatus{Phase: pod.Status.Phase, Conditions: conditions, NominatedNodeName: pod.Status.NominatedNodeName}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			c := &containers[i]
			containers[i] = corev1.Container{Name: c.Name, Resources: c.Resources, Ports: c.Ports, RestartPolicy: c.RestartPolicy}
		}
	}
	return pod, nil
}

func trimNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	node.ManagedFields = nil
	node.Status.Images, node.Status.VolumesAttached, node.Status.VolumesInUse = nil, nil, nil
	return node, nil
}

// trimReplicaSet keeps what tells how many pods are to be made.
func trimReplicaSet(object any) (any, error) {
	set, ok := object.(*appsv1.ReplicaSet)
	if !ok {
		return object, nil
	}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: set.Name, UID: set.UID, ResourceVersion: set.ResourceVersion},
		Spec:       appsv1.ReplicaSetSpec{Replicas: set.Spec.Replicas},
	}, nil
}

// Watch connects the informers of a cache to the ledger. The handlers run from then on; Synced of
// the returned registrations tells when the first listing has been taken in.
func Watch(ctx context.Context, informers cache.Cache, ledger *app.Ledger, c clock.PassiveClock, log *slog.Logger) ([]toolscache.ResourceEventHandlerRegistration, error) {
	w := watcher{informers: informers, ledger: ledger, clock: c, log: log}
	var registrations []toolscache.ResourceEventHandlerRegistration
	for _, watch := range []struct {
		object      client.Object
		set, forget func(any)
	}{
		{&corev1.Node{}, w.setNode, w.deleteNode},
		{&policyv1.PodDisruptionBudget{}, w.setBudget, w.deleteBudget},
		{&appsv1.DaemonSet{}, w.setDaemonSet, w.deleteDaemonSet},
		{&appsv1.ReplicaSet{}, w.setReplicaSet, w.deleteReplicaSet},
		{&corev1.Pod{}, w.setPod, w.deletePod},
	} {
		informer, err := informers.GetInformer(ctx, watch.object, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", watch.object, err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    watch.set,
			UpdateFunc: func(_, object any) { watch.set(object) },
			DeleteFunc: func(object any) {
				if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
					object = gone.Obj
				}
				watch.forget(object)
			},
		})
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", watch.object, err)
		}
		registrations = append(registrations, registration)
	}
	return registrations, nil
}

type watcher struct {
	informers cache.Cache
	ledger    *app.Ledger
	clock     clock.PassiveClock
	log       *slog.Logger
}

func (w watcher) setPod(object any) {
	if pod, ok := object.(*corev1.Pod); ok {
		w.warn("pod", pod, w.ledger.SetPod(pod))
	}
}

func (w watcher) deletePod(object any) {
	if pod, ok := object.(*corev1.Pod); ok {
		w.ledger.DeletePod(pod.UID)
	}
}

func (w watcher) setNode(object any) {
	if node, ok := object.(*corev1.Node); ok {
		w.ledger.SetNode(node)
	}
}

func (w watcher) deleteNode(object any) {
	if node, ok := object.(*corev1.Node); ok {
		w.ledger.DeleteNode(node.Name)
	}
}

func (w watcher) setReplicaSet(object any) {
	if set, ok := object.(*appsv1.ReplicaSet); ok {
		w.ledger.SetReplicaSet(set, w.clock.Now())
	}
}

func (w watcher) deleteReplicaSet(object any) {
	if set, ok := object.(*appsv1.ReplicaSet); ok {
		w.ledger.DeleteReplicaSet(set.UID)
	}
}

func (w watcher) setDaemonSet(object any) {
	if set, ok := object.(*appsv1.DaemonSet); ok {
		w.warn("daemonset", set, w.ledger.SetDaemonSet(set))
	}
}

func (w watcher) deleteDaemonSet(object any) {
	if set, ok := object.(*appsv1.DaemonSet); ok {
		w.ledger.DeleteDaemonSet(set.Namespace + "/" + set.Name)
	}
}

func (w watcher) setBudget(object any) {
	if pdb, ok := object.(*policyv1.PodDisruptionBudget); ok {
		again, err := w.ledger.SetBudget(pdb)
		w.warn("poddisruptionbudget", pdb, err)
		if again {
			w.reshape(pdb.Namespace)
		}
	}
}

func (w watcher) deleteBudget(object any) {
	if pdb, ok := object.(*policyv1.PodDisruptionBudget); ok {
		w.ledger.DeleteBudget(pdb.Namespace + "/" + pdb.Name)
		w.reshape(pdb.Namespace)
	}
}

// reshape gives the pods of a namespace again, because a budget's cover is part of their shape.
// Pods that the informer has not listed yet arrive by their own event.
func (w watcher) reshape(namespace string) {
	var pods corev1.PodList
	if err := w.informers.List(context.Background(), &pods, client.InNamespace(namespace)); err != nil {
		return
	}
	for i := range pods.Items {
		w.setPod(&pods.Items[i])
	}
}

func (w watcher) warn(kind string, object metav1.Object, err error) {
	if err != nil {
		w.log.Warn("object is left out of the feed", "kind", kind, telemetry.KeySubject, object.GetNamespace()+"/"+object.GetName(), telemetry.KeyError, err)
	}
}

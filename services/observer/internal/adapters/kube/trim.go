package kube

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// trimmed lists what is kept of each kind: what shapes are made of, and no more. Of pods there are so many that informer
// and ledger keep one and the same thing.
func trimmed(ledger *app.Ledger) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}:                   {Transform: compact(ledger)},
		&corev1.Node{}:                  {Transform: trim(trimNode)},
		&corev1.Namespace{}:             {Transform: trim(trimNamespace)},
		&corev1.PersistentVolumeClaim{}: {Transform: trim(trimClaim)},
		&corev1.PersistentVolume{}:      {Transform: trim(trimVolume)},
		&storagev1.StorageClass{}:       {Transform: trim(trimClass)},
		&storagev1.CSINode{}:            {Transform: trim(trimCSINode)},
		&appsv1.ReplicaSet{}:            {Transform: trim(trimReplicaSet)},
		&appsv1.StatefulSet{}:           {Transform: trim(trimStatefulSet)},
	}
}

// trim makes a transform of a function that knows its kind.
func trim[T any](of func(T) T) toolscache.TransformFunc {
	return func(object any) (any, error) {
		if typed, ok := object.(T); ok {
			return of(typed), nil
		}
		return object, nil
	}
}

func compact(ledger *app.Ledger) toolscache.TransformFunc {
	return func(object any) (any, error) {
		if pod, ok := object.(*corev1.Pod); ok {
			return ledger.Compact(pod)
		}
		return object, nil
	}
}

// identity is what tells one version of an object from another.
func identity(o metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
}

func trimNode(node *corev1.Node) *corev1.Node {
	out := &corev1.Node{
		ObjectMeta: identity(node.ObjectMeta), Spec: corev1.NodeSpec{Taints: node.Spec.Taints, Unschedulable: node.Spec.Unschedulable},
		Status: corev1.NodeStatus{Allocatable: node.Status.Allocatable},
	}
	out.Labels, out.Annotations = node.Labels, app.ReadAnnotations(node.Annotations)
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			out.Status.Conditions = append(out.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
	return out
}

func trimNamespace(namespace *corev1.Namespace) *corev1.Namespace {
	out := &corev1.Namespace{ObjectMeta: identity(namespace.ObjectMeta)}
	out.Labels = namespace.Labels
	return out
}

func trimClaim(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	out := &corev1.PersistentVolumeClaim{
		ObjectMeta: identity(claim.ObjectMeta),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: claim.Spec.AccessModes, VolumeName: claim.Spec.VolumeName, StorageClassName: claim.Spec.StorageClassName,
		},
	}
	out.DeletionTimestamp, out.OwnerReferences, out.Annotations = claim.DeletionTimestamp, claim.OwnerReferences, claim.Annotations
	out.Status.Phase = claim.Status.Phase
	return out
}

func trimVolume(volume *corev1.PersistentVolume) *corev1.PersistentVolume {
	out := &corev1.PersistentVolume{ObjectMeta: identity(volume.ObjectMeta), Spec: corev1.PersistentVolumeSpec{NodeAffinity: volume.Spec.NodeAffinity}}
	out.Labels = volume.Labels
	if csi := volume.Spec.CSI; csi != nil {
		out.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: csi.Driver, VolumeHandle: csi.VolumeHandle}
	}
	return out
}

func trimClass(class *storagev1.StorageClass) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta: identity(class.ObjectMeta), Provisioner: class.Provisioner,
		VolumeBindingMode: class.VolumeBindingMode, AllowedTopologies: class.AllowedTopologies,
	}
}

func trimCSINode(node *storagev1.CSINode) *storagev1.CSINode {
	out := &storagev1.CSINode{ObjectMeta: identity(node.ObjectMeta)}
	for _, driver := range node.Spec.Drivers {
		out.Spec.Drivers = append(out.Spec.Drivers, storagev1.CSINodeDriver{Name: driver.Name, Allocatable: driver.Allocatable})
	}
	return out
}

// trimReplicaSet keeps what tells how many pods are to be made, and how they are spread. Most
// ReplicaSets are the past of a Deployment and have no pods to spread.
func trimReplicaSet(set *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	out := &appsv1.ReplicaSet{ObjectMeta: identity(set.ObjectMeta), Spec: appsv1.ReplicaSetSpec{Replicas: set.Spec.Replicas}}
	if set.Spec.Replicas == nil || *set.Spec.Replicas > 0 || set.Status.Replicas > 0 {
		out.Spec.Selector = set.Spec.Selector
	}
	return out
}

func trimStatefulSet(set *appsv1.StatefulSet) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: identity(set.ObjectMeta), Spec: appsv1.StatefulSetSpec{Selector: set.Spec.Selector}}
}

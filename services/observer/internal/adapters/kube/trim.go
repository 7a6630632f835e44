package kube

import (
	"bytes"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// trimmed lists what is kept of each kind: what shapes are made of, and no more.
func trimmed() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}:                   {Transform: trim(trimPod)},
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

// identity is what tells one version of an object from another.
func identity(o metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
}

func trimPod(pod *corev1.Pod) *corev1.Pod {
	pod.ManagedFields = nominator(pod)
	conditions := pod.Status.Conditions[:0]
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled {
			conditions = append(conditions, condition)
		}
	}
	// A pod that is being resized takes what its containers have, as long as that is more than they ask for.
	pod.Status = corev1.PodStatus{
		Phase: pod.Status.Phase, Conditions: conditions, NominatedNodeName: pod.Status.NominatedNodeName, StartTime: pod.Status.StartTime,
		InitContainerStatuses: trimStatuses(pod.Status.InitContainerStatuses), ContainerStatuses: trimStatuses(pod.Status.ContainerStatuses),
		Resources: pod.Status.Resources, AllocatedResources: pod.Status.AllocatedResources,
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			c := &containers[i]
			containers[i] = corev1.Container{Name: c.Name, Resources: c.Resources, Ports: c.Ports, RestartPolicy: c.RestartPolicy}
		}
	}
	return pod
}

// nominator keeps of managed fields that the planner nominated the pod, which nothing else tells.
func nominator(pod *corev1.Pod) []metav1.ManagedFieldsEntry {
	if pod.Status.NominatedNodeName == "" {
		return nil
	}
	for _, entry := range pod.ManagedFields {
		if entry.Manager == v1beta1.FieldManagerNominations && entry.FieldsV1 != nil && bytes.Contains(entry.FieldsV1.GetRawBytes(), []byte(`"f:nominatedNodeName"`)) {
			return []metav1.ManagedFieldsEntry{{Manager: entry.Manager}}
		}
	}
	return nil
}

func trimStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	for i := range statuses {
		s := &statuses[i]
		statuses[i] = corev1.ContainerStatus{Name: s.Name, Resources: s.Resources, AllocatedResources: s.AllocatedResources}
	}
	return statuses
}

func trimNode(node *corev1.Node) *corev1.Node {
	node.ManagedFields = nil
	node.Status.Images, node.Status.VolumesAttached, node.Status.VolumesInUse = nil, nil, nil
	return node
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

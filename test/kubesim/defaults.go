package kubesim

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// defaultWorkload sets what controllers and the product read of a workload and of its pods' template.
func defaultWorkload(o client.Object) {
	var replicas **int32
	var template *corev1.PodSpec
	switch w := o.(type) {
	case *appsv1.Deployment:
		replicas, template = &w.Spec.Replicas, &w.Spec.Template.Spec
	case *appsv1.ReplicaSet:
		replicas, template = &w.Spec.Replicas, &w.Spec.Template.Spec
	case *appsv1.StatefulSet:
		replicas, template = &w.Spec.Replicas, &w.Spec.Template.Spec
	case *appsv1.DaemonSet:
		template = &w.Spec.Template.Spec
	}
	if replicas != nil && *replicas == nil {
		*replicas = new(int32(1))
	}
	defaultPodSpec(template)
}

// newClaim is what the API server makes of a new claim.
func newClaim(o client.Object) {
	claim := o.(*corev1.PersistentVolumeClaim)
	claim.Status.Phase = corev1.ClaimPending
}

// defaultClaim completes what a client leaves out.
func defaultClaim(o client.Object) {
	claim := o.(*corev1.PersistentVolumeClaim)
	if claim.Spec.VolumeMode == nil {
		claim.Spec.VolumeMode = new(corev1.PersistentVolumeFilesystem)
	}
}

// newVolume is what the API server makes of a new volume.
func newVolume(o client.Object) {
	volume := o.(*corev1.PersistentVolume)
	volume.Status.Phase = corev1.VolumePending
}

// defaultVolume completes what a client leaves out.
func defaultVolume(o client.Object) {
	volume := o.(*corev1.PersistentVolume)
	if volume.Spec.VolumeMode == nil {
		volume.Spec.VolumeMode = new(corev1.PersistentVolumeFilesystem)
	}
	if volume.Spec.PersistentVolumeReclaimPolicy == "" {
		volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	}
}

// defaultStorageClass completes what a client leaves out.
func defaultStorageClass(o client.Object) {
	class := o.(*storagev1.StorageClass)
	if class.ReclaimPolicy == nil {
		class.ReclaimPolicy = new(corev1.PersistentVolumeReclaimDelete)
	}
	if class.VolumeBindingMode == nil {
		class.VolumeBindingMode = new(storagev1.VolumeBindingImmediate)
	}
}

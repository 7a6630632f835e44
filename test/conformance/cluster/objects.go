// Package cluster holds the Kubernetes objects that decide where a pod may run, the common language
// of the generator, the scheduler's plugins and the engine.
package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// Objects are a cluster as kube-scheduler sees it. Functions that take Objects do not change them.
type Objects struct {
	Nodes []*corev1.Node
	// Pods are bound: each names its node. Pods that have ended are not among them.
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Claims     []*corev1.PersistentVolumeClaim
	Volumes    []*corev1.PersistentVolume
	Classes    []*storagev1.StorageClass
	CSINodes   []*storagev1.CSINode
	CSIDrivers []*storagev1.CSIDriver
}

// Clone copies the lists; the objects themselves are shared.
func (o Objects) Clone() Objects {
	o.Nodes = slices.Clone(o.Nodes)
	o.Pods = slices.Clone(o.Pods)
	o.Namespaces = slices.Clone(o.Namespaces)
	o.Claims = slices.Clone(o.Claims)
	o.Volumes = slices.Clone(o.Volumes)
	o.Classes = slices.Clone(o.Classes)
	o.CSINodes = slices.Clone(o.CSINodes)
	o.CSIDrivers = slices.Clone(o.CSIDrivers)
	return o
}

// Bound returns a copy of a pod that runs on a node.
func Bound(pod *corev1.Pod, node string) *corev1.Pod {
	out := *pod
	out.Spec.NodeName = node
	return &out
}

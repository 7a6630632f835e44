// Package workload makes the NodeGroups and pods with which tests and the demo ask something of the product.
package workload

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// Sizes of the simulated cloud.
const (
	// Small is g-2vcpu-4gb.
	Small int64 = 22
	// Medium is MediumName.
	Medium int64 = 23
)

// MediumName is what VPSie calls the Medium size, at $58.40 a month.
const MediumName = "g-4vcpu-8gb"

// LabelPool is the Node label by which the pods of a test keep to the machines of its NodeGroup.
const LabelPool = "pool"

// NodeGroup returns a group that launches up to maxNodes Medium machines of the simulated cloud's cluster,
// with a policy quick enough to watch.
func NodeGroup(namespace, name string, maxNodes int32) *v1beta1.NodeGroup {
	return &v1beta1.NodeGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1beta1.NodeGroupSpec{
			MaxNodes:  maxNodes,
			Cluster:   v1beta1.ClusterReference{Identifier: vpsiesim.DefaultCluster, Datacenter: vpsiesim.DefaultDatacenter},
			Offerings: []int64{Medium},
			Template:  v1beta1.NodeTemplate{Labels: map[string]string{LabelPool: namespace}},
			ScaleDown: v1beta1.ScaleDownPolicy{
				UnneededFor:     &metav1.Duration{Duration: 5 * time.Second},
				MaxNodesPerStep: new(max(maxNodes, 1)),
			},
		},
	}
}

// TenPerNode are requests of which ten to eleven pods fit on a Medium machine, whatever it keeps
// for itself within reason: a hundred such pods need ten machines.
var TenPerNode = corev1.ResourceList{
	corev1.ResourceCPU:    resource.MustParse("350m"),
	corev1.ResourceMemory: resource.MustParse("512Mi"),
}

// OnePerNode are requests of which one pod fits on a Medium machine.
var OnePerNode = corev1.ResourceList{
	corev1.ResourceCPU:    resource.MustParse("2500m"),
	corev1.ResourceMemory: resource.MustParse("512Mi"),
}

// Deployment returns a deployment whose pods run in the pool named after the namespace.
func Deployment(namespace, name string, replicas int32, requests corev1.ResourceList) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeSelector: map[string]string{LabelPool: namespace},
					Containers: []corev1.Container{{
						Name: "main", Image: "example.com/" + name, Resources: corev1.ResourceRequirements{Requests: requests},
					}},
				},
			},
		},
	}
}

// IsUnschedulable reports whether the scheduler has found no place for the pod.
func IsUnschedulable(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
		}
	}
	return false
}

// IsReady reports whether the Node takes pods' traffic.
func IsReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

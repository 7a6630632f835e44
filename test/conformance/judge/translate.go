package judge

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// PodOf makes a pod of a shape, for judging plans that are made of shapes and counts. A shape does not
// keep the claims of its volumes, so one with volumes is an error: such a plan needs the pods themselves.
func PodOf(shape *scheduling.Shape, name string) (*corev1.Pod, error) {
	if len(shape.Volumes) > 0 {
		return nil, fmt.Errorf("make pod %q of its shape: its volumes' claims are not part of it: place the pod itself", name)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shape.Namespace, Name: name, Labels: shape.Labels}}
	priority := shape.Priority
	pod.Spec.Priority = &priority
	pod.Spec.NodeSelector, pod.Spec.Affinity, pod.Spec.Tolerations = shape.NodeSelector, shape.Affinity, shape.Tolerations
	pod.Spec.TopologySpreadConstraints = shape.Spread
	requests := shape.Requests.Clone()
	delete(requests, corev1.ResourcePods)
	container := corev1.Container{Name: "main", Resources: corev1.ResourceRequirements{Requests: quantities(requests)}}
	for i, p := range shape.HostPorts {
		container.Ports = append(container.Ports, corev1.ContainerPort{
			Name: "p" + strconv.Itoa(i), HostIP: p.IP, HostPort: p.Port, ContainerPort: p.Port, Protocol: p.Protocol,
		})
	}
	pod.Spec.Containers = []corev1.Container{container}
	return pod, nil
}

// NodeOf makes a node of the engine's, which has all of its allocatable for pods but what is reserved.
// Its pods and the volumes that it can attach are not part of the result.
func NodeOf(node *scheduling.Node) *corev1.Node {
	out := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: maps.Clone(node.Labels)}}
	out.Spec.Taints, out.Spec.Unschedulable = slices.Clone(node.Taints), node.Unschedulable
	free := node.Allocatable.Clone()
	free.Add(node.Reserved, -1)
	out.Status.Allocatable = quantities(free)
	return out
}

func quantities(r scheduling.Resources) corev1.ResourceList {
	out := make(corev1.ResourceList, len(r))
	for name, amount := range r {
		if name == corev1.ResourceCPU {
			out[name] = *resource.NewMilliQuantity(amount, resource.DecimalSI)
		} else {
			out[name] = *resource.NewQuantity(amount, resource.DecimalSI)
		}
	}
	return out
}

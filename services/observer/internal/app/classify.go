package app

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podState is what a pod means for capacity.
type podState int

const (
	// podIgnored neither takes room nor asks for any.
	podIgnored podState = iota
	// podBound takes room on a node.
	podBound
	// podPending found no room.
	podPending
	// podArriving was not looked at by the scheduler yet.
	podArriving
	// podTemplate is no pod, but what those of a DaemonSet look like.
	podTemplate
)

// Keys by which users of Cluster Autoscaler tell it what to make of a waiting pod.
const (
	// annotationDelay says how long after its creation a pod may cause a launch, such as "600s".
	annotationDelay = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
	// keyDaemonPod, as an annotation or a label, makes a pod one of a DaemonSet.
	keyDaemonPod  = "cluster-autoscaler.kubernetes.io/daemonset-pod"
	valueTrue     = "true"
	kindDaemonSet = "DaemonSet"
)

// stateOf tells what a pod means for capacity, and on which node it takes room.
func (l *Ledger) stateOf(pod *Pod) (podState, string) {
	switch {
	case pod.Finished:
		return podIgnored, ""
	case pod.NodeName != "":
		return podBound, pod.NodeName
	case pod.Terminating:
		return podIgnored, ""
	case l.isNode(pod.NominatedNodeName) && !pod.NominatedByPlanner:
		// It waits for a preemption there, and what that frees is nobody else's.
		return podBound, pod.NominatedNodeName
	case isDaemonPod(pod), pod.Gated:
		return podIgnored, "" // it waits for its own node, or for somebody who opens the gate
	}
	switch pod.Unscheduled {
	case "":
		return podArriving, ""
	case corev1.PodReasonUnschedulable, corev1.PodReasonSchedulerError:
		// An error is tried again: a volume that takes its time looks like one for minutes.
		return podPending, ""
	}
	return podIgnored, ""
}

// delayedUntil is when a pod may cause a launch; a delay that cannot be read is none.
func delayedUntil(pod *Pod) time.Time {
	delay, err := time.ParseDuration(pod.Annotations[annotationDelay])
	if err != nil {
		return time.Time{}
	}
	return pod.CreationTimestamp.Add(delay)
}

func isDaemonPod(pod *Pod) bool {
	return pod.Owner != nil && pod.Owner.Kind == kindDaemonSet || pod.Annotations[keyDaemonPod] == valueTrue || pod.Labels[keyDaemonPod] == valueTrue
}

// objectOf is the pod that a shape is made of. A pod that is only called a DaemonSet's gets the owner that shapes tell such pods
// by, and any DaemonSet's pod the tolerations that all of them have, so that pods of other API groups' controllers and templates
// are told apart by what matters.
func objectOf(pod *Pod) *corev1.Pod {
	object := pod.object()
	if !isDaemonPod(pod) {
		return object
	}
	if pod.Owner == nil || pod.Owner.Kind != kindDaemonSet {
		object.OwnerReferences = []metav1.OwnerReference{{Kind: kindDaemonSet, Controller: new(true)}}
	} else {
		object.Spec.Tolerations = withDaemonTolerations(&object.Spec)
	}
	return object
}

func isReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

package app

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
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

const (
	// annotationDelay says how long after its creation a pod may cause a launch, such as "600s", as users of Cluster Autoscaler know it.
	annotationDelay = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
	kindDaemonSet   = "DaemonSet"
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
	controller := ""
	if pod.Owner != nil {
		controller = pod.Owner.Kind
	}
	return scheduling.IsDaemonPod(controller, pod.Annotations, pod.Labels)
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

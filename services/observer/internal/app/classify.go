package app

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
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
	// annotationDelay says how long after its creation a pod may cause a purchase, such as "600s".
	annotationDelay = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
	// keyDaemonPod, as an annotation or a label, makes a pod one of a DaemonSet.
	keyDaemonPod  = "cluster-autoscaler.kubernetes.io/daemonset-pod"
	valueTrue     = "true"
	kindDaemonSet = "DaemonSet"
)

// stateOf tells what a pod means for capacity, and on which node it takes room.
func (l *Ledger) stateOf(pod *corev1.Pod) (podState, string) {
	switch {
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return podIgnored, ""
	case pod.Spec.NodeName != "":
		return podBound, pod.Spec.NodeName
	case pod.DeletionTimestamp != nil:
		return podIgnored, ""
	case l.isNode(pod.Status.NominatedNodeName) && !isNominatedByPlanner(pod):
		// It waits for a preemption there, and what that frees is nobody else's.
		return podBound, pod.Status.NominatedNodeName
	case isDaemonPod(pod):
		return podIgnored, "" // it waits for its own node
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type != corev1.PodScheduled || condition.Status != corev1.ConditionFalse {
			continue
		}
		if condition.Reason == corev1.PodReasonUnschedulable {
			return podPending, ""
		}
		return podIgnored, ""
	}
	return podArriving, ""
}

// isNominatedByPlanner reports whether it was the planner who nominated the pod, so that it waits for a new machine and not for a
// preemption. Only the entry of managed fields that says so is kept of a pod.
func isNominatedByPlanner(pod *corev1.Pod) bool {
	return pod.Status.NominatedNodeName != "" && slices.ContainsFunc(pod.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == v1beta1.FieldManagerNominations
	})
}

// delayedUntil is when a pod may cause a purchase; a delay that cannot be read is none.
func delayedUntil(pod *corev1.Pod) time.Time {
	delay, err := time.ParseDuration(pod.Annotations[annotationDelay])
	if err != nil {
		return time.Time{}
	}
	return pod.CreationTimestamp.Add(delay)
}

func isDaemonPod(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner != nil && owner.Kind == kindDaemonSet || pod.Annotations[keyDaemonPod] == valueTrue || pod.Labels[keyDaemonPod] == valueTrue
}

// asDaemonPod gives a pod that is only called a DaemonSet's the owner that shapes tell such pods by.
func asDaemonPod(pod *corev1.Pod) *corev1.Pod {
	if owner := metav1.GetControllerOfNoCopy(pod); !isDaemonPod(pod) || owner != nil && owner.Kind == kindDaemonSet {
		return pod
	}
	daemon := *pod
	daemon.OwnerReferences = []metav1.OwnerReference{{Kind: kindDaemonSet, Controller: new(true)}}
	return &daemon
}

func isReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// daemonPod is the pod that the DaemonSet controller makes, with the tolerations it adds.
func daemonPod(set *appsv1.DaemonSet) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: set.Name, UID: set.UID,
			Labels: set.Spec.Template.Labels, Annotations: set.Spec.Template.Annotations,
			OwnerReferences: []metav1.OwnerReference{{Kind: kindDaemonSet, Name: set.Name, UID: set.UID, Controller: new(true)}},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute})
	}
	keys := []string{corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure, corev1.TaintNodePIDPressure, corev1.TaintNodeUnschedulable}
	if pod.Spec.HostNetwork {
		keys = append(keys, corev1.TaintNodeNetworkUnavailable)
	}
	for _, key := range keys {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	return pod
}

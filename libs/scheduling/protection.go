package scheduling

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Keys by which users of other autoscalers protect pods and nodes; the most protective reading wins. Those of
// node-autoscaling.kubernetes.io are the ones that the autoscalers are about to share.
const (
	annotationSafeToEvict       = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	annotationSharedSafeToEvict = "node-autoscaling.kubernetes.io/safe-to-evict"
	annotationSafeLocalVolumes  = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
	annotationScaleDownDisabled = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
	annotationDoNotDisrupt      = "karpenter.sh/do-not-disrupt"
	annotationSharedNoDisrupt   = "node-autoscaling.kubernetes.io/do-not-disrupt"
	labelForeignNodePool        = "karpenter.sh/nodepool"
	annotationScaleDown         = "autoscaler.vpsie.com/scale-down"
	labelScaleDownDisabled      = "autoscaler.vpsie.com/scale-down-disabled"
	labelControlPlane           = "node-role.kubernetes.io/control-plane"
	valueFalse                  = "false"
)

// protection says why a pod that the given budgets cover must not be evicted for scale-down. The
// rules and their order are Cluster Autoscaler's.
func protection(pod *corev1.Pod, budgets []string, now time.Time) reason.Code {
	safe := []string{pod.Annotations[annotationSafeToEvict], pod.Annotations[annotationSharedSafeToEvict]}
	switch {
	case forbids(safe[0]), forbids(safe[1]), pod.Annotations[v1beta1.AnnotationProtected] == valueTrue, isDisruptionForbidden(pod, now):
		return reason.NoScaleDownPodProtected
	case safe[0] == valueTrue || safe[1] == valueTrue:
		return ""
	case ownerKind(pod) == "":
		return reason.NoScaleDownPodBare
	case hasLocalStorage(pod):
		return reason.NoScaleDownPodLocalStorage
	case pod.Namespace == namespaceSystem && len(budgets) == 0:
		return reason.NoScaleDownPodKubeSystem
	}
	return ""
}

// forbids reports whether a safe-to-evict annotation says anything but yes: no, or only once the pod has completed.
func forbids(value string) bool { return value != "" && value != valueTrue }

func isDisruptionForbidden(pod *corev1.Pod, now time.Time) bool {
	for _, key := range []string{annotationDoNotDisrupt, annotationSharedNoDisrupt} {
		switch value := pod.Annotations[key]; value {
		case "", valueFalse:
		default:
			if until := guardedUntil(pod, value); until.IsZero() || now.Before(until) {
				return true
			}
		}
	}
	return false
}

// guardedUntil is when a do-not-disrupt annotation that is a duration, counted from the pod's start, is over; zero
// for one that never is.
func guardedUntil(pod *corev1.Pod, value string) time.Time {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return time.Time{}
	}
	if pod.Status.StartTime == nil {
		return pod.CreationTimestamp.Add(d)
	}
	return pod.Status.StartTime.Add(d)
}

// ProtectionEnds is when a pod's protection ends by itself, zero when it has none that does.
func ProtectionEnds(pod *corev1.Pod) time.Time {
	var end time.Time
	for _, key := range []string{annotationDoNotDisrupt, annotationSharedNoDisrupt} {
		if until := guardedUntil(pod, pod.Annotations[key]); until.After(end) {
			end = until
		}
	}
	return end
}

func hasLocalStorage(pod *corev1.Pod) bool {
	if pod.Annotations[annotationSafeLocalVolumes] != "" {
		safe := map[string]bool{}
		for _, name := range strings.Split(pod.Annotations[annotationSafeLocalVolumes], ",") {
			safe[name] = true
		}
		for _, volume := range pod.Spec.Volumes {
			if isLocal(volume) && !safe[volume.Name] {
				return true
			}
		}
		return false
	}
	for _, volume := range pod.Spec.Volumes {
		if isLocal(volume) {
			return true
		}
	}
	return false
}

func isLocal(v corev1.Volume) bool {
	return v.HostPath != nil || (v.EmptyDir != nil && v.EmptyDir.Medium != corev1.StorageMediumMemory)
}

// NodeProtection says why a Node's annotations or labels forbid its removal.
func NodeProtection(node *corev1.Node) reason.Code {
	if _, is := node.Labels[labelControlPlane]; is {
		return reason.NoScaleDownControlPlane
	}
	a := node.Annotations
	disrupts := func(key string) bool { return a[key] == "" || a[key] == valueFalse }
	if a[v1beta1.AnnotationProtected] == valueTrue || a[annotationScaleDownDisabled] == valueTrue ||
		!disrupts(annotationDoNotDisrupt) || !disrupts(annotationSharedNoDisrupt) ||
		a[annotationScaleDown] == "disabled" || node.Labels[labelScaleDownDisabled] == valueTrue ||
		node.Labels[labelForeignNodePool] != "" {
		return reason.NoScaleDownNodeProtected
	}
	return ""
}

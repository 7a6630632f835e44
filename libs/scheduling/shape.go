// Package scheduling judges where pods fit and which machines to buy for those that do not.
//
// It is pure: every function depends on its arguments alone, so the same input gives the same
// answer whatever the order of maps. Pods are handled as shapes and counts, never one by one.
package scheduling

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Resources maps a resource to an amount: cpu in millicores, everything else in its own unit.
type Resources map[corev1.ResourceName]int64

// ResourcesOf converts a Kubernetes resource list.
func ResourcesOf(list corev1.ResourceList) Resources {
	out := make(Resources, len(list))
	for name, quantity := range list {
		if name == corev1.ResourceCPU {
			out[name] = quantity.MilliValue()
		} else {
			out[name] = quantity.Value()
		}
	}
	return out
}

// Add adds n times other to r.
func (r Resources) Add(other Resources, n int64) {
	for name, amount := range other {
		r[name] += amount * n
	}
}

// Clone returns a copy.
func (r Resources) Clone() Resources {
	out := make(Resources, len(r))
	for name, amount := range r {
		out[name] = amount
	}
	return out
}

// Utilization is the larger of the shares of cpu and of memory, in percent, that requests take of
// an allocatable; a resource that a node lacks altogether counts as used up.
func Utilization(requests, allocatable Resources) int64 {
	use := int64(0)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		switch {
		case requests[name] <= 0:
		case allocatable[name] <= 0:
			return 100
		default:
			use = max(use, requests[name]*100/allocatable[name])
		}
	}
	return use
}

// ShapeID is the content address of a Shape.
type ShapeID string

// Shape is everything about a pod that matters for scheduling and disruption. Pods of one shape
// are interchangeable.
type Shape struct {
	// Requests include one unit of the pods resource.
	Requests     Resources
	NodeSelector map[string]string
	// Affinity is the required node affinity; nil does not restrict.
	Affinity    *corev1.NodeSelector
	Tolerations []corev1.Toleration
	Priority    int32
	// OwnerKind is the kind of the controller, empty for a bare pod.
	OwnerKind string
	// Protection forbids eviction, empty where eviction is allowed.
	Protection reason.Code
	// Unjudged says why the engine cannot judge such a pod, empty where it can.
	Unjudged reason.Code
	// Budgets are the PodDisruptionBudgets, as namespace/name in order, that cover such a pod.
	Budgets []string
}

// Owner kinds that get special treatment.
const (
	ownerDaemonSet = "DaemonSet"
	ownerNode      = "Node"
)

// Keys by which users of other autoscalers protect pods; the most protective reading wins.
const (
	annotationSafeToEvict             = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	annotationDoNotDisrupt            = "karpenter.sh/do-not-disrupt"
	annotationScaleDownDisabled       = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
	annotationSafeLocalVolumes        = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
	namespaceSystem                   = "kube-system"
	valueTrue                         = "true"
	valueFalse                        = "false"
	priorityCutOff              int32 = -10
)

// ShapeOf returns the shape of a pod that the given budgets cover.
func ShapeOf(pod *corev1.Pod, budgets []string) Shape {
	requests := ResourcesOf(resource.PodRequests(pod, resource.PodResourcesOptions{}))
	for name, amount := range requests {
		if amount == 0 {
			delete(requests, name)
		}
	}
	requests[corev1.ResourcePods] = 1
	shape := Shape{
		Requests:     requests,
		NodeSelector: pod.Spec.NodeSelector,
		Tolerations:  pod.Spec.Tolerations,
		Priority:     corev1helpers.PodPriority(pod),
		OwnerKind:    ownerKind(pod),
		Budgets:      budgets,
		Unjudged:     unjudged(pod),
	}
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		shape.Affinity = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if shape.IsDaemon() {
		shape.Affinity = withoutNodeName(shape.Affinity)
	} else {
		shape.Protection = protection(pod, budgets)
	}
	return shape
}

// IsDaemon reports whether such pods belong to their node and leave with it.
func (s *Shape) IsDaemon() bool { return s.OwnerKind == ownerDaemonSet || s.OwnerKind == ownerNode }

// IsExpendable reports whether such pods neither cause purchases nor protect a node.
func (s *Shape) IsExpendable() bool { return s.Priority < priorityCutOff }

func ownerKind(pod *corev1.Pod) string {
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			return owner.Kind
		}
	}
	return ""
}

// withoutNodeName drops the terms by which the DaemonSet controller ties each of its pods to
// one node, so that all pods of a DaemonSet share a shape.
func withoutNodeName(selector *corev1.NodeSelector) *corev1.NodeSelector {
	if selector == nil {
		return nil
	}
	var kept []corev1.NodeSelectorTerm
	for _, term := range selector.NodeSelectorTerms {
		if len(term.MatchExpressions) > 0 {
			kept = append(kept, corev1.NodeSelectorTerm{MatchExpressions: term.MatchExpressions})
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return &corev1.NodeSelector{NodeSelectorTerms: kept}
}

// protection says why a pod that the given budgets cover must not be evicted for scale-down. The
// rules and their order are Cluster Autoscaler's.
func protection(pod *corev1.Pod, budgets []string) reason.Code {
	a := pod.Annotations
	switch {
	case a[annotationSafeToEvict] == valueFalse,
		a[annotationDoNotDisrupt] != "" && a[annotationDoNotDisrupt] != valueFalse,
		a[v1beta1.AnnotationProtected] == valueTrue:
		return reason.NoScaleDownPodProtected
	case a[annotationSafeToEvict] == valueTrue:
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

// unjudged names the first constraint of the pod that the engine does not evaluate. Such pods
// are refused with that reason, never guessed at.
func unjudged(pod *corev1.Pod) reason.Code {
	spec := &pod.Spec
	if ownerKind(pod) == ownerDaemonSet {
		return ""
	}
	if spec.SchedulerName != "" && spec.SchedulerName != corev1.DefaultSchedulerName {
		return reason.NoScaleUpForeignScheduler
	}
	if len(spec.ResourceClaims) > 0 {
		return reason.NoScaleUpResourceClaim
	}
	for _, constraint := range spec.TopologySpreadConstraints {
		if constraint.WhenUnsatisfiable == corev1.DoNotSchedule {
			return reason.NoScaleUpTopologySpread
		}
	}
	if a := spec.Affinity; a != nil {
		if a.PodAffinity != nil && len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0 ||
			a.PodAntiAffinity != nil && len(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0 {
			return reason.NoScaleUpPodAffinity
		}
	}
	for _, volume := range spec.Volumes {
		if volume.PersistentVolumeClaim != nil || volume.Ephemeral != nil {
			return reason.NoScaleUpVolume
		}
	}
	for _, container := range append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...) {
		for _, port := range container.Ports {
			if port.HostPort != 0 {
				return reason.NoScaleUpHostPort
			}
		}
	}
	return ""
}

// NodeProtection says why a Node's annotations or labels forbid its removal.
func NodeProtection(node *corev1.Node) reason.Code {
	a := node.Annotations
	if a[v1beta1.AnnotationProtected] == valueTrue || a[annotationScaleDownDisabled] == valueTrue ||
		(a[annotationDoNotDisrupt] != "" && a[annotationDoNotDisrupt] != valueFalse) ||
		a["autoscaler.vpsie.com/scale-down"] == "disabled" ||
		node.Labels["autoscaler.vpsie.com/scale-down-disabled"] == valueTrue {
		return reason.NoScaleDownNodeProtected
	}
	return ""
}

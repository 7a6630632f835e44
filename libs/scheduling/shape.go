package scheduling

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
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
// are interchangeable. It is not changed once made.
type Shape struct {
	Namespace string
	// Labels are those of the pod's labels that a selector somewhere may refer to.
	Labels map[string]string
	// Requests include one unit of the pods resource.
	Requests     Resources
	NodeSelector map[string]string
	// Affinity is all of the pod's affinity, required and preferred, to nodes and to pods; nil when it
	// has none. The matchLabelKeys of its terms are part of their selectors.
	Affinity    *corev1.Affinity
	Tolerations []corev1.Toleration
	// Spread are the topology spread constraints, the cluster's defaults where the pod has none. Their
	// matchLabelKeys are part of their selectors.
	Spread []corev1.TopologySpreadConstraint
	// SpreadByDefault says that Spread are the cluster's defaults, which nobody asked for by name.
	SpreadByDefault bool
	// HostPorts are the ports of the node that the pod takes.
	HostPorts []HostPort
	// Volumes are those that say something about the node, one entry a claim.
	Volumes  []Volume
	Priority int32
	// OwnerKind is the kind of the controller, empty for a bare pod.
	OwnerKind string
	// Protection forbids eviction, empty where eviction is allowed.
	Protection reason.Code
	// Terminating pods still take their room, but topology spread does not count them.
	Terminating bool
	// Unjudged says why the engine cannot judge such a pod, empty where it can, and UnjudgedBecause tells people what is in the way.
	Unjudged        reason.Code
	UnjudgedBecause string
	// Budgets are the PodDisruptionBudgets, as namespace/name in order, that cover such a pod.
	Budgets []string
}

// HostPort is a port of the node that a pod takes. IP is empty for every address of the node.
type HostPort struct {
	IP       string
	Protocol corev1.Protocol
	Port     int32
}

// Volume is what a persistent volume claim of a pod says about the node.
type Volume struct {
	// Driver is the CSI driver that attaches the volume, empty where none counts attachments.
	Driver string
	// Handle names a volume that more than one pod uses, so that a node attaches it once for all of
	// them; empty for a volume that one pod alone uses.
	Handle string
	// Exclusive says that the access mode lets only one pod in the cluster use the volume named by Handle.
	Exclusive bool
	// Waits says that the volume named by Handle is made where the first pod that uses it runs.
	Waits bool
	// Topology is where the volume can be used or made: the bound volume's node affinity, or the
	// topologies that the storage class allows. Nil does not restrict.
	Topology *corev1.NodeSelector
}

// Owner kinds that get special treatment.
const (
	ownerDaemonSet = "DaemonSet"
	ownerNode      = "Node"
)

const (
	namespaceSystem = "kube-system"
	valueTrue       = "true"
)

// PodContext is what a pod's shape depends on besides the pod. The zero value keeps every label.
type PodContext struct {
	// Budgets are the PodDisruptionBudgets, as namespace/name in order, that cover the pod.
	Budgets []string
	// KeepLabel says whether a selector somewhere may refer to a label; nil means all.
	KeepLabel func(key string) bool
	// Volumes are what VolumesOf found, and VolumesProblem why it could not tell; the zero Verdict when it could.
	Volumes        []Volume
	VolumesProblem Verdict
	// Now is when the shape is made; a protection that ends with a time is over from then on. The zero time is
	// before every end.
	Now time.Time
	// DefaultSpread are the constraints that kube-scheduler gives a pod without any of its own; their
	// selectors are filled in by whoever knows what the pod belongs to.
	DefaultSpread []corev1.TopologySpreadConstraint
}

// ShapeOf returns the shape of a pod.
func ShapeOf(pod *corev1.Pod, c PodContext) Shape {
	// A running pod that is being resized takes the larger of what it has and what it asks for.
	requests := ResourcesOf(resource.PodRequests(pod, resource.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}))
	for name, amount := range requests {
		if amount == 0 {
			delete(requests, name)
		}
	}
	requests[corev1.ResourcePods] = 1
	shape := Shape{
		Namespace:       pod.Namespace,
		Requests:        requests,
		NodeSelector:    pod.Spec.NodeSelector,
		Affinity:        affinityOf(pod),
		Tolerations:     pod.Spec.Tolerations,
		Spread:          spreadOf(pod, c.DefaultSpread),
		SpreadByDefault: len(pod.Spec.TopologySpreadConstraints) == 0 && len(c.DefaultSpread) > 0,
		HostPorts:       hostPortsOf(pod),
		Volumes:         c.Volumes,
		Priority:        corev1helpers.PodPriority(pod),
		OwnerKind:       ownerKind(pod),
		Budgets:         c.Budgets,
		Terminating:     pod.DeletionTimestamp != nil,
	}
	problem := unjudged(pod, c.VolumesProblem)
	shape.Unjudged, shape.UnjudgedBecause = problem.Code, problem.Message
	for key, value := range pod.Labels {
		if c.KeepLabel == nil || c.KeepLabel(key) {
			if shape.Labels == nil {
				shape.Labels = map[string]string{}
			}
			shape.Labels[key] = value
		}
	}
	if shape.IsDaemon() {
		shape.Affinity = WithoutNodeName(shape.Affinity)
	} else {
		shape.Protection = protection(pod, c.Budgets, c.Now)
	}
	return shape
}

// keyDaemonPod, as an annotation or label with the value true, says that a pod belongs to its node though no DaemonSet owns it, as Cluster Autoscaler has it.
const keyDaemonPod = "cluster-autoscaler.kubernetes.io/daemonset-pod"

// IsDaemonPod reports whether a pod, by the kind of its controller, its annotations and labels, belongs to its node as a DaemonSet's does.
func IsDaemonPod(controller string, annotations, labels map[string]string) bool {
	return controller == ownerDaemonSet || annotations[keyDaemonPod] == "true" || labels[keyDaemonPod] == "true"
}

// IsDaemon reports whether such pods belong to their node and leave with it.
func (s *Shape) IsDaemon() bool { return s.OwnerKind == ownerDaemonSet || s.OwnerKind == ownerNode }

// IsStatic reports whether kubelet runs such pods by itself.
func (s *Shape) IsStatic() bool { return s.OwnerKind == ownerNode }

func ownerKind(pod *corev1.Pod) string {
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			return owner.Kind
		}
	}
	return ""
}

// WithoutNodeName drops the terms by which the DaemonSet controller ties each of its pods to
// one node, so that all pods of a DaemonSet share a shape.
func WithoutNodeName(affinity *corev1.Affinity) *corev1.Affinity {
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return affinity
	}
	var kept []corev1.NodeSelectorTerm
	for _, term := range affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if len(term.MatchExpressions) > 0 {
			kept = append(kept, corev1.NodeSelectorTerm{MatchExpressions: term.MatchExpressions})
		}
	}
	out := affinity.DeepCopy()
	if out.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = nil; len(kept) > 0 {
		out.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: kept}
	} else if len(out.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		out.NodeAffinity = nil
	}
	return out
}

// unjudged names the first constraint of the pod that the engine does not evaluate. Such pods
// are refused with that reason, never guessed at.
func unjudged(pod *corev1.Pod, volumes Verdict) Verdict {
	spec := &pod.Spec
	switch {
	case ownerKind(pod) == ownerDaemonSet:
		return Verdict{}
	case spec.SchedulerName != "" && spec.SchedulerName != corev1.DefaultSchedulerName:
		return Verdict{reason.NoScaleUpForeignScheduler, "the pod is for scheduler " + spec.SchedulerName + ", whose rules are not simulated"}
	case len(spec.ResourceClaims) > 0:
		return Verdict{reason.NoScaleUpResourceClaim, "the pod requests devices by ResourceClaim, which is not evaluated"}
	}
	return volumes
}

// IsExtended reports whether a resource is an extended one, such as a device: its name has a domain other than Kubernetes' own.
func IsExtended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), "kubernetes.io/")
}

package differential

import (
	corev1 "k8s.io/api/core/v1"
)

// podCuts make a pod simpler. Each says whether there was anything to drop.
var podCuts = []func(*corev1.Pod) bool{
	func(p *corev1.Pod) bool { return unset(&p.Spec.Affinity) },
	func(p *corev1.Pod) bool { return p.Spec.Affinity != nil && unset(&p.Spec.Affinity.NodeAffinity) },
	func(p *corev1.Pod) bool { return p.Spec.Affinity != nil && unset(&p.Spec.Affinity.PodAffinity) },
	func(p *corev1.Pod) bool { return p.Spec.Affinity != nil && unset(&p.Spec.Affinity.PodAntiAffinity) },
	dropNodeTerm,
	func(p *corev1.Pod) bool {
		return p.Spec.Affinity != nil && p.Spec.Affinity.PodAffinity != nil && dropFirst(&p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	},
	func(p *corev1.Pod) bool {
		return p.Spec.Affinity != nil && p.Spec.Affinity.PodAntiAffinity != nil && dropFirst(&p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	},
	func(p *corev1.Pod) bool {
		return p.Spec.Affinity != nil && p.Spec.Affinity.PodAntiAffinity != nil && dropFirst(&p.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	},
	func(p *corev1.Pod) bool { return dropFirst(&p.Spec.TopologySpreadConstraints) },
	func(p *corev1.Pod) bool { return dropLast(&p.Spec.TopologySpreadConstraints) },
	func(p *corev1.Pod) bool {
		return onSpread(p, func(c *corev1.TopologySpreadConstraint) bool { return unset(&c.NodeAffinityPolicy) })
	},
	func(p *corev1.Pod) bool {
		return onSpread(p, func(c *corev1.TopologySpreadConstraint) bool { return unset(&c.NodeTaintsPolicy) })
	},
	func(p *corev1.Pod) bool {
		return onSpread(p, func(c *corev1.TopologySpreadConstraint) bool { return unset(&c.MinDomains) })
	},
	func(p *corev1.Pod) bool {
		return onSpread(p, func(c *corev1.TopologySpreadConstraint) bool { return dropFirst(&c.MatchLabelKeys) })
	},
	func(p *corev1.Pod) bool { return unsetMap(&p.Spec.NodeSelector) },
	func(p *corev1.Pod) bool { return dropFirst(&p.Spec.Tolerations) },
	func(p *corev1.Pod) bool { return dropLast(&p.Spec.Tolerations) },
	func(p *corev1.Pod) bool { return dropFirst(&p.Spec.Volumes) },
	func(p *corev1.Pod) bool { return dropLast(&p.Spec.Volumes) },
	func(p *corev1.Pod) bool { return dropFirst(&p.Spec.InitContainers) },
	func(p *corev1.Pod) bool { return dropLast(&p.Spec.InitContainers) },
	func(p *corev1.Pod) bool { return len(p.Spec.Containers) > 1 && dropLast(&p.Spec.Containers) },
	func(p *corev1.Pod) bool { return dropFirst(&p.Spec.Containers[0].Ports) },
	func(p *corev1.Pod) bool { return dropLast(&p.Spec.Containers[0].Ports) },
	func(p *corev1.Pod) bool { return unsetMap(&p.Spec.Containers[0].Resources.Requests) },
	func(p *corev1.Pod) bool { return unsetMap(&p.Spec.Containers[0].Resources.Limits) },
	func(p *corev1.Pod) bool { return unset(&p.Spec.Resources) },
	func(p *corev1.Pod) bool { return unsetMap(&p.Spec.Overhead) },
	func(p *corev1.Pod) bool { return unset(&p.DeletionTimestamp) },
	func(p *corev1.Pod) bool { return dropFirst(&p.OwnerReferences) },
	func(p *corev1.Pod) bool { return dropFirst(&p.Status.ContainerStatuses) },
	func(p *corev1.Pod) bool { return dropKey(p.Labels, "tier") },
	func(p *corev1.Pod) bool { return dropKey(p.Labels, "version") },
	func(p *corev1.Pod) bool { return dropKey(p.Labels, "app") },
}

// nodeCuts make a node simpler.
var nodeCuts = []func(*corev1.Node) bool{
	func(n *corev1.Node) bool { return dropFirst(&n.Spec.Taints) },
	func(n *corev1.Node) bool { return dropLast(&n.Spec.Taints) },
	func(n *corev1.Node) bool {
		was := n.Spec.Unschedulable
		n.Spec.Unschedulable = false
		return was
	},
	func(n *corev1.Node) bool { return dropKey(n.Labels, corev1.LabelHostname) },
	func(n *corev1.Node) bool { return dropKey(n.Labels, corev1.LabelTopologyZone) },
	func(n *corev1.Node) bool { return dropKey(n.Labels, corev1.LabelFailureDomainBetaZone) },
	func(n *corev1.Node) bool { return dropKey(n.Labels, corev1.LabelTopologyRegion) },
	func(n *corev1.Node) bool { return dropKey(n.Labels, "example.com/rack") },
	func(n *corev1.Node) bool { return dropKey(n.Labels, "example.com/disk") },
	func(n *corev1.Node) bool { return dropKey(n.Labels, "example.com/generation") },
	func(n *corev1.Node) bool { return unsetMap(&n.Status.Capacity) },
	func(n *corev1.Node) bool { return dropResource(n.Status.Allocatable, corev1.ResourceEphemeralStorage) },
	func(n *corev1.Node) bool { return dropResource(n.Status.Allocatable, "example.com/gpu") },
	func(n *corev1.Node) bool { return dropResource(n.Status.Allocatable, "hugepages-2Mi") },
}

func dropNodeTerm(p *corev1.Pod) bool {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	return dropFirst(&a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms)
}

func onSpread(p *corev1.Pod, cut func(*corev1.TopologySpreadConstraint) bool) bool {
	did := false
	for i := range p.Spec.TopologySpreadConstraints {
		did = cut(&p.Spec.TopologySpreadConstraints[i]) || did
	}
	return did
}

func unset[T any](field **T) bool {
	had := *field != nil
	*field = nil
	return had
}

func unsetMap[M ~map[K]V, K comparable, V any](field *M) bool {
	had := len(*field) > 0
	*field = nil
	return had
}

func dropFirst[T any](list *[]T) bool {
	if len(*list) == 0 {
		return false
	}
	*list = (*list)[1:]
	return true
}

func dropLast[T any](list *[]T) bool {
	if len(*list) == 0 {
		return false
	}
	*list = (*list)[:len(*list)-1]
	return true
}

func dropKey(labels map[string]string, key string) bool {
	_, had := labels[key]
	delete(labels, key)
	return had
}

func dropResource(list corev1.ResourceList, name corev1.ResourceName) bool {
	_, had := list[name]
	delete(list, name)
	return had
}

package scheduling

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// affinityOf is the pod's affinity with the matchLabelKeys of its terms in their selectors. The API
// server does the same when a pod is made; doing it twice changes nothing.
func affinityOf(pod *corev1.Pod) *corev1.Affinity {
	affinity := pod.Spec.Affinity
	if affinity == nil || affinity.NodeAffinity == nil && affinity.PodAffinity == nil && affinity.PodAntiAffinity == nil {
		return nil
	}
	out := affinity.DeepCopy()
	merge := func(terms []corev1.PodAffinityTerm) {
		for i := range terms {
			mergePodAffinityKeys(&terms[i], pod.Labels)
		}
	}
	preferred := func(terms []corev1.WeightedPodAffinityTerm) {
		for i := range terms {
			mergePodAffinityKeys(&terms[i].PodAffinityTerm, pod.Labels)
		}
	}
	if a := out.PodAffinity; a != nil {
		merge(a.RequiredDuringSchedulingIgnoredDuringExecution)
		preferred(a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := out.PodAntiAffinity; a != nil {
		merge(a.RequiredDuringSchedulingIgnoredDuringExecution)
		preferred(a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return out
}

func mergePodAffinityKeys(term *corev1.PodAffinityTerm, labels map[string]string) {
	if term.LabelSelector == nil {
		return
	}
	for _, key := range term.MatchLabelKeys {
		term.LabelSelector = withKey(term.LabelSelector, key, labels, metav1.LabelSelectorOpIn)
	}
	for _, key := range term.MismatchLabelKeys {
		term.LabelSelector = withKey(term.LabelSelector, key, labels, metav1.LabelSelectorOpNotIn)
	}
	term.MatchLabelKeys, term.MismatchLabelKeys = nil, nil
}

// withKey returns selector narrowed to pods whose label key is, or is not, that of labels.
func withKey(selector *metav1.LabelSelector, key string, labels map[string]string, operator metav1.LabelSelectorOperator) *metav1.LabelSelector {
	value, found := labels[key]
	if !found {
		return selector
	}
	for _, r := range selector.MatchExpressions {
		if r.Key == key && r.Operator == operator && slices.Equal(r.Values, []string{value}) {
			return selector
		}
	}
	out := selector.DeepCopy()
	out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
	return out
}

// spreadOf is the pod's spread constraints, or defaults where it has none.
func spreadOf(pod *corev1.Pod, defaults []corev1.TopologySpreadConstraint) []corev1.TopologySpreadConstraint {
	if len(pod.Spec.TopologySpreadConstraints) == 0 {
		return defaults
	}
	out := make([]corev1.TopologySpreadConstraint, 0, len(pod.Spec.TopologySpreadConstraints))
	for i := range pod.Spec.TopologySpreadConstraints {
		c := *pod.Spec.TopologySpreadConstraints[i].DeepCopy()
		if c.LabelSelector != nil || len(c.MatchLabelKeys) > 0 {
			if c.LabelSelector == nil {
				c.LabelSelector = &metav1.LabelSelector{}
			}
			for _, key := range c.MatchLabelKeys {
				c.LabelSelector = withKey(c.LabelSelector, key, pod.Labels, metav1.LabelSelectorOpIn)
			}
		}
		c.MatchLabelKeys = nil
		out = append(out, c)
	}
	return out
}

// hostPortsOf lists the node's ports that the pod's containers take, as kube-scheduler counts them.
func hostPortsOf(pod *corev1.Pod) []HostPort {
	var ports []HostPort
	add := func(c *corev1.Container) {
		for _, port := range c.Ports {
			if port.HostPort <= 0 {
				continue
			}
			p := HostPort{IP: port.HostIP, Protocol: port.Protocol, Port: port.HostPort}
			if p.Protocol == "" {
				p.Protocol = corev1.ProtocolTCP
			}
			if p.IP == anyAddress {
				p.IP = ""
			}
			if !slices.Contains(ports, p) {
				ports = append(ports, p)
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return ports
}

const anyAddress = "0.0.0.0"

// conflict reports whether two pods with such ports cannot share a node.
func conflict(a, b []HostPort) bool {
	for _, p := range a {
		for _, q := range b {
			if p.Port == q.Port && p.Protocol == q.Protocol && (p.IP == q.IP || p.IP == "" || q.IP == "") {
				return true
			}
		}
	}
	return false
}

package generate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var topologyKeys = []string{
	corev1.LabelHostname, corev1.LabelHostname, corev1.LabelHostname,
	corev1.LabelTopologyZone, corev1.LabelTopologyZone, corev1.LabelTopologyZone,
	labelRack, labelDisk, "example.com/none",
}

// spread draws topology spread constraints, no two of them with the same key and action.
func (b *builder) spread(p *corev1.Pod) []corev1.TopologySpreadConstraint {
	var out []corev1.TopologySpreadConstraint
	for range b.between(1, 2) {
		c := corev1.TopologySpreadConstraint{
			MaxSkew:     int32(b.between(1, 3)),
			TopologyKey: pick(b.source, topologyKeys...),
			// One that does not forbid anything must not count for one that does.
			WhenUnsatisfiable: pick(b.source, corev1.DoNotSchedule, corev1.DoNotSchedule, corev1.DoNotSchedule, corev1.ScheduleAnyway),
			LabelSelector:     b.selector(p.Labels),
		}
		if slices.ContainsFunc(out, func(o corev1.TopologySpreadConstraint) bool {
			return o.TopologyKey == c.TopologyKey && o.WhenUnsatisfiable == c.WhenUnsatisfiable
		}) {
			continue
		}
		if c.WhenUnsatisfiable == corev1.DoNotSchedule && b.chance(30) {
			domains := int32(b.between(1, 4))
			c.MinDomains = &domains
		}
		c.NodeAffinityPolicy, c.NodeTaintsPolicy = b.policy(), b.policy()
		c.MatchLabelKeys = b.labelKeys(c.LabelSelector)
		out = append(out, c)
	}
	return out
}

func (b *builder) policy() *corev1.NodeInclusionPolicy {
	if b.chance(50) {
		return nil
	}
	policy := pick(b.source, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	return &policy
}

// selector draws a selector of pods, more often than not one that selects the pod itself.
func (b *builder) selector(own map[string]string) *metav1.LabelSelector {
	switch n := b.between(1, 100); {
	case n <= 4:
		return nil
	case n <= 12:
		return &metav1.LabelSelector{}
	case n <= 65:
		return &metav1.LabelSelector{MatchLabels: map[string]string{labelApp: own[labelApp]}}
	case n <= 75:
		return &metav1.LabelSelector{MatchLabels: map[string]string{labelApp: pick(b.source, apps...), labelTier: pick(b.source, tiers...)}}
	}
	key := pick(b.source, labelApp, labelTier, labelVersion)
	r := metav1.LabelSelectorRequirement{
		Key:      key,
		Operator: pick(b.source, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist),
	}
	if r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpNotIn {
		r.Values = some(b.source, 2, map[string][]string{labelApp: apps, labelTier: tiers, labelVersion: versions}[key]...)
	}
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{r}}
}

// labelKeys draws keys of the pod's labels that its selector is narrowed by. It may not name any of them itself.
func (b *builder) labelKeys(selector *metav1.LabelSelector) []string {
	if selector == nil || !b.chance(25) {
		return nil
	}
	var out []string
	for _, key := range []string{labelVersion, labelTier} {
		_, named := selector.MatchLabels[key]
		named = named || slices.ContainsFunc(selector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return r.Key == key })
		if !named && b.chance(60) {
			out = append(out, key)
		}
	}
	return out
}

// podAffinity makes a pod ask for the company of pods, or for their absence.
func (b *builder) podAffinity(p *corev1.Pod) {
	if p.Spec.Affinity == nil {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	if b.chance(45) {
		p.Spec.Affinity.PodAffinity = &corev1.PodAffinity{}
		for range b.between(1, 2) {
			p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(
				p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, b.podTerm(p))
			if b.chance(70) {
				break
			}
		}
	}
	if p.Spec.Affinity.PodAffinity == nil || b.chance(25) {
		p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
		for range b.between(1, 2) {
			p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(
				p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, b.podTerm(p))
			if b.chance(70) {
				break
			}
		}
	}
	if b.chance(25) {
		preferred := []corev1.WeightedPodAffinityTerm{{Weight: 5, PodAffinityTerm: b.podTerm(p)}}
		if p.Spec.Affinity.PodAntiAffinity == nil {
			p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
		}
		p.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = preferred
	}
}

func (b *builder) podTerm(p *corev1.Pod) corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{TopologyKey: pick(b.source, topologyKeys...), LabelSelector: b.selector(p.Labels)}
	if b.chance(20) {
		t.Namespaces = some(b.source, 2, "blue", "green", "red")
	}
	if b.chance(25) {
		t.NamespaceSelector = pick(b.source,
			&metav1.LabelSelector{},
			&metav1.LabelSelector{MatchLabels: map[string]string{"env": "test"}},
			&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: metav1.LabelSelectorOpDoesNotExist}}},
			&metav1.LabelSelector{MatchLabels: map[string]string{"env": "none"}},
		)
	}
	keys := b.labelKeys(t.LabelSelector)
	if b.chance(30) {
		t.MismatchLabelKeys = keys
	} else {
		t.MatchLabelKeys = keys
	}
	return t
}

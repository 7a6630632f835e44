package generate

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeSelection makes a pod choose among nodes by their labels and names.
func (b *builder) nodeSelection(p *corev1.Pod) {
	if b.chance(40) {
		p.Spec.NodeSelector = map[string]string{}
		for _, key := range some(b.source, 2, labelDisk, corev1.LabelTopologyZone, labelRack) {
			p.Spec.NodeSelector[key] = pick(b.source, b.values(key)...)
		}
	}
	if p.Spec.NodeSelector != nil && b.chance(60) {
		return
	}
	affinity := &corev1.NodeAffinity{}
	if b.chance(90) {
		required := &corev1.NodeSelector{}
		for range b.between(1, 2) {
			required.NodeSelectorTerms = append(required.NodeSelectorTerms, b.nodeTerm())
		}
		affinity.RequiredDuringSchedulingIgnoredDuringExecution = required
	}
	if b.chance(25) {
		affinity.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{
			{Weight: 10, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{b.nodeRequirement()}}},
		}
	}
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: affinity}
}

// nodeTerm draws requirements that hold together; a term without any matches no node.
func (b *builder) nodeTerm() corev1.NodeSelectorTerm {
	var term corev1.NodeSelectorTerm
	if b.chance(20) {
		term.MatchFields = append(term.MatchFields, b.nodeField())
	}
	if len(term.MatchFields) > 0 && b.chance(60) || b.chance(4) {
		return term
	}
	for range b.between(1, 2) {
		term.MatchExpressions = append(term.MatchExpressions, b.nodeRequirement())
	}
	return term
}

func (b *builder) nodeField() corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{
		Key:      metav1.ObjectNameField,
		Operator: pick(b.source, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn),
		Values:   []string{pick(b.source, b.objects.Nodes...).Name},
	}
}

func (b *builder) nodeRequirement() corev1.NodeSelectorRequirement {
	key := pick(b.source, labelDisk, labelRack, labelGeneration, corev1.LabelTopologyZone, corev1.LabelHostname, "example.com/none")
	r := corev1.NodeSelectorRequirement{Key: key}
	if key == labelGeneration && b.chance(70) {
		r.Operator = pick(b.source, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt)
		r.Values = []string{pick(b.source, "0", "1", "02", "4")}
		return r
	}
	r.Operator = pick(b.source, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist)
	if r.Operator == corev1.NodeSelectorOpIn || r.Operator == corev1.NodeSelectorOpNotIn {
		r.Values = some(b.source, 2, b.values(key)...)
	}
	return r
}

// values are those that a label of nodes may have.
func (b *builder) values(key string) []string {
	switch key {
	case labelDisk:
		return diskNames
	case labelRack:
		return rackNames
	case labelGeneration:
		return generations
	case corev1.LabelTopologyZone:
		return zoneNames
	case corev1.LabelHostname:
		return []string{pick(b.source, b.objects.Nodes...).Name, "host"}
	}
	return []string{"nothing"}
}

func (b *builder) tolerations() []corev1.Toleration {
	all := []corev1.Toleration{
		{Key: "dedicated", Operator: corev1.TolerationOpExists},
		{Key: "dedicated", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "a", Effect: corev1.TaintEffectNoSchedule},
		{Key: "dedicated", Value: "b"},
		{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "c", Effect: corev1.TaintEffectPreferNoSchedule},
		{Key: "gpu", Operator: corev1.TolerationOpEqual, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists},
		{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Operator: corev1.TolerationOpExists},
	}
	return some(b.source, 3, all...)
}

// hostPorts gives a pod ports of its node, on containers that run beside each other and on some that do not.
func (b *builder) hostPorts(p *corev1.Pod) {
	p.Spec.Containers[0].Ports = b.ports()
	if b.chance(40) {
		c := b.container("setup")
		c.Ports = b.ports()
		if b.chance(50) {
			always := corev1.ContainerRestartPolicyAlways
			c.RestartPolicy = &always
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
}

func (b *builder) ports() []corev1.ContainerPort {
	var out []corev1.ContainerPort
	for _, number := range some(b.source, 2, int32(80), 443, 8080) {
		out = append(out, corev1.ContainerPort{
			ContainerPort: number, HostPort: number,
			HostIP:   pick(b.source, "", "", "0.0.0.0", "127.0.0.1", "10.0.0.1", "::"),
			Protocol: pick(b.source, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP),
		})
	}
	return out
}

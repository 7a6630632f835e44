package nodegroup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Validate returns every problem of a NodeGroup that the schema lets pass and that nothing could be done with, in a fixed order. Each
// names the field, its value and what would be right.
func Validate(g *v1beta1.NodeGroup) []string {
	return slices.Concat(invalidSize(g), invalidName(g), invalidLabels(g.Spec.Template.Labels), invalidTaints("template.taints", g.Spec.Template.Taints),
		invalidTaints("template.startupTaints", g.Spec.Template.StartupTaints), invalidResources(g.Spec.Template.Resources), negative(g), invalidTimes(g))
}

func invalidSize(g *v1beta1.NodeGroup) []string {
	if g.Spec.MinNodes <= g.Spec.MaxNodes {
		return nil
	}
	return []string{fmt.Sprintf("minNodes (%d) is above maxNodes (%d), so no number of nodes satisfies both; lower minNodes or raise maxNodes", g.Spec.MinNodes, g.Spec.MaxNodes)}
}

// invalidName: the group's name ends up in a label of its Nodes.
func invalidName(g *v1beta1.NodeGroup) []string {
	problems := validation.IsValidLabelValue(g.Name)
	if len(problems) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the group's name is not a valid label value (%s); use a name of at most 63 characters", problems[0])}
}

func invalidLabels(labels map[string]string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		switch problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(labels[key])...); {
		case len(problems) > 0:
			out = append(out, fmt.Sprintf("template.labels %s=%s is not a valid label (%s)", key, labels[key], problems[0]))
		case key == corev1.LabelHostname:
			out = append(out, "template.labels must not contain "+key+", which differs on every Node")
		}
	}
	return out
}

func invalidTaints(field string, taints []corev1.Taint) []string {
	var out []string
	for _, taint := range taints {
		known := taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectPreferNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
		if problems := append(validation.IsQualifiedName(taint.Key), validation.IsValidLabelValue(taint.Value)...); len(problems) > 0 || !known {
			out = append(out, fmt.Sprintf("%s %s is not a valid taint; its effect must be NoSchedule, PreferNoSchedule or NoExecute, and its key and value must be valid for a label", field, taint.ToString()))
		}
	}
	return out
}

func invalidResources(resources corev1.ResourceList) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		quantity := resources[name]
		if len(validation.IsQualifiedName(string(name))) > 0 || !scheduling.IsExtended(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
			out = append(out, fmt.Sprintf("template.resources %s is not an extended resource such as nvidia.com/gpu", name))
		} else if whole, exact := quantity.AsInt64(); !exact || whole < 0 {
			out = append(out, fmt.Sprintf("template.resources %s=%s is not a whole number of devices", name, quantity.String()))
		}
	}
	return out
}

// negative says which amounts are below zero.
func negative(g *v1beta1.NodeGroup) []string {
	type amount struct {
		field string
		value *resource.Quantity
	}
	amounts := []amount{{"limits.cpu", g.Spec.Limits.CPU}, {"limits.memory", g.Spec.Limits.Memory}, {"limits.monthlyCost", g.Spec.Limits.MonthlyCost}}
	if s := g.Spec.OfferingSelector; s != nil {
		amounts = append(amounts, amount{"offeringSelector.minCPU", s.MinCPU}, amount{"offeringSelector.maxCPU", s.MaxCPU},
			amount{"offeringSelector.minMemory", s.MinMemory}, amount{"offeringSelector.maxMemory", s.MaxMemory}, amount{"offeringSelector.maxMonthlyPrice", s.MaxMonthlyPrice})
	}
	var out []string
	for _, a := range amounts {
		if a.value != nil && a.value.Sign() < 0 {
			out = append(out, fmt.Sprintf("%s is %s and must not be negative", a.field, a.value))
		}
	}
	return out
}

func invalidTimes(g *v1beta1.NodeGroup) []string {
	down := g.Spec.ScaleDown
	var out []string
	if down.UnneededFor != nil && down.UnneededFor.Duration < 0 {
		out = append(out, fmt.Sprintf("scaleDown.unneededFor is %s and must not be negative", down.UnneededFor.Duration))
	}
	if down.UnreadyFor != nil && down.UnreadyFor.Duration < 0 {
		out = append(out, fmt.Sprintf("scaleDown.unreadyFor is %s and must not be negative", down.UnreadyFor.Duration))
	}
	if down.DrainTimeout != nil && down.DrainTimeout.Duration <= 0 {
		out = append(out, fmt.Sprintf("scaleDown.drainTimeout is %s and must be positive", down.DrainTimeout.Duration))
	}
	return out
}

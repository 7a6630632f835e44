package kubesim

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// newNode is what the API server and its admission make of a new node.
func newNode(o client.Object) {
	node := o.(*corev1.Node)
	if node.Status.Allocatable == nil {
		node.Status.Allocatable = maps.Clone(node.Status.Capacity)
	}
	notReady := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	if !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&notReady) }) {
		node.Spec.Taints = append(node.Spec.Taints, notReady)
	}
}

// validateNode checks taints, and what may be set only once.
func validateNode(o, old client.Object) field.ErrorList {
	node := o.(*corev1.Node)
	path := field.NewPath("metadata", "taints")
	if old == nil {
		path = field.NewPath("spec", "taints")
	}
	problems := validateTaints(node.Spec.Taints, path)
	if old == nil {
		return problems
	}
	was, is := old.(*corev1.Node).Spec.ProviderID, node.Spec.ProviderID
	providerID := field.NewPath("spec", "providerID")
	switch {
	case was == "" || was == is:
	case is == "":
		problems = append(problems, field.Invalid(providerID, nil, "field cannot be cleared once set"))
	default:
		problems = append(problems, field.Invalid(providerID, nil, "field cannot be modified once set"))
	}
	return problems
}

func validateTaints(taints []corev1.Taint, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	seen := map[corev1.TaintEffect]map[string]bool{}
	for i, t := range taints {
		at := path.Index(i)
		problems = append(problems, metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
		for _, why := range validation.IsValidLabelValue(t.Value) {
			problems = append(problems, field.Invalid(at.Child("value"), t.Value, why))
		}
		switch t.Effect {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		case "":
			problems = append(problems, field.Required(at.Child("effect"), ""))
		default:
			problems = append(problems, field.NotSupported(at.Child("effect"), t.Effect, []corev1.TaintEffect{
				corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute,
			}))
		}
		if seen[t.Effect][t.Key] {
			problems = append(problems, field.Duplicate(at, t))
		}
		if seen[t.Effect] == nil {
			seen[t.Effect] = map[string]bool{}
		}
		seen[t.Effect][t.Key] = true
	}
	return problems
}

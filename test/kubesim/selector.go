package kubesim

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	fieldsselection "k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// selection is what a list or a watch wants of a resource.
type selection struct {
	namespace string
	labels    labels.Selector
	fields    []term
	all       bool // of the namespace
}

// term is a comparison of a field selector.
type term struct {
	of    func(client.Object) string
	value string
	not   bool
}

// newSelection reads the selectors of a request.
func newSelection(to route) (selection, error) {
	out := selection{namespace: to.request.Namespace, labels: labels.Everything()}
	var err error
	if text := to.query.Get("labelSelector"); text != "" {
		if out.labels, err = labels.Parse(text); err != nil {
			return out, apierrors.NewBadRequest(err.Error())
		}
	}
	chosen, err := fields.ParseSelector(to.query.Get("fieldSelector"))
	if err != nil {
		return out, apierrors.NewBadRequest(err.Error())
	}
	if to.request.Name != "" {
		chosen = fields.AndSelectors(chosen, fields.OneTermEqualSelector("metadata.name", to.request.Name))
	}
	for _, r := range chosen.Requirements() {
		of := to.resource.field(r.Field)
		if of == nil {
			return out, apierrors.NewBadRequest(fmt.Sprintf("field label not supported: %s", r.Field))
		}
		out.fields = append(out.fields, term{of: of, value: r.Value, not: r.Operator == fieldsselection.NotEquals})
	}
	out.all = out.labels.Empty() && len(out.fields) == 0
	return out, nil
}

// field returns how to read what a field selector names, or nil if it may not.
func (r *resource) field(name string) func(client.Object) string {
	switch {
	case name == "metadata.name":
		return client.Object.GetName
	case name == "metadata.namespace" && r.namespaced:
		return client.Object.GetNamespace
	}
	return r.fields[name]
}

// has reports whether an object is selected.
func (s selection) has(r *record) bool {
	if s.namespace != "" && s.namespace != r.key.Namespace {
		return false
	}
	for i := range s.fields {
		if t := &s.fields[i]; (t.of(r.object) == t.value) == t.not {
			return false
		}
	}
	return s.labels.Empty() || s.labels.Matches(labels.Set(r.object.GetLabels()))
}

// selects reports whether a selector of an object matches labels; an absent one matches nothing.
func selects(selector *metav1.LabelSelector, of map[string]string) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return s.Matches(labels.Set(of)), nil
}

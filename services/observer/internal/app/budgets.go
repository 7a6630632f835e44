package app

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// budgetEntry is what is kept of a PodDisruptionBudget.
type budgetEntry struct {
	selector labels.Selector
	allowed  int
}

// SetBudget takes the newest version of a PodDisruptionBudget.
func (l *Ledger) SetBudget(pdb *policyv1.PodDisruptionBudget) error {
	selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.budgets[pdb.Namespace] == nil {
		l.budgets[pdb.Namespace] = map[string]budgetEntry{}
	}
	old, known := l.budgets[pdb.Namespace][pdb.Name]
	l.budgets[pdb.Namespace][pdb.Name] = budgetEntry{selector: selector, allowed: int(pdb.Status.DisruptionsAllowed)}
	l.touch()
	if known && old.selector.String() == selector.String() {
		return nil
	}
	if known {
		l.outdateCovered(pdb.Namespace, old.selector)
	}
	l.outdateCovered(pdb.Namespace, selector)
	return l.settle()
}

// DeleteBudget forgets a PodDisruptionBudget.
func (l *Ledger) DeleteBudget(namespace, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.budgets[namespace][name]
	if !known {
		return nil
	}
	delete(l.budgets[namespace], name)
	if len(l.budgets[namespace]) == 0 {
		delete(l.budgets, namespace)
	}
	l.touch()
	l.outdateCovered(namespace, old.selector)
	return l.settle()
}

func (l *Ledger) outdateCovered(namespace string, selector labels.Selector) {
	for entry := range l.inNamespace[namespace] {
		if selector.Matches(labels.Set(entry.pod.Labels)) {
			l.stale[entry] = struct{}{}
		}
	}
}

// budgetsOf names the PodDisruptionBudgets that cover a pod, as namespace/name in order.
func (l *Ledger) budgetsOf(pod *corev1.Pod) []string {
	var names []string
	for name, budget := range l.budgets[pod.Namespace] {
		if budget.selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, pod.Namespace+"/"+name)
		}
	}
	slices.Sort(names)
	return names
}

package app

import (
	"slices"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// budgetEntry is what is kept of a PodDisruptionBudget.
type budgetEntry struct {
	selector labels.Selector
	allowed  int
	// freesUnready says that the Eviction API lets pods go that run and are not Ready.
	freesUnready bool
}

// freesUnready is the rule of the Eviction API: by the budget's own policy, or because enough others are healthy.
func freesUnready(pdb *policyv1.PodDisruptionBudget) bool {
	if policy := pdb.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return pdb.Status.DesiredHealthy > 0 && pdb.Status.CurrentHealthy >= pdb.Status.DesiredHealthy
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
	entry := budgetEntry{selector: selector, allowed: int(pdb.Status.DisruptionsAllowed), freesUnready: freesUnready(pdb)}
	l.budgets[pdb.Namespace][pdb.Name] = entry
	l.touch()
	if known && old.selector.String() == selector.String() {
		if old.freesUnready != entry.freesUnready {
			l.outdateUnready(pdb.Namespace, selector)
		}
		return l.settle()
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

func (l *Ledger) outdateUnready(namespace string, selector labels.Selector) {
	for entry := range l.inNamespace[namespace] {
		if entry.pod.Unready && selector.Matches(labels.Set(entry.pod.Labels)) {
			l.stale[entry] = struct{}{}
		}
	}
}

// budgetsOf names the PodDisruptionBudgets that hold a pod, as namespace/name in order. The Eviction API evicts no pod that
// several cover, and of those that one covers it lets some go that are not Ready.
func (l *Ledger) budgetsOf(pod *Pod) []string {
	var names []string
	free := false
	for name, budget := range l.budgets[pod.Namespace] {
		if budget.selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, pod.Namespace+"/"+name)
			free = budget.freesUnready
		}
	}
	if len(names) == 1 && free && pod.Unready {
		return nil
	}
	slices.Sort(names)
	return names
}

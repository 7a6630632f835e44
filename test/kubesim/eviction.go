package kubesim

import (
	"errors"
	"fmt"
	"maps"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	disruptedPodsMax = 2000
	// budgetRetrySeconds is what a client is told to wait while a budget is not counted yet.
	budgetRetrySeconds = 10
	cannotEvict        = "Cannot evict pod as it would violate the pod's disruption budget."
)

// evict deletes a pod if the budgets that select it allow that.
func (s *Server) evict(req Request, eviction *policyv1.Eviction) error {
	if eviction.Name != req.Name {
		return apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	options := &metav1.DeleteOptions{}
	if eviction.DeleteOptions != nil {
		options = eviction.DeleteOptions
	}
	if len(options.DryRun) > 0 {
		return errDryRun
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	pods := s.resources.pods
	old := s.stored(pods, client.ObjectKey{Namespace: req.Namespace, Name: req.Name})
	if old == nil {
		return apierrors.NewNotFound(pods.group(), req.Name)
	}
	pod := old.object.(*corev1.Pod)
	if !unprotected(pod) {
		if err := s.spendBudget(req, pod); err != nil {
			return err
		}
	}
	return s.deleteEvicted(req, old, options)
}

// deleteEvicted says in the pod why it goes, and deletes it.
func (s *Server) deleteEvicted(req Request, old *record, options *metav1.DeleteOptions) error {
	r := old.resource
	if err := checkPreconditions(r, old.object, options.Preconditions); err != nil {
		return err
	}
	pod := r.shallowCopy(old.object).(*corev1.Pod)
	setPodCondition(&pod.Status, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting",
	})
	stored, err := s.storeUpdate(req, old, pod)
	if err != nil {
		return err
	}
	if p := options.Preconditions; p != nil && p.ResourceVersion != nil {
		options.Preconditions = &metav1.Preconditions{UID: p.UID, ResourceVersion: new(stored.object.GetResourceVersion())}
	}
	_, err = s.removeLocked(req, r, options)
	return err
}

// unprotected reports whether a pod is disrupted already, or never ran, so that no budget counts it.
func unprotected(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed ||
		pod.Status.Phase == corev1.PodPending || pod.DeletionTimestamp != nil
}

// spendBudget takes one disruption from the pod's budget, if it has one.
func (s *Server) spendBudget(req Request, pod *corev1.Pod) error {
	budgets, err := s.budgetsOf(pod)
	if err != nil || len(budgets) == 0 {
		return err
	}
	if len(budgets) > 1 {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError,
			Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
		}}
	}
	old := budgets[0]
	budget := old.object.(*policyv1.PodDisruptionBudget)
	if !podReady(pod) && sparesUnready(budget) {
		return nil
	}
	if err := refusal(budget); err != nil {
		return err
	}
	spent := budget.DeepCopy()
	spent.Status.DisruptionsAllowed--
	if spent.Status.DisruptionsAllowed == 0 {
		meta.SetStatusCondition(&spent.Status.Conditions, metav1.Condition{
			Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse,
			Reason: policyv1.InsufficientPodsReason, ObservedGeneration: spent.Status.ObservedGeneration,
		})
	}
	spent.Status.DisruptedPods = maps.Clone(budget.Status.DisruptedPods)
	if spent.Status.DisruptedPods == nil {
		spent.Status.DisruptedPods = map[string]metav1.Time{}
	}
	spent.Status.DisruptedPods[pod.Name] = now()
	req.Verb, req.Resource, req.Name, req.Subresource = "update", old.resource.group(), budget.Name, subStatus
	_, err = s.storeUpdate(req, old, spent)
	return err
}

// budgetsOf returns the budgets that select a pod.
func (s *Server) budgetsOf(pod *corev1.Pod) ([]*record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var selecting []*record
	for _, r := range s.tables[s.resources.budgets].in(pod.Namespace) {
		selects, err := selectsPod(r.object.(*policyv1.PodDisruptionBudget), pod)
		if err != nil {
			return nil, fmt.Errorf("read selector of budget %q: %w", r.key.Name, err)
		}
		if selects {
			selecting = append(selecting, r)
		}
	}
	return selecting, nil
}

func selectsPod(budget *policyv1.PodDisruptionBudget, pod *corev1.Pod) (bool, error) {
	return selects(budget.Spec.Selector, pod.Labels)
}

// sparesUnready reports whether a pod that is not ready may go without a disruption being spent.
func sparesUnready(budget *policyv1.PodDisruptionBudget) bool {
	if p := budget.Spec.UnhealthyPodEvictionPolicy; p != nil && *p == policyv1.AlwaysAllow {
		return true
	}
	return budget.Status.CurrentHealthy >= budget.Status.DesiredHealthy && budget.Status.DesiredHealthy > 0
}

// refusal says why a budget has no disruption to spend, or returns nil.
func refusal(budget *policyv1.PodDisruptionBudget) error {
	status := &budget.Status
	switch {
	case status.ObservedGeneration < budget.Generation:
		return because(apierrors.NewTooManyRequests(cannotEvict, budgetRetrySeconds),
			"The disruption budget %s is still being processed by the server.", budget.Name)
	case status.DisruptionsAllowed < 0:
		return because(forbidEviction(budget.Name, "pdb disruptions allowed is negative"),
			"The disruption budget %s does not allow evicting pods currently: pdb disruptions allowed is negative", budget.Name)
	case len(status.DisruptedPods) > disruptedPodsMax:
		return because(forbidEviction(budget.Name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller"),
			"The disruption budget %s does not allow evicting pods currently: too many pending evictions not confirmed by PDB controller", budget.Name)
	case status.DisruptionsAllowed > 0:
		return nil
	}
	refused := apierrors.NewTooManyRequests(cannotEvict, 0)
	condition := meta.FindStatusCondition(status.Conditions, policyv1.DisruptionAllowedCondition)
	explained := condition != nil && condition.Status == metav1.ConditionFalse && condition.Message != ""
	switch {
	case explained && condition.Reason == policyv1.SyncFailedReason:
		return because(refused, "The disruption budget %s does not allow evicting pods currently because it failed sync: %s", budget.Name, condition.Message)
	case status.CurrentHealthy <= status.DesiredHealthy:
		return because(refused, "The disruption budget %s needs %d healthy pods and has %d currently", budget.Name, status.DesiredHealthy, status.CurrentHealthy)
	case explained:
		return because(refused, "The disruption budget %s does not allow evicting pods currently (%s): %s", budget.Name, condition.Reason, condition.Message)
	}
	return because(refused, "The disruption budget %s does not allow evicting pods currently", budget.Name)
}

func forbidEviction(name, why string) *apierrors.StatusError {
	return apierrors.NewForbidden(schema.GroupResource{Group: policyv1.GroupName, Resource: "poddisruptionbudget"}, name, errors.New(why))
}

// because adds the cause by which clients know that a budget refused.
func because(refused *apierrors.StatusError, format string, args ...any) error {
	refused.ErrStatus.Details.Causes = append(refused.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: policyv1.DisruptionBudgetCause, Message: fmt.Sprintf(format, args...),
	})
	return refused
}

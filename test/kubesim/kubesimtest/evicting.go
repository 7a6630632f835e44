package kubesimtest

import (
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func evictionCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"EvictionWithoutABudget":             evictFreely,
		"EvictionSpendsABudget":              evictSpends,
		"EvictionByTwoBudgets":               evictTwoBudgets,
		"EvictionAfterTheBudgetIsGone":       evictUnguarded,
		"EvictionChecksWhatTheClientKnows":   evictPreconditions,
		"EvictionOfWhatIsNotThere":           evictMissing,
		"EvictionOfAPodThatNeverRan":         evictPending,
		"EvictionOfAPodThatIsNotReady":       evictUnready,
		"EvictionOfAPodThatIsBeingDeleted":   evictTwice,
		"EvictionSelectsByTheBudgetsOwnRule": evictSelector,
	}
}

// running is a pod on a node, and Ready if asked for.
func (k *kit) running(name string, labels map[string]string, ready corev1.ConditionStatus) *corev1.Pod {
	k.Helper()
	pod := k.bound(name, labels)
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	k.must(k.Status().Update(k.ctx, pod))
	return pod
}

func (k *kit) evict(pod *corev1.Pod, p *metav1.Preconditions) error {
	return k.SubResource("eviction").Create(k.ctx, pod, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}, DeleteOptions: &metav1.DeleteOptions{Preconditions: p},
	})
}

func evictFreely(k *kit) {
	pod := k.running("one", nil, corev1.ConditionTrue)
	k.must(k.evict(pod, &metav1.Preconditions{UID: new(pod.UID)}))
	k.read(pod)
	if pod.DeletionTimestamp == nil || *pod.DeletionGracePeriodSeconds != 30 {
		k.Errorf("the pod was deleted at %v with a grace period of %v", pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds)
	}
	if !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason == "EvictionByEvictionAPI"
	}) {
		k.Errorf("the conditions are %+v", pod.Status.Conditions)
	}
}

// protected are two ready pods of which a budget keeps some.
func (k *kit) protected(allowed int32) ([]*corev1.Pod, *policyv1.PodDisruptionBudget) {
	k.Helper()
	app := map[string]string{"app": "web"}
	var pods []*corev1.Pod
	for i := range 2 {
		pods = append(pods, k.running(fmt.Sprintf("web-%d", i), app, corev1.ConditionTrue))
	}
	budget := budgetOf("web", app)
	budget.Spec.MinAvailable.IntVal = 2 - allowed
	k.make(budget)
	k.CountBudget(k.T, budget, allowed)
	return pods, budget
}

func (k *kit) wantBudgetRefusal(err error) {
	k.Helper()
	k.refused(err, metav1.StatusReasonTooManyRequests, http.StatusTooManyRequests)
	if !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
		k.Errorf("the refusal has no cause of type DisruptionBudget: %v", err)
	}
}

func evictSpends(k *kit) {
	pods, budget := k.protected(1)
	k.must(k.evict(pods[0], nil))
	k.read(budget)
	if _, ok := budget.Status.DisruptedPods[pods[0].Name]; !ok && budget.Status.DisruptionsAllowed != 0 {
		k.Errorf("the budget still allows %d and knows of %v", budget.Status.DisruptionsAllowed, budget.Status.DisruptedPods)
	}
	k.wantBudgetRefusal(k.evict(pods[1], nil))
	k.read(pods[1])
	if pods[1].DeletionTimestamp != nil {
		k.Error("the budget's last pod is being deleted")
	}
}

func evictTwoBudgets(k *kit) {
	pods, _ := k.protected(1)
	second := budgetOf("second", map[string]string{"app": "web"})
	k.make(second)
	err := k.evict(pods[0], nil)
	k.refused(err, "", http.StatusInternalServerError)
	k.read(pods[0])
	if pods[0].DeletionTimestamp != nil {
		k.Error("the pod is being deleted")
	}
}

func evictUnguarded(k *kit) {
	pods, budget := k.protected(0)
	k.wantBudgetRefusal(k.evict(pods[0], nil))
	k.must(k.Delete(k.ctx, budget))
	k.must(k.evict(pods[0], nil))
}

func evictPreconditions(k *kit) {
	pods, budget := k.protected(1)
	other := types.UID("00000000-0000-4000-8000-ffffffffffff")
	k.refused(k.evict(pods[0], &metav1.Preconditions{UID: &other}), metav1.StatusReasonConflict, http.StatusConflict)
	k.read(pods[0])
	if pods[0].DeletionTimestamp != nil {
		k.Error("another incarnation of the pod is being deleted")
	}
	k.must(k.Delete(k.ctx, budget))
	k.refused(k.evict(pods[0], &metav1.Preconditions{ResourceVersion: new("1")}), metav1.StatusReasonConflict, http.StatusConflict)
	k.must(k.evict(pods[0], &metav1.Preconditions{UID: new(pods[0].UID), ResourceVersion: new(pods[0].ResourceVersion)}))
}

func evictMissing(k *kit) {
	pod := unscheduled("missing", nil)
	pod.Namespace = k.ns
	k.refused(k.evict(pod, nil), metav1.StatusReasonNotFound, http.StatusNotFound)
}

func evictPending(k *kit) {
	_, _ = k.protected(0)
	waiting := unscheduled("waiting", map[string]string{"app": "web"})
	k.make(waiting)
	k.must(k.evict(waiting, nil))
	if !k.gone(waiting) {
		k.Error("the pod is still there")
	}
}

func evictUnready(k *kit) {
	pods, budget := k.protected(0)
	budget.Spec.MinAvailable.IntVal = 2
	unready := k.running("unready", map[string]string{"app": "web"}, corev1.ConditionFalse)
	k.CountBudget(k.T, budget, 0)
	k.must(k.evict(unready, nil))
	k.wantBudgetRefusal(k.evict(pods[0], nil))
}

func evictTwice(k *kit) {
	pods, _ := k.protected(1)
	k.must(k.evict(pods[0], nil))
	k.must(k.evict(pods[0], nil))
}

func evictSelector(k *kit) {
	pod := k.running("one", map[string]string{"app": "other"}, corev1.ConditionTrue)
	_, _ = k.protected(0)
	k.must(k.evict(pod, nil))
}

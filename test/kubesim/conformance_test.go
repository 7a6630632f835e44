package kubesim_test

import (
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim/kubesimtest"
)

func TestConformance(t *testing.T) {
	s := kubesim.New(kubesim.Config{})
	kubesimtest.Conformance(t, kubesimtest.Subject{
		Config:  &rest.Config{Host: "http://kubesim", Transport: s.Transport(), QPS: -1},
		Compact: s.Compact,
		CountBudget: func(t *testing.T, budget *policyv1.PodDisruptionBudget, allowed int32) {
			t.Helper()
			count(t, s, client.ObjectKeyFromObject(budget), allowed)
		},
	})
}

// count writes what the disruption controller would: two healthy pods.
func count(t *testing.T, s *kubesim.Server, key client.ObjectKey, allowed int32) {
	t.Helper()
	budget := kubesim.Get[policyv1.PodDisruptionBudget](s, key.Namespace, key.Name).DeepCopy()
	budget.Status = policyv1.PodDisruptionBudgetStatus{
		ObservedGeneration: budget.Generation, DisruptionsAllowed: allowed, CurrentHealthy: 2, DesiredHealthy: budget.Spec.MinAvailable.IntVal, ExpectedPods: 2,
	}
	if err := s.As("disruption-controller").UpdateStatus(budget); err != nil {
		t.Fatal(err)
	}
}

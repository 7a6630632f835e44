//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim/kubesimtest"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

// TestAPIServerConforms holds the real API server to what package kubesim does, so that a simulation
// of the product means something. The services are stopped meanwhile: they would act on what it makes.
func TestAPIServerConforms(t *testing.T) {
	s := stacktest.New(t)
	for _, name := range stack.Services() {
		if err := s.Service(name).Stop(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			// The test's own context has ended.
			ctx, cancel := context.WithTimeout(context.Background(), stacktest.Patience)
			defer cancel()
			if err := s.Service(name).Start(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	kubesimtest.Conformance(t, kubesimtest.Subject{
		Config: config,
		// What is older than a definition is never kept for the resources that it defines.
		Compact: func() {},
		CountBudget: func(t *testing.T, budget *policyv1.PodDisruptionBudget, allowed int32) {
			t.Helper()
			awaitCount(t, s.Client, budget, allowed)
		},
	})
	s.Eventually("what the suite made is gone", func(ctx context.Context) (bool, string) {
		var list corev1.NamespaceList
		if err := s.Client.List(ctx, &list); err != nil {
			return false, err.Error()
		}
		left := 0
		for i := range list.Items {
			if strings.HasPrefix(list.Items[i].Name, kubesimtest.NamespacePrefix) {
				left++
			}
		}
		return left == 0, fmt.Sprintf("%d namespaces are left", left)
	})
}

// awaitCount waits until the disruption controller has counted the two healthy pods of a budget.
func awaitCount(t *testing.T, c client.Client, budget *policyv1.PodDisruptionBudget, allowed int32) {
	t.Helper()
	const pollEvery = 20 * time.Millisecond
	for began := time.Now(); ; time.Sleep(pollEvery) {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(budget), budget); err != nil {
			t.Fatal(err)
		}
		status := budget.Status
		if status.ObservedGeneration == budget.Generation && status.CurrentHealthy == 2 && status.DisruptionsAllowed == allowed {
			return
		}
		if time.Since(began) > stacktest.Patience {
			t.Fatalf("the budget is counted as %+v, want %d disruptions allowed", status, allowed)
		}
	}
}

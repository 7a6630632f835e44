//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// TestBudgetBindsDrain retires a machine by hand while a PodDisruptionBudget forbids evictions: the
// machine stays with its pod until the budget gives way.
func TestBudgetBindsDrain(t *testing.T) {
	s := stacktest.New(t)
	foreign := seedForeign(t, s)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(0)),
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	}
	s.Create(budget, workload.NodeGroup(s.Namespace, "general", 4), workload.Deployment(s.Namespace, "web", 2, workload.OnePerNode))
	s.AwaitRunning("web", 2)
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
	s.WantLaunched(2)

	retired := s.MustVPSieNodes()[0]
	if err := s.Client.Delete(t.Context(), &retired); err != nil {
		t.Fatal(err)
	}
	s.Eventually("the VPSieNode says that the budget blocks its drain", func(ctx context.Context) (bool, string) {
		if err := s.Client.Get(ctx, client.ObjectKeyFromObject(&retired), &retired); err != nil {
			return false, err.Error()
		}
		c := meta.FindStatusCondition(retired.Status.Conditions, v1beta1.ConditionDrained)
		if c == nil {
			return false, "it has no such condition"
		}
		return strings.Contains(c.Message, "PodDisruptionBudget") && strings.Contains(c.Message, s.Namespace+"/web-"), c.Message
	})
	node := &corev1.Node{}
	if err := s.Client.Get(t.Context(), client.ObjectKey{Name: retired.Status.NodeName}, node); err != nil {
		t.Fatal(err)
	}
	if !node.Spec.Unschedulable || node.Annotations[v1beta1.AnnotationCordoned] != "true" {
		t.Errorf("Node %s is not cordoned by us: %v", node.Name, node.Annotations)
	}
	s.AwaitRunning("web", 2)
	for _, m := range s.Launched() {
		if !m.DeleteRequestedAt.IsZero() {
			t.Errorf("machine %s was deleted against the budget", m.Hostname)
		}
	}

	if err := s.Client.Delete(t.Context(), budget); err != nil {
		t.Fatal(err)
	}
	s.Eventually("the retired machine is gone", func(context.Context) (bool, string) {
		m, _ := s.Truth().Find(retired.Status.Identifier)
		return !m.GoneAt.IsZero(), "it is " + m.State
	})
	s.AwaitRunning("web", 2)
	// The evicted pod had no other place.
	s.WantLaunched(3)
	foreignUntouched(t, s, foreign)
}

// seedForeign puts foreign machines into the cluster.
func seedForeign(t *testing.T, s *stacktest.Scenario) []vpsiesim.Machine {
	t.Helper()
	foreign, err := s.Sim.SeedMachines(t.Context(), vpsiesim.SeedRequest{SizeID: int(workload.Medium), Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, m := range foreign {
			if err := s.Sim.VanishMachine(context.Background(), m.Identifier); err != nil {
				t.Error(err)
			}
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m.NodeName()}}
			if err := client.IgnoreNotFound(s.Client.Delete(context.Background(), node)); err != nil {
				t.Error(err)
			}
		}
	})
	for _, m := range foreign {
		s.Eventually("the foreign machine "+m.Hostname+" is Ready", func(ctx context.Context) (bool, string) {
			node := &corev1.Node{}
			if err := s.Client.Get(ctx, client.ObjectKey{Name: m.NodeName()}, node); err != nil {
				return false, err.Error()
			}
			return workload.IsReady(node), "it is not"
		})
	}
	return foreign
}

// foreignUntouched checks that nothing was done to foreign machines and their Nodes, which are empty
// all the time and of the size that our NodeGroup launches.
func foreignUntouched(t *testing.T, s *stacktest.Scenario, foreign []vpsiesim.Machine) {
	t.Helper()
	truth := s.Truth()
	for _, before := range foreign {
		m, _ := truth.Find(before.Identifier)
		if !m.Alive() || !m.DeleteRequestedAt.IsZero() {
			t.Errorf("foreign machine %s is %s", m.Hostname, m.State)
		}
		node := &corev1.Node{}
		if err := s.Client.Get(t.Context(), client.ObjectKey{Name: m.NodeName()}, node); err != nil {
			t.Fatal(err)
		}
		for key := range node.Labels {
			if strings.HasPrefix(key, v1beta1.GroupVersion.Group) {
				t.Errorf("foreign Node %s got the label %s", node.Name, key)
			}
		}
		if node.Spec.Unschedulable || node.Spec.ProviderID != "" || len(node.Spec.Taints) > 0 {
			t.Errorf("foreign Node %s was changed: %s", node.Name, fmt.Sprintf("%+v", node.Spec))
		}
	}
}

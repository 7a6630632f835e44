//go:build e2e

// Package e2e_test tells the stories of users on the whole product.
package e2e_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// dedicated is a taint of the group in the main story.
var dedicated = corev1.Taint{Key: "dedicated", Value: "story", Effect: corev1.TaintEffectNoSchedule}

// TestPodsMakeNodesAppearAndDisappear is the product in one test: a hundred waiting pods are answered by
// one decision and ten machines, and when the pods are gone the machines go.
func TestPodsMakeNodesAppearAndDisappear(t *testing.T) {
	const pods, needed = 100, 10
	s := stacktest.New(t)
	d := workload.Deployment(s.Namespace, "web", pods, workload.TenPerNode)
	d.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: dedicated.Key, Operator: corev1.TolerationOpExists}}
	s.Create(d)
	s.AwaitWaiting("web", pods)
	group := workload.NodeGroup(s.Namespace, "general", needed+2)
	group.Spec.Template.Taints = []corev1.Taint{dedicated}
	group.Spec.Template.Annotations = map[string]string{"example.com/team": "story"}
	s.Create(group)
	s.AwaitRunning("web", pods)
	s.WantLaunched(needed)

	machines := s.MustVPSieNodes()
	if len(machines) != needed {
		t.Fatalf("there are %d VPSieNodes, want %d", len(machines), needed)
	}
	decision := machines[0].Spec.DecisionID
	for _, m := range machines {
		if m.Spec.DecisionID != decision {
			t.Errorf("VPSieNode %s comes from decision %s and %s from %s; the first one must serve all pods",
				m.Name, m.Spec.DecisionID, machines[0].Name, decision)
		}
	}
	record := s.AwaitDecision(busv1.DecisionKind_DECISION_KIND_SCALE_UP, string(reason.ScaleUpPendingPods))
	if record.GetId() != decision || record.GetPods() != pods || len(record.GetVpsieNodes()) != needed {
		t.Errorf("decision record %s is about %d pods and %d machines, want %s, %d and %d",
			record.GetId(), record.GetPods(), len(record.GetVpsieNodes()), decision, pods, needed)
	}
	// Ten machines at $58.40 a month.
	if got := record.GetMonthlyPriceEffectMicros(); got != 584_000_000 {
		t.Errorf("price effect = %d millionths of a dollar a month, want 584000000", got)
	}
	s.AwaitEvent("Pod", "", "TriggeredScaleUp", s.Namespace+"/general", workload.MediumName, "$584.00")
	s.AwaitVPSieNodes(needed, v1beta1.PhaseReady)
	for _, m := range s.MustVPSieNodes() {
		checkNode(t, s, m)
	}

	s.Scale("web", 0)
	s.AwaitVPSieNodes(0, v1beta1.PhaseReady)
	s.Eventually("every retirement is on record", func(context.Context) (bool, string) {
		n := len(s.Decisions(busv1.DecisionKind_DECISION_KIND_SCALE_DOWN))
		return n == needed, fmt.Sprintf("%d are", n)
	})
	launched := s.Launched()
	if len(launched) != needed {
		t.Errorf("%d machines were launched in the end, want %d", len(launched), needed)
	}
	for _, m := range launched {
		if m.GoneAt.IsZero() || m.HowDeleted != vpsiesim.DeletedByIdentifier || m.PodsAtDeletion != 0 {
			t.Errorf("machine %s: state %s, deleted by %q with %d pods on it", m.Hostname, m.State, m.HowDeleted, m.PodsAtDeletion)
		}
		node := &corev1.Node{}
		if err := s.Client.Get(t.Context(), client.ObjectKey{Name: m.NodeName()}, node); client.IgnoreNotFound(err) != nil || err == nil {
			t.Errorf("Node of machine %s: error %v, want that it is gone", m.Hostname, err)
		}
	}
}

// checkNode compares a Node with its VPSieNode and with the machine VPSie sold.
func checkNode(t *testing.T, s *stacktest.Scenario, m v1beta1.VPSieNode) {
	t.Helper()
	machine, ok := s.Truth().Find(m.Status.Identifier)
	if !ok || machine.Hostname != m.Status.Hostname {
		t.Fatalf("VPSieNode %s claims machine %q (%s), which VPSie does not know", m.Name, m.Status.Identifier, m.Status.Hostname)
	}
	node := &corev1.Node{}
	if err := s.Client.Get(t.Context(), client.ObjectKey{Name: m.Status.NodeName}, node); err != nil {
		t.Fatal(err)
	}
	if node.Name != machine.NodeName() {
		t.Errorf("VPSieNode %s has Node %s and machine %s", m.Name, node.Name, machine.Hostname)
	}
	if want := v1beta1.ProviderIDPrefix + machine.Identifier; node.Spec.ProviderID != want {
		t.Errorf("providerID of %s = %q, want %q", node.Name, node.Spec.ProviderID, want)
	}
	for key, want := range map[string]string{
		workload.LabelPool:             s.Namespace,
		v1beta1.LabelManaged:           "true",
		v1beta1.LabelNodeGroup:         s.Namespace + ".general",
		v1beta1.LabelVPSieNode:         m.Name,
		v1beta1.LabelOffering:          strconv.FormatInt(workload.Medium, 10),
		corev1.LabelInstanceTypeStable: workload.MediumName,
		corev1.LabelTopologyZone:       vpsiesim.DefaultDatacenter,
		corev1.LabelTopologyRegion:     vpsiesim.DefaultDatacenter,
	} {
		if node.Labels[key] != want {
			t.Errorf("label %s of %s = %q, want %q", key, node.Name, node.Labels[key], want)
		}
	}
	if node.Annotations["example.com/team"] != "story" {
		t.Errorf("annotations of %s = %v, want the template's", node.Name, node.Annotations)
	}
	tainted := false
	for _, taint := range node.Spec.Taints {
		tainted = tainted || taint == dedicated
	}
	if !tainted {
		t.Errorf("taints of %s = %v, want %v among them", node.Name, node.Spec.Taints, dedicated)
	}
}

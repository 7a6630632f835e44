//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	plannerv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/planner/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// TestPressureThatGrows lets pods arrive while machines for earlier ones are on their way: what is
// being launched counts, so nothing is launched twice.
func TestPressureThatGrows(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 10), workload.Deployment(s.Namespace, "web", 2, workload.OnePerNode))
	for _, pods := range []int{4, 6} {
		s.Eventually("machines were requested", func(context.Context) (bool, string) {
			n := len(s.Launched())
			return n >= pods-2, fmt.Sprintf("%d were", n)
		})
		s.Scale("web", pods)
	}
	s.AwaitRunning("web", 6)
	s.WantLaunched(6)
}

// TestSmallPodsFillNodesOnTheirWay lets pods arrive that fit on what was launched for others.
func TestSmallPodsFillNodesOnTheirWay(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 5), workload.Deployment(s.Namespace, "large", 2, workload.OnePerNode))
	s.Eventually("two machines were requested", func(context.Context) (bool, string) {
		n := len(s.Launched())
		return n == 2, fmt.Sprintf("%d were", n)
	})
	// Beside a large pod there is room for three or four of these.
	s.Create(workload.Deployment(s.Namespace, "small", 4, workload.TenPerNode))
	s.AwaitRunning("large", 2)
	s.AwaitRunning("small", 4)
	s.WantLaunched(2)
}

// TestMinimumIsKept launches what no pod needs, and retires it when it is not wanted any more.
func TestMinimumIsKept(t *testing.T) {
	s := stacktest.New(t)
	group := workload.NodeGroup(s.Namespace, "general", 4)
	group.Spec.MinNodes = 2
	s.Create(group)
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
	for _, n := range s.MustVPSieNodes() {
		if n.Spec.Reason != string(reason.ScaleUpMinNodes) {
			t.Errorf("VPSieNode %s was made because of %s, want %s", n.Name, n.Spec.Reason, reason.ScaleUpMinNodes)
		}
		awaitKept(s, n.Status.NodeName, reason.NoScaleDownMinSize)
	}
	s.Patch(group, `{"spec":{"minNodes":3}}`)
	s.AwaitVPSieNodes(3, v1beta1.PhaseReady)
	s.Patch(group, `{"spec":{"minNodes":1}}`)
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	s.WantLaunched(3)
}

// TestMaximumHolds lets more pods wait than the group may have nodes for.
func TestMaximumHolds(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 2), workload.Deployment(s.Namespace, "web", 5, workload.OnePerNode))
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
	s.AwaitDecision(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, string(reason.NoScaleUpGroupMaxSize))
	s.Eventually("two pods run and three wait", func(ctx context.Context) (bool, string) {
		pods, err := s.Pods(ctx, "web")
		if err != nil {
			return false, err.Error()
		}
		running, waiting := 0, 0
		for i := range pods {
			if pods[i].Spec.NodeName != "" {
				running++
			} else if workload.IsUnschedulable(&pods[i]) {
				waiting++
			}
		}
		return running == 2 && waiting == 3, fmt.Sprintf("%d have a node and %d wait", running, waiting)
	})
	s.WantLaunched(2)
	wantExplained(t, s)
}

// wantExplained asks the planner why the group does not grow and why its nodes stay.
func wantExplained(t *testing.T, s *stacktest.Scenario) {
	t.Helper()
	conn, err := rpc.NewClient(s.Service(stack.Planner).RPCAddress, rpc.TCP{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	planner := plannerv1.NewPlannerServiceClient(conn)
	s.Eventually("the planner explains the group and its nodes", func(ctx context.Context) (bool, string) {
		reply, err := planner.Explain(ctx, &plannerv1.ExplainRequest{Subject: &plannerv1.ExplainRequest_NodeGroup{NodeGroup: s.Namespace + "/general"}})
		full, kept := false, 0
		for _, r := range reply.GetRecords() {
			full = full || r.GetReason() == string(reason.NoScaleUpGroupMaxSize) && r.GetPods() == 3
			if r.GetKind() == busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN {
				kept++
			}
		}
		return err == nil && full && kept == 2, fmt.Sprintf("%v, %v", reply, err)
	})
}

// TestStepsAreBounded lets one decision add no more machines than the group allows; the rest follows.
func TestStepsAreBounded(t *testing.T) {
	s := stacktest.New(t)
	group := workload.NodeGroup(s.Namespace, "general", 6)
	group.Spec.ScaleUp.MaxNodesPerStep = new(int32(2))
	d := workload.Deployment(s.Namespace, "web", 5, workload.OnePerNode)
	s.Create(d)
	s.AwaitWaiting("web", 5)
	s.Create(group)
	s.AwaitRunning("web", 5)
	s.WantLaunched(5)
	steps := map[string]int{}
	for _, n := range s.MustVPSieNodes() {
		steps[n.Spec.DecisionID]++
	}
	for decision, machines := range steps {
		if machines > 2 {
			t.Errorf("decision %s added %d machines, want at most 2", decision, machines)
		}
	}
}

// spread makes two nodes that are each needed too little to stay: what one runs fits on the other.
func spread(t *testing.T, objects ...func(namespace string) *policyv1.PodDisruptionBudget) *stacktest.Scenario {
	t.Helper()
	s := stacktest.New(t)
	for _, object := range objects {
		s.Create(object(s.Namespace))
	}
	group := workload.NodeGroup(s.Namespace, "general", 3)
	group.Spec.MinNodes = 2
	s.Create(group)
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
	awaitOpen(s)
	// The scheduler spreads pods over empty nodes.
	s.Create(workload.Deployment(s.Namespace, "web", 4, workload.TenPerNode))
	s.AwaitRunning("web", 4)
	s.Patch(group, `{"spec":{"minNodes":0}}`)
	return s
}

// awaitOpen waits until the scheduler may use every machine's Node: Kubernetes takes its taints off a moment
// after it is Ready.
func awaitOpen(s *stacktest.Scenario) {
	s.Eventually("every node is open to pods", func(ctx context.Context) (bool, string) {
		for _, n := range s.MustVPSieNodes() {
			var node corev1.Node
			if err := s.Client.Get(ctx, client.ObjectKey{Name: n.Status.NodeName}, &node); err != nil {
				return false, err.Error()
			}
			if len(node.Spec.Taints) > 0 {
				return false, fmt.Sprintf("node %s has taints %v", node.Name, node.Spec.Taints)
			}
		}
		return true, ""
	})
}

// TestUnderusedNodeIsRetired moves pods together and gives the spare machine back.
func TestUnderusedNodeIsRetired(t *testing.T) {
	s := spread(t)
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	s.AwaitRunning("web", 4)
	s.WantLaunched(2)
	if n := len(s.Decisions(busv1.DecisionKind_DECISION_KIND_SCALE_DOWN)); n != 1 {
		t.Errorf("%d retirements were decided, want 1", n)
	}
	s.AwaitEvent("NodeGroup", "general", "ScaleDown", "retire", "a month")
}

// TestBudgetKeepsUnderusedNodes does not even begin to drain what a budget protects.
func TestBudgetKeepsUnderusedNodes(t *testing.T) {
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(0)),
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	}
	s := spread(t, func(namespace string) *policyv1.PodDisruptionBudget {
		budget.Namespace = namespace
		return budget
	})
	for _, n := range s.MustVPSieNodes() {
		awaitKept(s, n.Status.NodeName, reason.NoScaleDownPodBudget)
	}
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
	if n := len(s.Decisions(busv1.DecisionKind_DECISION_KIND_SCALE_DOWN)); n != 0 {
		t.Errorf("%d retirements were decided against the budget", n)
	}
	if err := s.Client.Delete(t.Context(), budget); err != nil {
		t.Fatal(err)
	}
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	s.AwaitRunning("web", 4)
}

// TestWithdrawnDrainReopensTheNode withdraws a retirement while a budget blocks the drain.
func TestWithdrawnDrainReopensTheNode(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 2), workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
	s.AwaitRunning("web", 1)
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	n := s.MustVPSieNodes()[0]
	s.Create(&policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(1)),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	})
	retirement := `{"spec":{"retirement":{"kind":"Manual","decisionID":"by-hand","reason":"by-hand"}}}`
	s.Patch(&n, retirement)
	s.AwaitVPSieNodes(1, v1beta1.PhaseDraining)
	s.Patch(&n, `{"spec":{"retirement":null}}`)
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	s.Eventually("the Node is open again", func(ctx context.Context) (bool, string) {
		node, err := s.Kube.CoreV1().Nodes().Get(ctx, n.Status.NodeName, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return !node.Spec.Unschedulable && len(node.Spec.Taints) == 0, fmt.Sprintf("%+v", node.Spec)
	})
	s.AwaitRunning("web", 1)
	s.WantLaunched(1)
}

//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// TestNodeGroupIsDefaulted creates what a user must write at least and reads what the API server made of it.
func TestNodeGroupIsDefaulted(t *testing.T) {
	s := stacktest.New(t)
	s.Create(&v1beta1.NodeGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "general"},
		Spec: v1beta1.NodeGroupSpec{
			MaxNodes: 3,
			Cluster:  v1beta1.ClusterReference{Identifier: vpsiesim.DefaultCluster, Datacenter: vpsiesim.DefaultDatacenter},
		},
	})
	group, err := s.Group(t.Context(), "general")
	if err != nil {
		t.Fatal(err)
	}
	want := v1beta1.NodeGroupSpec{
		Mode:     v1beta1.ModeEnforce,
		MaxNodes: 3,
		Cluster:  v1beta1.ClusterReference{Identifier: vpsiesim.DefaultCluster, Datacenter: vpsiesim.DefaultDatacenter},
		ScaleUp:  v1beta1.ScaleUpPolicy{Enabled: new(true)},
		ScaleDown: v1beta1.ScaleDownPolicy{
			Enabled:              new(true),
			UtilizationThreshold: new(int32(50)),
			UnneededFor:          &metav1.Duration{Duration: 10 * time.Minute},
			UnreadyFor:           &metav1.Duration{Duration: 20 * time.Minute},
			MaxNodesPerStep:      new(int32(5)),
			DrainTimeout:         &metav1.Duration{Duration: 15 * time.Minute},
		},
	}
	if diff := cmp.Diff(want, group.Spec); diff != "" {
		t.Errorf("specification (-want +got):\n%s", diff)
	}
}

// TestNodeGroupRefusesNonsense checks what one object can prove about itself.
func TestNodeGroupRefusesNonsense(t *testing.T) {
	tests := map[string]struct {
		why    string
		change func(*v1beta1.NodeGroup)
		says   string
	}{
		"MinimumAboveMaximum": {
			change: func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 4 },
			says:   "lower minNodes or raise maxNodes",
		},
		"TwoWaysToChooseSizes": {
			why: "which of them should win is not for us to guess",
			change: func(g *v1beta1.NodeGroup) {
				g.Spec.OfferingSelector = &v1beta1.OfferingSelector{MinCPU: new(resource.MustParse("2"))}
			},
			says: "name sizes by id or choose them by property",
		},
		"NegativeMinimum":    {change: func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = -1 }, says: "spec.minNodes"},
		"MoreThanThereCanBe": {change: func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 5001 }, says: "spec.maxNodes"},
		"WeightOffTheScale":  {change: func(g *v1beta1.NodeGroup) { g.Spec.Weight = 101 }, says: "spec.weight"},
		"NoCluster":          {change: func(g *v1beta1.NodeGroup) { g.Spec.Cluster.Identifier = "" }, says: "spec.cluster.identifier"},
		"UnknownMode":        {change: func(g *v1beta1.NodeGroup) { g.Spec.Mode = "Sometimes" }, says: "spec.mode"},
		"ThresholdOffTheScale": {
			change: func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.UtilizationThreshold = new(int32(101)) },
			says:   "spec.scaleDown.utilizationThreshold",
		},
	}
	s := stacktest.New(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			group := workload.NodeGroup(s.Namespace, "nonsense", 3)
			tc.change(group)
			err := s.Client.Create(t.Context(), group)
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("create: error %v, want that it is invalid and says %q (%s)", err, tc.says, tc.why)
			}
		})
	}
}

// TestStatusFollowsTheGroup watches a NodeGroup's status through its life.
func TestStatusFollowsTheGroup(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 2))
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionTrue)
	s.AwaitCondition("general", v1beta1.ConditionAtMinimum, metav1.ConditionTrue)
	for _, kind := range []string{v1beta1.ConditionScalingActive, v1beta1.ConditionAtMaximum} {
		s.AwaitCondition("general", kind, metav1.ConditionFalse)
	}
	for _, kind := range []string{v1beta1.ConditionAPIHealthy, v1beta1.ConditionCapacityAvailable} {
		s.AwaitCondition("general", kind, metav1.ConditionTrue)
	}

	s.Create(workload.Deployment(s.Namespace, "web", 3, workload.OnePerNode))
	awaitStatus(s, "two of two nodes are ready and one pod waits", func(st v1beta1.NodeGroupStatus) bool {
		return st.Nodes == 2 && st.ReadyNodes == 2 && st.DesiredNodes == 2 && st.PendingPods == 1 && st.LaunchingNodes == 0
	})
	s.AwaitCondition("general", v1beta1.ConditionAtMaximum, metav1.ConditionTrue)
	s.AwaitCondition("general", v1beta1.ConditionAtMinimum, metav1.ConditionFalse)
	c := s.AwaitCondition("general", v1beta1.ConditionCapacityAvailable, metav1.ConditionFalse)
	if want := reason.NoScaleUpGroupMaxSize.Condition(); c.Reason != want {
		t.Errorf("capacity is not available because of %s, want %s", c.Reason, want)
	}
	s.AwaitEvent("Pod", "", "NotTriggerScaleUp", "maxNodes", "raise maxNodes")
	group, err := s.Group(t.Context(), "general")
	if err != nil {
		t.Fatal(err)
	}
	if cost := group.Status.MonthlyCost; cost != "116.80" {
		t.Errorf("monthly cost = %q, want 116.80", cost)
	}
	if group.Status.LastScaleUpTime == nil || len(group.Status.RecentDecisions) == 0 {
		t.Errorf("status does not show the decision: %+v", group.Status)
	}

	s.Patch(group, `{"spec":{"maxNodes":3}}`)
	s.AwaitRunning("web", 3)
	awaitStatus(s, "the status speaks of the changed group", func(st v1beta1.NodeGroupStatus) bool {
		return st.ObservedGeneration == group.Generation && st.ReadyNodes == 3 && st.PendingPods == 0
	})
	s.AwaitCondition("general", v1beta1.ConditionCapacityAvailable, metav1.ConditionTrue)
	s.AwaitCondition("general", v1beta1.ConditionScalingActive, metav1.ConditionFalse)
	s.WantLaunched(3)
}

func awaitStatus(s *stacktest.Scenario, what string, is func(v1beta1.NodeGroupStatus) bool) {
	s.Eventually(what, func(ctx context.Context) (bool, string) {
		group, err := s.Group(ctx, "general")
		if err != nil {
			return false, err.Error()
		}
		return is(group.Status), fmt.Sprintf("status is %+v", group.Status)
	})
}

// TestModes holds launches back by mode, and permits them again.
func TestModes(t *testing.T) {
	for mode, code := range map[v1beta1.Mode]reason.Code{
		v1beta1.ModePaused:    reason.NoScaleUpGroupPaused,
		v1beta1.ModeRecommend: reason.NoScaleUpGroupRecommend,
	} {
		t.Run(string(mode), func(t *testing.T) {
			s := stacktest.New(t)
			group := workload.NodeGroup(s.Namespace, "general", 2)
			group.Spec.Mode = mode
			s.Create(group, workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
			s.AwaitDecision(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, string(code))
			s.AwaitEvent("Pod", "", "NotTriggerScaleUp", "spec.mode to Enforce")
			s.WantLaunched(0)
			s.Patch(group, `{"spec":{"mode":"Enforce"}}`)
			s.AwaitRunning("web", 1)
			s.WantLaunched(1)
		})
	}
}

// TestDeletedNodeGroupKeepsItsMachines deletes a NodeGroup under running pods: nothing is deleted without a
// drain, and no machine goes that nobody deletes by hand.
func TestDeletedNodeGroupKeepsItsMachines(t *testing.T) {
	s := stacktest.New(t)
	group := workload.NodeGroup(s.Namespace, "general", 2)
	s.Create(group, workload.Deployment(s.Namespace, "web", 2, workload.OnePerNode))
	s.AwaitRunning("web", 2)
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
	if err := s.Client.Delete(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	s.Scale("web", 0)
	for _, n := range s.MustVPSieNodes() {
		awaitKept(s, n.Status.NodeName, reason.NoScaleDownGroupGone)
	}
	for _, m := range s.Launched() {
		if !m.DeleteRequestedAt.IsZero() {
			t.Errorf("machine %s was deleted with its NodeGroup", m.Hostname)
		}
	}
	// The end of the test deletes the VPSieNodes by hand, and awaits and judges their end.
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
}

// awaitKept waits for the planner's record of why a node stays.
func awaitKept(s *stacktest.Scenario, node string, code reason.Code) {
	s.Eventually(fmt.Sprintf("node %s is kept for %s", node, code), func(context.Context) (bool, string) {
		last := "nothing"
		for _, r := range s.Stack.Decisions() {
			if r.GetKind() == busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN && r.GetSubject().GetName() == node {
				last = r.GetReason()
			}
		}
		return last == string(code), "the last record says " + last
	})
}

// TestLaunchIsARecord refuses to change what a VPSieNode says was launched.
func TestLaunchIsARecord(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 1), workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	n := s.MustVPSieNodes()[0]
	// A patch without a resource version: the status changes meanwhile, and a conflict would say nothing.
	err := s.Client.Patch(t.Context(), &n, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"offering":%d}}`, workload.Small)))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "only retirement may change") {
		t.Errorf("patch: error %v, want that it is refused", err)
	}
	s.AwaitRunning("web", 1)
}

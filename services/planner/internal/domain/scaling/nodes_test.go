package scaling_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// unneeded is the memory of a planner that has watched nodes for long.
func unneeded(nodes ...string) scaling.Memory {
	m := scaling.Memory{Unneeded: map[string]time.Time{}}
	for _, n := range nodes {
		m.Unneeded[n] = noon.Add(-time.Hour)
	}
	return m
}

func TestPodsDoNotMoveToNodesThatAreNotReadyForThem(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	web := w.shape("web", 500, 64)
	w.machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
	w.machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 4})
	taint := corev1.Taint{Key: "startup-taint.cluster-autoscaler.kubernetes.io/cni", Effect: corev1.TaintEffectNoSchedule}
	w.Nodes["n2"].Taints = []corev1.Taint{taint}
	w.pending(web, 3)
	plan := scaling.Propose(w.Snapshot, scaling.DefaultPolicy, unneeded("n1"), noon)
	if got := retired(plan); len(got) > 0 {
		t.Errorf("%v are retired, and their pods cannot run on a node with %s", got, taint.Key)
	}
	if got := bought(plan); len(got) > 0 {
		t.Errorf("%v are bought for pods that n1 and, before long, n2 take", got)
	}
	w.Machines[1].Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Hour)))
	w.pending(web, 7)
	if got := bought(scaling.Propose(w.Snapshot, scaling.DefaultPolicy, unneeded("n1"), noon)); got["default/a/small"] != 1 {
		t.Errorf("%v are bought; a taint that stays for an hour is not about to go", got)
	}
}

func TestWhatKeepsANode(t *testing.T) {
	tests := map[string]struct {
		shape   func(*scheduling.Shape)
		budgets map[string]int
		goes    bool
		code    reason.Code
	}{
		"PodsThatMove":        {func(*scheduling.Shape) {}, nil, true, ""},
		"TwoBudgets":          {func(s *scheduling.Shape) { s.Budgets = []string{"default/a", "default/b"} }, map[string]int{"default/a": 5, "default/b": 5}, false, reason.NoScaleDownPodBudget},
		"OneBudget":           {func(s *scheduling.Shape) { s.Budgets = []string{"default/a"} }, map[string]int{"default/a": 5}, true, ""},
		"ExpendablePodsDoNot": {func(s *scheduling.Shape) { s.Priority, s.Requests[corev1.ResourceCPU] = -100, 3500 }, nil, true, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			w.Budgets = tc.budgets
			pod := w.shape("pod", 500, 64, tc.shape)
			w.machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{pod: 1})
			w.machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.shape("web", 3000, 64): 1})
			plan := scaling.Propose(w.Snapshot, scaling.DefaultPolicy, unneeded("n1"), noon)
			if got := retired(plan); (len(got) == 1) != tc.goes || plan.Kept["n1"].Code != tc.code {
				t.Errorf("retired %v, n1 is kept for %+v; want that it goes: %t, code %q", got, plan.Kept["n1"], tc.goes, tc.code)
			}
		})
	}
}

func TestSizesAreLearnedFromNodes(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	stored := w.shape("stored", 100, 64, func(s *scheduling.Shape) { s.Volumes = []scheduling.Volume{{Driver: "csi"}} })
	gpu := w.shape("gpu", 100, 64, func(s *scheduling.Shape) { s.Requests["example.com/gpu"] = 1 })
	w.machine(g, "n1", v1beta1.PhaseReady, nil)
	w.machine(g, "n2", v1beta1.PhaseReady, nil)
	w.Nodes["n1"].AttachLimits = map[string]int64{"csi": 4}
	w.Nodes["n1"].Allocatable["example.com/gpu"] = 1
	w.Nodes["n1"].Unschedulable, w.Nodes["n2"].Unschedulable = true, true
	w.pending(stored, 8)
	w.pending(gpu, 1)
	plan := scaling.Propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
	if got := bought(plan)["default/a/small"]; got != 2 || plan.Shapes[gpu].Left > 0 {
		t.Errorf("%d machines are bought and %d pods left; a machine attaches four volumes and has a device, whatever n2 does not say of itself", got, plan.Shapes[gpu].Left)
	}
}

func TestFewPodsPerNodeOutlivesTheDecision(t *testing.T) {
	g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.MaxPodsPerNode = new(int32(2)) })
	w := newWorld(g)
	web := w.shape("web", 100, 64)
	w.machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 2})
	w.machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 2})
	w.machine(g, "m3", v1beta1.PhaseLaunching, nil)
	w.pending(web, 4)
	plan := scaling.Propose(w.Snapshot, scaling.DefaultPolicy, unneeded("n1", "n2"), noon)
	if got := bought(plan)["default/a/small"]; got != 1 || len(retired(plan)) > 0 {
		t.Errorf("%d machines are bought and %v retired, want one for the two pods that the launching one does not take, and none", got, retired(plan))
	}
}

package scaling_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

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
			pod := w.Shape("pod", 500, 64, tc.shape)
			w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{pod: 1})
			w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("web", 3000, 64): 1})
			plan := propose(w.Snapshot, scaling.DefaultPolicy, unneeded("n1"), noon)
			if got := retired(plan); (len(got) == 1) != tc.goes || plan.Kept["n1"].Code != tc.code {
				t.Errorf("retired %v, n1 is kept for %+v; want that it goes: %t, code %q", got, plan.Kept["n1"], tc.goes, tc.code)
			}
		})
	}
}

func TestFewPodsPerNodeOutlivesTheDecision(t *testing.T) {
	g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.MaxPodsPerNode = new(int32(2)) })
	w := newWorld(g)
	web := w.Shape("web", 100, 64)
	w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 2})
	w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 2})
	w.Machine(g, "m3", v1beta1.PhaseLaunching, nil)
	w.Wait(web, 4)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, unneeded("n1", "n2"), noon)
	if got := launched(plan)["default/a/small"]; got != 1 || len(retired(plan)) > 0 {
		t.Errorf("%d machines are launched and %v retired, want one for the two pods that the launching one does not take, and none", got, retired(plan))
	}
}

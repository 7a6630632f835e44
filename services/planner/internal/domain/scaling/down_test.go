package scaling_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

func TestRetirementSaysWhetherPodsMove(t *testing.T) {
	g := group("g")
	w := newWorld(g)
	w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("web", 500, 256): 1})
	w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 3000, 64): 1})
	plan := w.plan(scaling.Memory{Unneeded: map[string]time.Time{"n1": noon.Add(-time.Hour)}})
	if len(plan.Retirements) != 1 || plan.Retirements[0].Reason != reason.ScaleDownUnneeded || plan.Retirements[0].Pods != 1 {
		t.Errorf("retirements %+v, want one whose pod moves", plan.Retirements)
	}
}

func TestScaleDown(t *testing.T) {
	long := scaling.Memory{Unneeded: map[string]time.Time{"n1": noon.Add(-time.Hour), "n2": noon.Add(-time.Hour), "n3": noon.Add(-time.Hour)}}
	tests := map[string]struct {
		why    string
		build  func(w *world, g *v1beta1.NodeGroup)
		memory scaling.Memory
		want   []string
		kept   map[string]reason.Code
	}{
		"EmptyNodeGoesAfterItsTime": {
			build:  func(w *world, g *v1beta1.NodeGroup) { w.Machine(g, "n1", v1beta1.PhaseReady, nil) },
			memory: long, want: []string{"n1"}, kept: map[string]reason.Code{},
		},
		"NotBeforeItsTime": {
			why:   "time that was not watched does not count",
			build: func(w *world, g *v1beta1.NodeGroup) { w.Machine(g, "n1", v1beta1.PhaseReady, nil) },
			kept:  map[string]reason.Code{"n1": reason.NoScaleDownUnneededFor},
		},
		"PodsMoveToWhereTheyFit": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				web := w.Shape("web", 500, 256)
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
				w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 6})
			},
			memory: long, want: []string{"n1"}, kept: map[string]reason.Code{"n2": reason.NoScaleDownUtilization},
		},
		"TwoHalfEmptyNodesDoNotBothGo": {
			why: "each could replace the other, but not both",
			build: func(w *world, g *v1beta1.NodeGroup) {
				web := w.Shape("web", 1500, 256)
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
				w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
			},
			memory: long, want: []string{"n1"}, kept: map[string]reason.Code{"n2": reason.NoScaleDownPodNoPlace},
		},
		"DaemonPodsDoNotHoldANode": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				agent := w.Shape("agent", 3000, 256, func(s *scheduling.Shape) { s.OwnerKind = "DaemonSet" })
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{agent: 1})
			},
			memory: long, want: []string{"n1"}, kept: map[string]reason.Code{},
		},
		"ProtectedPod": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				sacred := w.Shape("sacred", 100, 64, func(s *scheduling.Shape) { s.Protection = reason.NoScaleDownPodProtected })
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{sacred: 1})
				w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 3000, 64): 1})
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownPodProtected, "n2": reason.NoScaleDownUtilization},
		},
		"BudgetWithoutRoom": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Budgets["default/web"] = 0
				web := w.Shape("web", 100, 64, func(s *scheduling.Shape) { s.Budgets = []string{"default/web"} })
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
				w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 3000, 64): 1})
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownPodBudget, "n2": reason.NoScaleDownUtilization},
		},
		"UnjudgedPod": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				spread := w.Shape("spread", 100, 64, func(s *scheduling.Shape) { s.Unjudged = reason.NoScaleUpTopologySpread })
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{spread: 1})
				w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 3000, 64): 1})
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownPodUnjudged, "n2": reason.NoScaleDownUtilization},
		},
		"NodeThatWaitingPodsWillTake": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Wait(w.Shape("web", 3000, 64), 1)
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownPendingPods},
		},
		"ProtectedNode": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Nodes["n1"].Protection = reason.NoScaleDownNodeProtected
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownNodeProtected},
		},
		"ControlPlane": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Nodes["n1"].Protection = reason.NoScaleDownControlPlane
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownControlPlane},
		},
		"BarePodAndKubeSystemPod": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				bare := w.Shape("bare", 100, 64, func(s *scheduling.Shape) { s.Protection = reason.NoScaleDownPodBare })
				system := w.Shape("system", 100, 64, func(s *scheduling.Shape) { s.Protection = reason.NoScaleDownPodKubeSystem })
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{bare: 1})
				w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{system: 1})
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownPodBare, "n2": reason.NoScaleDownPodKubeSystem},
		},
		"NotReadyNode": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Nodes["n1"].Ready = false
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownNodeNotReady},
		},
		"MinimumStays": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				g.Spec.MinNodes = 2
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Machine(g, "n2", v1beta1.PhaseReady, nil)
				w.Machine(g, "n3", v1beta1.PhaseReady, nil)
			},
			memory: long, want: []string{"n1"},
			kept: map[string]reason.Code{"n2": reason.NoScaleDownMinSize, "n3": reason.NoScaleDownMinSize},
		},
		"MachinesOnTheirWayDoNotMakeTheMinimum": {
			why: "they may never come",
			build: func(w *world, g *v1beta1.NodeGroup) {
				g.Spec.MinNodes = 1
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Machine(g, "m2", v1beta1.PhaseLaunching, nil)
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownMinSize},
		},
		"LeavingNodesCountInTheStep": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				g.Spec.ScaleDown.MaxNodesPerStep = new(int32(1))
				w.Machine(g, "n0", v1beta1.PhaseDraining, nil)
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownStepLimit},
		},
		"ScaleDownSwitchedOff": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				g.Spec.ScaleDown.Enabled = new(false)
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownDisabled},
		},
		"PausedGroup": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				g.Spec.Mode = v1beta1.ModePaused
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownGroupPaused},
		},
		"OutageRemovesNothing": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Groups[0].Catalogue.Health = fleet.Unavailable
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleUpAPIUnavailable},
		},
		"FailedDrainRests": {
			build: func(w *world, g *v1beta1.NodeGroup) {
				m := w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				m.Status.DrainFailedAt = new(metav1.NewTime(noon.Add(-time.Minute)))
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownDrainFailed},
		},
		"ReplacementIsOnItsWay": {
			why: "whoever launched it retires the node, pods and all",
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Machine(g, "new", v1beta1.PhaseLaunching, nil).Spec.Replaces = []string{"n1"}
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownBeingReplaced},
		},
		"ReplacementWaitsForWhatItReplaces": {
			why: "it is empty while the pods that are to move there still run",
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "old", v1beta1.PhaseDraining, map[scheduling.ShapeID]int{w.Shape("web", 500, 256): 1}).Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireReplace}
				n := w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				n.Spec.Replaces, n.Status.ReadyAt = []string{"old"}, new(metav1.NewTime(noon.Add(-time.Hour)))
			},
			memory: long, kept: map[string]reason.Code{"n1": reason.NoScaleDownReplacement},
		},
		"ReplacementThatNobodyFinishes": {
			why: "it must not be paid for without end, nor keep what it was to replace",
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				n := w.Machine(g, "n2", v1beta1.PhaseReady, nil)
				n.Spec.Replaces, n.Status.ReadyAt = []string{"n1"}, new(metav1.NewTime(noon.Add(-time.Hour)))
			},
			memory: long, want: []string{"n1", "n2"}, kept: map[string]reason.Code{},
		},
		"ReplacementThatFailed": {
			why: "nothing takes the node's place, so it is looked at like any other",
			build: func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				w.Machine(g, "new", v1beta1.PhaseFailed, nil).Spec.Replaces = []string{"n1"}
			},
			memory: long, want: []string{"n1"}, kept: map[string]reason.Code{},
		},
		"ForeignNodeIsNeverLookedAt": {
			why: "only machines with a VPSieNode are ours",
			build: func(w *world, _ *v1beta1.NodeGroup) {
				w.Nodes["theirs"] = &scheduling.Node{Name: "theirs", Ready: true, Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000}}
			},
			memory: scaling.Memory{Unneeded: map[string]time.Time{"theirs": noon.Add(-time.Hour)}}, kept: map[string]reason.Code{},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			tc.build(w, g)
			plan := propose(w.Snapshot, scaling.DefaultPolicy, tc.memory, noon)
			if diff := cmp.Diff(tc.want, retired(plan)); diff != "" {
				t.Errorf("retired (-want +got):\n%s%s", diff, tc.why)
			}
			kept := map[string]reason.Code{}
			for node, refusal := range plan.Kept {
				kept[node] = refusal.Code
				if refusal.Message == "" {
					t.Errorf("node %s stays without a word", node)
				}
			}
			if diff := cmp.Diff(tc.kept, kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s%s", diff, tc.why)
			}
		})
	}
}

// TestUnneededTimeIsRemembered follows a node through passes: its time runs while it can go, and
// starts anew when it was needed in between.
func TestUnneededTimeIsRemembered(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	w.Machine(g, "n1", v1beta1.PhaseReady, nil)
	first := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
	if !first.Next.Equal(noon.Add(time.Minute)) {
		t.Errorf("next plan at %s, want when the node's time is over", first.Next)
	}
	again := propose(w.Snapshot, scaling.DefaultPolicy, first.Memory, noon.Add(time.Minute))
	if diff := cmp.Diff([]string{"n1"}, retired(again)); diff != "" {
		t.Errorf("after its time (-want +got):\n%s", diff)
	}
	w.Wait(w.Shape("web", 3000, 64), 1)
	needed := propose(w.Snapshot, scaling.DefaultPolicy, first.Memory, noon.Add(30*time.Second))
	delete(w.Pending, "web")
	if got := retired(propose(w.Snapshot, scaling.DefaultPolicy, needed.Memory, noon.Add(time.Minute))); len(got) > 0 {
		t.Errorf("retired %v though the node was needed in between", got)
	}
}

// TestUnknownPriceIsNotZero has a machine whose price was not written down, of a size that is sold and of one that is not.
func TestUnknownPriceIsNotZero(t *testing.T) {
	for name, tc := range map[string]struct {
		offering int64
		cost     money.Micros
		known    bool
		says     string
	}{
		"SizeIsSold":    {smallID, 40_000_000, true, "saves $40.00 a month"},
		"SizeIsNotSold": {77, 0, false, "the saving is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			g := group("g")
			w := newWorld(g)
			m := w.Machine(g, "n", v1beta1.PhaseReady, nil)
			m.Spec.Offering, m.Status.MonthlyPrice = tc.offering, ""
			memory := scaling.Memory{Unneeded: map[string]time.Time{"n": noon.Add(-time.Hour)}}
			plan := propose(w.Snapshot, scaling.DefaultPolicy, memory, noon)
			if r := plan.Groups["default/g"]; r.MonthlyCost != tc.cost || r.CostKnown != tc.known {
				t.Errorf("the group costs %s, known %v; want %s, known %v", r.MonthlyCost, r.CostKnown, tc.cost, tc.known)
			}
			if len(plan.Retirements) != 1 || !strings.Contains(plan.Retirements[0].Message, tc.says) {
				t.Errorf("retirements %+v, want one that says: %s", plan.Retirements, tc.says)
			}
		})
	}
}

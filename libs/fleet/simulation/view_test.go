package simulation_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// TestViewLeavesOutWhatIsDecided holds that a decider adds what else it decides, and nothing more: guards refuse what was not looked at.
func TestViewLeavesOutWhatIsDecided(t *testing.T) {
	for kind, add := range map[v1beta1.RetirementKind]func(*disruption.View){
		v1beta1.RetireReplace: nil,
		v1beta1.RetireScaleDown: func(v *disruption.View) {
			v.IsAwaited, v.Staying, v.Leaving = disruption.Known(false), disruption.Known(1), disruption.Known(0)
			v.UnneededSince, v.NoPlace = disruption.Known(noon.Add(-time.Hour)), disruption.Known(func() string { return "" })
		},
		v1beta1.RetireRepair: func(v *disruption.View) {
			v.UnreadySince, v.Busy = disruption.Known(noon.Add(-time.Hour)), disruption.Known("")
			v.Together = disruption.Known(func() (string, time.Time) { return "", time.Time{} })
		},
	} {
		g := group("a", offerings(smallID))
		w := newWorld(g)
		w.Budgets["default/web"] = 1
		m := w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("web", 500, 64, func(s *scheduling.Shape) { s.Budgets = []string{"default/web"} }): 1})
		v := w.cluster(nil).View(kind, m)
		if got := disruption.First(disruption.Decide, v); add != nil && got.Code != reason.NoScaleDownUnchecked {
			t.Errorf("%s is decided without what the decider knows: %+v", kind, got)
		}
		if add != nil {
			add(v)
		}
		if got := disruption.First(disruption.Decide, v); got.Code != "" {
			t.Errorf("%s is refused: %+v", kind, got)
		}
	}
}

// TestViewShowsWhatKeepsAMachine asks about a replacement, for which the view is complete.
func TestViewShowsWhatKeepsAMachine(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*world, *v1beta1.VPSieNode)
		code   reason.Code
	}{
		"GroupGone":  {func(w *world, _ *v1beta1.VPSieNode) { w.Groups = nil }, reason.NoScaleDownGroupGone},
		"NodeGone":   {func(w *world, _ *v1beta1.VPSieNode) { delete(w.Nodes, "n1") }, reason.NoScaleDownNodeNotReady},
		"NotReady":   {func(w *world, _ *v1beta1.VPSieNode) { w.Nodes["n1"].Ready = false }, reason.NoScaleDownNodeNotReady},
		"Protected":  {func(w *world, _ *v1beta1.VPSieNode) { w.Nodes["n1"].Protection = reason.NoScaleDownNodeProtected }, reason.NoScaleDownNodeProtected},
		"SacredPod":  {func(w *world, _ *v1beta1.VPSieNode) { w.Items["web"].Shape.Protection = reason.NoScaleDownPodProtected }, reason.NoScaleDownPodProtected},
		"UnknownPod": {func(w *world, _ *v1beta1.VPSieNode) { delete(w.Items, "web") }, reason.NoScaleDownPodUnjudged},
		"Budget":     {func(w *world, _ *v1beta1.VPSieNode) { w.Budgets["default/web"] = 0 }, reason.NoScaleDownPodBudget},
		"DrainFailed": {func(_ *world, m *v1beta1.VPSieNode) {
			m.Status.DrainFailedAt = new(metav1.NewTime(noon.Add(-time.Minute)))
		}, reason.NoScaleDownDrainFailed},
		"Becoming": {func(w *world, m *v1beta1.VPSieNode) {
			m.Status.ReadyAt = new(metav1.NewTime(noon.Add(-5 * time.Minute)))
			w.Nodes["n1"].Taints = w.Groups[0].Spec.Template.StartupTaints
		}, reason.NoScaleDownNodeNotReady},
	} {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) {
				g.Spec.Template.StartupTaints = []corev1.Taint{{Key: "agent.example.com/starting", Effect: corev1.TaintEffectNoSchedule}}
			})
			w := newWorld(g)
			w.Budgets["default/web"] = 1
			web := w.Shape("web", 500, 64, func(s *scheduling.Shape) { s.Budgets = []string{"default/web"} })
			m := w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
			tc.change(w, m)
			if got := disruption.First(disruption.Decide, w.cluster(nil).View(v1beta1.RetireReplace, m)); got.Code != tc.code {
				t.Errorf("refused with %+v, want %s", got, tc.code)
			}
		})
	}
}

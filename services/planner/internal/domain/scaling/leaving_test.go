package scaling_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

func TestPodsThatAreEndingKeepNoNode(t *testing.T) {
	ending := func(s *scheduling.Shape) { s.Terminating = true }
	for name, change := range map[string]func(*scheduling.Shape){
		"Large":     func(s *scheduling.Shape) { s.Requests["cpu"] = 3800 },
		"Protected": func(s *scheduling.Shape) { s.Protection = reason.NoScaleDownPodBare },
		"Budgeted":  func(s *scheduling.Shape) { s.Budgets = []string{"default/web"} },
		"Unjudged":  func(s *scheduling.Shape) { s.Unjudged = reason.NoScaleUpResourceClaim },
	} {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("ending", 500, 64, ending, change): 1})
			w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 3000, 64): 1})
			plan := w.plan(unneeded("n1"))
			if got := retired(plan); !slices.Equal(got, []string{"n1"}) || plan.Retirements[0].Reason != reason.ScaleDownEmpty {
				t.Errorf("%v go, want n1 as an empty node; it is kept for %+v", got, plan.Kept["n1"])
			}
		})
	}
}

func TestEmptyNodesGoFirst(t *testing.T) {
	world := func(change ...func(*v1beta1.NodeGroup)) *world {
		g := group("a", append(change, offerings(smallID))...)
		w := newWorld(g)
		w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("job", 1500, 64): 1})
		w.Machine(g, "n2", v1beta1.PhaseReady, nil)
		return w
	}
	memory := scaling.Memory{Unneeded: map[string]time.Time{"n1": noon.Add(-time.Hour), "n2": noon}}
	if got := retired(world().plan(memory)); len(got) > 0 {
		t.Errorf("%v go; the pod of n1 would move to n2, which is empty and goes in a minute", got)
	}
	// An empty node that stays anyhow takes the pods of others.
	a, b := group("a", offerings(smallID)), group("b", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 })
	w := newWorld(a, b)
	w.Machine(a, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("job", 1500, 64): 1})
	w.Machine(b, "n2", v1beta1.PhaseReady, nil)
	if got := retired(w.plan(memory)); !slices.Equal(got, []string{"n1"}) {
		t.Errorf("%v go, want n1: the minimum keeps n2", got)
	}
}

func TestNodeThatIsBecomingStaysAndTakesNobodysPods(t *testing.T) {
	g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) {
		g.Spec.Template.StartupTaints = []corev1.Taint{{Key: "agent.example.com/starting", Effect: corev1.TaintEffectNoSchedule}}
	})
	w := newWorld(g)
	w.Since(g, "n1", time.Hour, map[scheduling.ShapeID]int{w.Shape("web", 500, 64): 1})
	w.Since(g, "n2", 5*time.Minute, nil).Taints = g.Spec.Template.StartupTaints
	if plan := w.plan(unneeded("n1", "n2")); len(retired(plan)) > 0 {
		t.Errorf("%v are retired, and n2 is not ready for pods yet", retired(plan))
	} else if want := noon.Add(5 * time.Minute); !plan.Next.Equal(want) {
		t.Errorf("the next plan is due at %s, want %s, when n2 counts as it is", plan.Next, want)
	}
}

package simulation_test

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

func TestLeavingNodesPodsNeedRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		why    string
		ending bool
		goes   bool
	}{
		"Moving": {"n3 has room for one of two pods", false, false},
		"Ending": {"what takes its place is there or waits already", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			web := w.Shape("web", 1500, 64)
			leaving := w.Shape("leaving", 1500, 64, func(s *scheduling.Shape) { s.Terminating = tc.ending })
			w.Machine(g, "n1", v1beta1.PhaseDraining, map[scheduling.ShapeID]int{leaving: 1}).Spec.Retirement = &v1beta1.Retirement{}
			w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
			w.Machine(g, "n3", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 2000, 64): 1})
			if got := w.canGo("n2"); got != tc.goes {
				t.Errorf("n2 can go: %t, want %t (%s)", got, tc.goes, tc.why)
			}
		})
	}
	// The node that the pods of a leaving one need is not empty in the end.
	g := group("a", offerings(smallID))
	w := newWorld(g)
	web := w.Shape("web", 1500, 64)
	w.Machine(g, "n1", v1beta1.PhaseDraining, map[scheduling.ShapeID]int{web: 2}).Spec.Retirement = &v1beta1.Retirement{}
	w.Machine(g, "n2", v1beta1.PhaseReady, nil)
	w.Machine(g, "n3", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 2000, 64): 1})
	if w.canGo("n2") {
		t.Error("n2 can go; one of two pods that n1 gives up fits on n3, and the other needs n2")
	}
}

package scaling_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// texts are all sentences of a plan that people read.
func texts(p scaling.Plan) []string {
	var out []string
	for _, l := range p.Launches {
		out = append(out, l.Message)
	}
	for _, r := range p.Retirements {
		out = append(out, r.Message)
	}
	for _, fate := range p.Shapes {
		out = append(out, fate.Refusal.Message)
	}
	for _, refusal := range p.Kept {
		out = append(out, refusal.Message)
	}
	for _, report := range p.Groups {
		for _, c := range report.Conditions {
			out = append(out, c.Message)
		}
	}
	return out
}

func TestOneIsNotSeveral(t *testing.T) {
	several := regexp.MustCompile(`\b1 (other )?(pods|machines|nodes|sizes)\b`)
	since := scaling.Memory{Unneeded: map[string]time.Time{"m": noon.Add(-time.Hour), "n": noon.Add(-time.Hour)}}
	for name, tc := range map[string]struct {
		group  func(g *v1beta1.NodeGroup)
		build  func(w *world, g *v1beta1.NodeGroup)
		memory scaling.Memory
	}{
		"OnePodWaits":  {build: func(w *world, _ *v1beta1.NodeGroup) { w.Wait(w.Shape("one", 1000, 64), 1) }},
		"MinimumOfOne": {group: func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }},
		"MaximumOfOne": {
			group: func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 1 },
			build: func(w *world, _ *v1beta1.NodeGroup) { w.Wait(w.Shape("one", 3000, 64), 2) },
		},
		"OneOfItsPodsMoves": {memory: since, build: func(w *world, g *v1beta1.NodeGroup) {
			w.Machine(g, "m", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("one", 500, 64): 1})
			w.Machine(g, "n", v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 3000, 64): 1})
		}},
		"OneStays": {memory: since, group: func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }, build: func(w *world, g *v1beta1.NodeGroup) {
			w.Machine(g, "m", v1beta1.PhaseReady, nil)
		}},
		"OneLeaves": {memory: since, group: func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.MaxNodesPerStep = new(int32(1)) }, build: func(w *world, g *v1beta1.NodeGroup) {
			w.Machine(g, "m", v1beta1.PhaseReady, nil)
			w.Machine(g, "n", v1beta1.PhaseReady, nil)
		}},
		"OneIsBroken": {build: func(w *world, g *v1beta1.NodeGroup) { w.broken(g, 5, 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			g := group("g", offerings(smallID))
			if tc.group != nil {
				tc.group(g)
			}
			w := newWorld(g)
			if tc.build != nil {
				tc.build(w, g)
			}
			for _, text := range texts(propose(w.Snapshot, scaling.DefaultPolicy, tc.memory, noon)) {
				if several.MatchString(text) {
					t.Errorf("one is called several: %s", text)
				}
			}
		})
	}
}

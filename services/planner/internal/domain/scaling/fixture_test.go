package scaling_test

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/fleettest"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

var noon = fleettest.Noon

const (
	smallID = fleettest.SmallID
	largeID = fleettest.LargeID
)

var (
	group     = fleettest.Group
	offerings = fleettest.Offerings
)

// world is a snapshot that is built up piece by piece.
type world struct {
	scaling.Snapshot
	fleettest.World
}

func newWorld(groups ...*v1beta1.NodeGroup) *world {
	w := &world{}
	w.World = fleettest.NewWorld(&w.Snapshot.Snapshot, groups...)
	return w
}

func (w *world) plan(m scaling.Memory) scaling.Plan {
	return propose(w.Snapshot, scaling.DefaultPolicy, m, noon)
}

// launchedSmall is how many small machines of group a are launched.
func (w *world) launchedSmall() int { return launched(w.plan(scaling.Memory{}))["default/a/small"] }

// launched counts the launches of a plan by size.
func launched(p scaling.Plan) map[string]int {
	out := map[string]int{}
	for _, l := range p.Launches {
		for _, m := range l.Machines {
			if !l.Recommended {
				out[l.Group+"/"+m.OfferingName]++
			}
		}
	}
	return out
}

func retired(p scaling.Plan) []string {
	var out []string
	for _, r := range p.Retirements {
		if !r.Recommended {
			out = append(out, r.Node)
		}
	}
	return out
}

func condition(p scaling.Plan, group, kind string) scaling.Condition {
	for _, c := range p.Groups[group].Conditions {
		if c.Type == kind {
			return c
		}
	}
	return scaling.Condition{}
}

func cpu(cores int) *resource.Quantity { return new(resource.MustParse(strconv.Itoa(cores))) }

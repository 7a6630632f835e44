package scaling

import (
	"maps"
	"math"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// preempt launches for what is left as if the DaemonSets' pods of lower priority were not there: kube-scheduler preempts them for it
// on a new node.
func (p *planner) preempt(demands []packing.Demand) {
	for _, cutoff := range prioritiesOf(p.cluster.Daemons) {
		var above []packing.Demand
		for _, d := range remaining(demands, p.packing.Left) {
			if d.Item.Shape.Priority > cutoff {
				above = append(above, d)
			}
		}
		if len(above) == 0 {
			return
		}
		daemons := simulation.AtLeast(p.cluster.Daemons, cutoff+1)
		options := p.optionsBy(false, func(g *fleet.Group, o *fleet.Offering) *packing.Option { return simulation.NewOption(g, o, daemons) })
		problem := p.problem(above, options)
		problem.Limits = p.limitsLeft()
		packing := packing.Pack(problem)
		p.launchAll(packing.Launches, false)
		for _, d := range above {
			p.packing.Left[d.Item.ID] = packing.Left[d.Item.ID]
			p.packing.Served[d.Item.ID] += packing.Served[d.Item.ID]
		}
	}
}

// prioritiesOf are the priorities of some items, the lowest first, but for the highest that there is.
func prioritiesOf(items []*scheduling.Item) []int32 {
	var out []int32
	for _, item := range items {
		if item.Shape.Priority < math.MaxInt32 {
			out = append(out, item.Shape.Priority)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// limitsLeft are what the plan's launches leave of each group's limits.
func (p *planner) limitsLeft() map[string]bounds.Limit {
	limits := maps.Clone(p.limits)
	for _, l := range p.plan.Launches {
		if g := p.cluster.Find(l.Group); g != nil && !l.Recommended {
			for i := range l.Machines {
				limits[l.Group] = limits[l.Group].Less(p.optionOf(g, l.Machines[i].Offering).Amounts())
			}
		}
	}
	return limits
}

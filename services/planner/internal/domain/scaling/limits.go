package scaling

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// limitsOf are what each group may still launch with this plan.
func (p *planner) limitsOf() map[string]bounds.Limit {
	limits := map[string]bounds.Limit{}
	for _, g := range p.cluster.Groups {
		room := min(int(g.Spec.MaxNodes)-p.counts[g.Key()].Machines, g.Policy().ScaleUp.NodesPerStepMax)
		if p.failsToJoin(g) != "" {
			room = min(room, 1-p.launchingOf(g))
		}
		limits[g.Key()] = p.limitOf(g, max(room, 0))
	}
	return limits
}

// limitOf is what a group may still launch: so many nodes, and nothing that is bounded while what its machines have is not known.
func (p *planner) limitOf(g *fleet.Group, nodes int) bounds.Limit {
	limit := fleet.LimitOf(g.Spec.Limits)
	if used, known := p.snapshot.Usage(g); known {
		limit = limit.Less(used)
	} else {
		limit = limit.Exhausted()
	}
	return limit.WithNodes(nodes)
}

// isAtStep reports whether the plan launches as many machines for the group as one decision may.
func (p *planner) isAtStep(g *fleet.Group) bool {
	return p.launched(g.Key()) >= g.Policy().ScaleUp.NodesPerStepMax
}

// refuseByLimit says which limit keeps a group from launching.
func (p *planner) refuseByLimit(g *fleet.Group) Refusal {
	var limits []string
	for _, c := range []struct {
		name string
		q    *resource.Quantity
	}{{"cpu", g.Spec.Limits.CPU}, {"memory", g.Spec.Limits.Memory}, {"monthlyCost", g.Spec.Limits.MonthlyCost}} {
		if c.q != nil {
			limits = append(limits, c.name+" "+c.q.String())
		}
	}
	used, known := p.snapshot.Usage(g)
	if len(limits) > 0 && !known {
		return Refusal{reason.NoScaleUpGroupLimit, "the size of a machine of the group is unknown, so its usage of the limits is unknown; nothing is launched until VPSie's catalogue lists the size",
			fleet.LimitOf(g.Spec.Limits).Values()}
	}
	if len(limits) > 0 {
		return Refusal{reason.NoScaleUpGroupLimit, fmt.Sprintf(
			"another machine would exceed the group's limits (%s); its machines have %dm cpu and %dMi memory for %s a month, without the launches of this plan; raise spec.limits to allow more",
			strings.Join(limits, ", "), used.MilliCPU, used.MemoryBytes>>20, used.MonthlyPrice), fleet.LimitOf(g.Spec.Limits).ValuesWith(used)}
	}
	return refuseByStep(g, "this decision launched no machine for the remaining pods; the next decision tries again")
}

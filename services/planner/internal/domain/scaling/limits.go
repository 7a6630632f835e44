package scaling

import (
	"fmt"
	"math"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// limitsOf are what each group may still buy with this plan.
func (p *planner) limitsOf() map[string]packing.Limit {
	limits := map[string]packing.Limit{}
	for _, g := range p.groups {
		room := int(g.Spec.MaxNodes) - p.counts[g.Key()].Machines
		if step := g.Spec.ScaleUp.MaxNodesPerStep; step != nil {
			room = min(room, int(*step))
		}
		if p.failsToJoin(g) != "" {
			room = min(room, 1-p.launchingOf(g))
		}
		limits[g.Key()] = p.limitOf(g, max(room, 0))
	}
	return limits
}

// limitOf is what a group may still buy: so many nodes, and nothing that is bounded while what its machines have is not known.
func (p *planner) limitOf(g *fleet.Group, nodes int) packing.Limit {
	limit := packing.Unlimited
	limit.Nodes = nodes
	ceilings := fleet.CeilingsOf(g.Spec.Limits)
	used, known := p.snapshot.Usage(g)
	room := ceilings.Left(used)
	if !known {
		room = ceilings.Left(all)
	}
	if room.MilliCPU != nil {
		limit.MilliCPU = *room.MilliCPU
	}
	if room.MemoryBytes != nil {
		limit.MemoryBytes = *room.MemoryBytes
	}
	if room.MonthlyPrice != nil {
		limit.MonthlyPrice = *room.MonthlyPrice
	}
	return limit
}

// all uses every ceiling up.
var all = fleet.Amounts{MilliCPU: math.MaxInt64, MemoryBytes: math.MaxInt64, MonthlyPrice: math.MaxInt64}

// isAtStep reports whether the plan buys as many machines for the group as one decision may.
func (p *planner) isAtStep(g *fleet.Group) bool {
	step := g.Spec.ScaleUp.MaxNodesPerStep
	return step != nil && p.bought(g.Key()) >= int(*step)
}

// refuseByLimit says which ceiling keeps a group from buying.
func (p *planner) refuseByLimit(g *fleet.Group) Refusal {
	var ceilings []string
	for _, c := range []struct {
		name string
		q    *resource.Quantity
	}{{"cpu", g.Spec.Limits.CPU}, {"memory", g.Spec.Limits.Memory}, {"monthlyCost", g.Spec.Limits.MonthlyCost}} {
		if c.q != nil {
			ceilings = append(ceilings, c.name+" "+c.q.String())
		}
	}
	used, known := p.snapshot.Usage(g)
	if len(ceilings) > 0 && !known {
		return Refusal{reason.NoScaleUpGroupLimit, "the size of a machine of the group is unknown, so its usage of the limits is unknown; nothing is launched until VPSie's catalogue lists the size"}
	}
	if len(ceilings) > 0 {
		return Refusal{reason.NoScaleUpGroupLimit, fmt.Sprintf(
			"another machine would exceed the group's limits (%s); its machines have %dm cpu and %dMi memory for %s a month, without the launches of this plan; raise spec.limits to allow more",
			strings.Join(ceilings, ", "), used.MilliCPU, used.MemoryBytes>>20, used.MonthlyPrice)}
	}
	return Refusal{reason.NoScaleUpStepLimit, "this decision launched no machine for the remaining pods; the next decision tries again"}
}

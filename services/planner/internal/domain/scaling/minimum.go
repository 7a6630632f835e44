package scaling

import (
	"fmt"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// fillMinimum launches for groups that would stay below their minimum, of their sizes the cheapest that their limits allow, and says of
// those that stay below it why.
func (p *planner) fillMinimum() {
	for _, g := range p.cluster.Groups {
		limit, missing := p.limits[g.Key()], int(g.Spec.MinNodes)-p.counts[g.Key()].Staying()
		for _, l := range p.plan.Launches {
			if l.Group != g.Key() {
				continue
			}
			missing -= len(l.Machines)
			for i := range l.Machines {
				limit = limit.Less(p.optionOf(g, l.Machines[i].Offering).Amounts())
			}
		}
		refusal, shut := p.closed[g.Key()]
		for ; !shut && missing > 0; missing-- {
			cheapest := p.cheapest(g, limit)
			if cheapest == nil {
				refusal = p.refuseMore(g)
				break
			}
			limit = limit.Less(cheapest.Amounts())
			p.launch(g.Key(), g.Policy().Recommends(), reason.ScaleUpMinNodes).add(cheapest, nil)
		}
		p.refuseGroup(g, refusal, max(missing, 0))
	}
}

// refuseGroup writes down why a group stays below its minimum, or can launch nothing at all. That the next decision continues is no refusal.
func (p *planner) refuseGroup(g *fleet.Group, refusal Refusal, missing int) {
	if refusal.Code == reason.NoScaleUpStepLimit || missing == 0 && !isMisconfigured(refusal.Code) {
		return
	}
	if missing > 0 {
		refusal.Message = fmt.Sprintf("the group stays %s below minNodes: %s", text.Count(missing, "node", "nodes"), refusal.Message)
	}
	p.plan.Refused[g.Key()] = GroupRefusal{Refusal: refusal, Missing: missing}
}

// cheapest is the cheapest of the group's sizes that a limit allows, nil when it allows none.
func (p *planner) cheapest(g *fleet.Group, limit bounds.Limit) *packing.Option {
	for _, o := range p.offerings[g.Key()] {
		if option := p.cluster.Option(g, o); limit.Allows(option.Amounts()) {
			return option
		}
	}
	return nil
}

// optionOf is the option for one of the group's sizes.
func (p *planner) optionOf(g *fleet.Group, offering int64) *packing.Option {
	for _, o := range p.offerings[g.Key()] {
		if o.ID == offering {
			return p.cluster.Option(g, o)
		}
	}
	return &packing.Option{}
}

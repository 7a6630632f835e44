package scaling

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
)

// keeps reports whether a guard keeps a node, which the plan says then.
func (p *planner) keeps(node string, v *disruption.View) bool {
	refusal := disruption.First(disruption.Decide, v)
	if refusal.Code == "" {
		return false
	}
	p.due(refusal.Until)
	p.plan.Kept[node] = Refusal{refusal.Code, refusal.Message, refusal.Parameters}
	return true
}

// viewOf is what guards judge of a node that is looked at for removal.
func (p *planner) viewOf(r removal, e *simulation.Evacuation) *disruption.View {
	v := p.cluster.View(v1beta1.RetireScaleDown, r.machine)
	index, simulated := p.cluster.Index[r.node.Name]
	v.IsAwaited, v.Budgets = disruption.Known(simulated && p.awaited[index]), e.Budgets
	return v
}

// together says why no machine of a group is repaired while many fail, and when that may end.
func (p *planner) together(b broken, busy bool) (string, time.Time) {
	why, closes := p.plan.Memory.Outage.Open(p.fleet, b.group.Key(), p.now)
	if why == "" || p.mayTry(b, busy) {
		return "", time.Time{}
	}
	return why + "; no machine is repaired until that ends; check what the machines have in common", closes
}

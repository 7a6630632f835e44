package scaling

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// limitsOf are what each group may still buy with this plan.
func (p *planner) limitsOf() map[string]packing.Limit {
	limits := map[string]packing.Limit{}
	for _, g := range p.groups {
		room := int(g.Spec.MaxNodes) - p.counts[g.name()].machines
		if step := g.Spec.ScaleUp.MaxNodesPerStep; step != nil {
			room = min(room, int(*step))
		}
		if p.failsToJoin(g) != "" {
			room = min(room, 1-p.launchingOf(g))
		}
		limit := packing.Unlimited
		limit.Nodes = max(room, 0)
		u := p.usage(g)
		limit.MilliCPU = remains(g.Spec.Limits.CPU, func(q *resource.Quantity) int64 { return q.MilliValue() }, u.milliCPU, u.known)
		limit.MemoryBytes = remains(g.Spec.Limits.Memory, func(q *resource.Quantity) int64 { return q.Value() }, u.memory, u.known)
		limit.MonthlyPrice = money.Micros(remains(g.Spec.Limits.MonthlyCost, func(q *resource.Quantity) int64 { return int64(money.FromQuantity(q)) }, int64(u.cost), u.known))
		limits[g.name()] = limit
	}
	return limits
}

// remains is what a ceiling leaves over; -1 without a ceiling, and nothing while the use is unknown.
func remains(ceiling *resource.Quantity, value func(*resource.Quantity) int64, used int64, known bool) int64 {
	switch {
	case ceiling == nil:
		return -1
	case !known:
		return 0
	}
	return max(value(ceiling)-used, 0)
}

// usage is the size and price of a group's machines, those on their way and those that leave included.
type usage struct {
	milliCPU, memory int64
	cost             money.Micros
	// known is false when the size of some machine cannot be told.
	known bool
}

func (p *planner) usage(g *Group) usage {
	u := usage{known: true}
	for _, m := range p.snapshot.Machines {
		if groupOf(m) != g.name() || isFailed(m) {
			continue
		}
		found := false
		for i := range g.Catalogue.Offerings {
			if o := &g.Catalogue.Offerings[i]; o.ID == m.Spec.Offering {
				u.milliCPU, u.memory, found = u.milliCPU+o.MilliCPU, u.memory+o.MemoryBytes, true
			}
		}
		price, _ := g.priceOf(m) // known where the size is
		u.cost, u.known = u.cost+price, u.known && found
	}
	return u
}

// priceOf is what a machine costs a month: what it cost when it was bought, else what its size costs now; false where neither
// is known.
func (g *Group) priceOf(m *v1beta1.VPSieNode) (money.Micros, bool) {
	if m.Status.MonthlyPrice != nil {
		return money.FromQuantity(m.Status.MonthlyPrice), true
	}
	for i := range g.Catalogue.Offerings {
		if o := &g.Catalogue.Offerings[i]; o.ID == m.Spec.Offering {
			return o.MonthlyPrice, true
		}
	}
	return 0, false
}

// isAtStep reports whether the plan buys as many machines for the group as one decision may.
func (p *planner) isAtStep(g *Group) bool {
	step := g.Spec.ScaleUp.MaxNodesPerStep
	return step != nil && p.bought(g.name()) >= int(*step)
}

// refuseByLimit says which ceiling keeps a group from buying.
func (p *planner) refuseByLimit(g *Group) Refusal {
	var ceilings []string
	for _, c := range []struct {
		name string
		q    *resource.Quantity
	}{{"cpu", g.Spec.Limits.CPU}, {"memory", g.Spec.Limits.Memory}, {"monthlyCost", g.Spec.Limits.MonthlyCost}} {
		if c.q != nil {
			ceilings = append(ceilings, c.name+" "+c.q.String())
		}
	}
	u := p.usage(g)
	if len(ceilings) > 0 && !u.known {
		return Refusal{reason.NoScaleUpGroupLimit, "the size of some machine of the group is not known, so what its limits leave over is not known either; nothing is bought until VPSie's catalogue names the size"}
	}
	if len(ceilings) > 0 {
		return Refusal{reason.NoScaleUpGroupLimit, fmt.Sprintf(
			"a further machine would take the group above its limits (%s); its machines have %dm cpu and %dMi memory for %s a month, this plan's purchases not counted; raise spec.limits for more",
			strings.Join(ceilings, ", "), u.milliCPU, u.memory>>20, u.cost)}
	}
	return Refusal{reason.NoScaleUpStepLimit, "this decision found no machine for the rest; the next one looks again"}
}

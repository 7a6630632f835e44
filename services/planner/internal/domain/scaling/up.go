package scaling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// scaleUp finds room for the waiting pods: on nodes that are there, on those on their way, and on
// machines to buy; then it fills groups up to their minimum.
func (p *planner) scaleUp(m Memory) {
	demands := p.demands()
	var options []*packing.Option
	if p.snapshot.Buy != BuyNothing {
		options = p.options(false)
	}
	problem := p.problem(demands, options)
	problem.Existing, problem.Launching = p.existing, p.launching
	p.packing = packing.Pack(problem)
	p.awaited = map[int]bool{}
	for _, placed := range p.packing.Placements {
		p.awaited[placed.Node] = true
	}
	purchases := p.packing.Purchases
	if p.snapshot.Buy == BuySure {
		purchases = p.sure(problem)
	} else {
		purchases = p.heldBack(purchases, problem, m)
	}
	p.buy(purchases, false)
	if p.snapshot.Buy < BuySure {
		p.preempt(demands)
	}
	if left := remaining(demands, p.packing.Left); len(left) > 0 && p.snapshot.Buy < BuySure {
		p.advise(left)
	}
	for _, d := range demands {
		id := d.Item.ID
		p.plan.Shapes[id] = Fate{
			Pods: d.Count, OnExisting: p.packing.OnExisting[id], OnLaunching: p.packing.OnLaunching[id], Held: p.held[id], Left: p.packing.Left[id],
			Arriving: p.snapshot.Pending[id].Count == 0,
		}
	}
	for id, count := range p.served {
		fate := p.plan.Shapes[id]
		fate.Pods, fate.Nominated, fate.Arriving = fate.Pods+count, count, p.snapshot.Pending[id].Count == 0
		p.plan.Shapes[id] = fate
	}
	if p.snapshot.Buy < BuySure { // the pods may need more than the minimum
		p.fillMinimum()
	}
	for _, id := range slices.Sorted(maps.Keys(p.plan.Shapes)) {
		p.explain(id)
	}
	for i := range p.plan.Launches {
		p.describe(&p.plan.Launches[i])
	}
}

// sure are the purchases that a plan for more pods of the same kinds would make as well.
func (p *planner) sure(problem packing.Problem) []packing.Purchase {
	var out []packing.Purchase
	for i, sure := range packing.Sure(problem, &p.packing) {
		if sure {
			out = append(out, p.packing.Purchases[i])
		}
	}
	return out
}

func (p *planner) problem(demands []packing.Demand, options []*packing.Option) packing.Problem {
	return packing.Problem{
		State: p.state, Demands: demands, Options: options, Limits: p.limits, SoftShare: p.policy.SoftShare,
	}
}

// advise plans for groups that only recommend what is left, and leaves no trace of it in the simulation.
func (p *planner) advise(left []packing.Demand) {
	options := p.options(true)
	if len(options) == 0 {
		return
	}
	var advice packing.Plan
	p.state.Try(func() bool {
		advice = packing.Pack(p.problem(left, options))
		return false
	})
	p.buy(advice.Purchases, true)
}

// demands are the waiting pods that the engine can judge; the fate of the others is settled here.
func (p *planner) demands() []packing.Demand {
	var demands []packing.Demand
	for _, id := range slices.Sorted(maps.Keys(p.snapshot.Pending)) {
		pending, item := p.snapshot.Pending[id], p.snapshot.Items[id]
		switch {
		case item == nil || pending.Count+pending.Arriving <= 0:
			// The feed names a shape that it does not hold; the next batch does.
		case pending.Count == 0:
			if !p.needsVerdict(item) {
				demands = append(demands, packing.Demand{Item: item, Count: pending.Arriving - p.served[id]})
			}
		case item.Shape.Unjudged != "":
			p.plan.Shapes[id] = Fate{Pods: pending.Count, Left: pending.Count, Refusal: Refusal{
				item.Shape.Unjudged, whyUnjudged(item.Shape) + "; no machine is launched because whether it could take the pod is unknown"}}
		case p.isExpendable(item):
			p.plan.Shapes[id] = Fate{Pods: pending.Count, Left: pending.Count, Refusal: Refusal{
				reason.NoScaleUpLowPriority, fmt.Sprintf("the pod's priority is below the cut-off of %d, so no machine is launched for it; raise its priority", p.policy.PriorityCutoff)}}
		default:
			demands = append(demands, packing.Demand{Item: item, Count: pending.Count - p.served[id]})
		}
	}
	return slices.DeleteFunc(demands, func(d packing.Demand) bool { return d.Count <= 0 })
}

// whyUnjudged says why the engine cannot judge pods of a shape; an observer of an earlier version gives the code alone.
func whyUnjudged(s *scheduling.Shape) string {
	return cmp.Or(s.UnjudgedBecause, "the pod has a constraint that is not evaluated ("+string(s.Unjudged)+")")
}

func remaining(demands []packing.Demand, left map[scheduling.ShapeID]int) []packing.Demand {
	var out []packing.Demand
	for _, d := range demands {
		if n := left[d.Item.ID]; n > 0 {
			out = append(out, packing.Demand{Item: d.Item, Count: n})
		}
	}
	return out
}

// options are the machines that may be bought: by groups that act, or by those that only advise.
func (p *planner) options(advising bool) []*packing.Option {
	return p.optionsBy(advising, p.option)
}

func (p *planner) optionsBy(advising bool, option func(*fleet.Group, *fleet.Offering) *packing.Option) []*packing.Option {
	var options []*packing.Option
	for _, g := range p.groups {
		if _, shut := p.closed[g.Key()]; shut || (g.Spec.Mode == v1beta1.ModeRecommend) != advising {
			continue
		}
		for _, o := range p.offerings[g.Key()] {
			options = append(options, option(g, o))
		}
	}
	return options
}

// optionKey names an option within one plan.
type optionKey struct {
	group    string
	offering int64
}

// option is what buying a size for a group brings; it is made once a plan.
func (p *planner) option(g *fleet.Group, o *fleet.Offering) *packing.Option {
	key := optionKey{g.Key(), o.ID}
	if p.made[key] == nil {
		p.made[key] = newOption(g, o, p.daemons)
	}
	return p.made[key]
}

func newOption(g *fleet.Group, o *fleet.Offering, daemons []*scheduling.Item) *packing.Option {
	empty := scheduling.NewNode("new-"+g.Name+"-"+o.Name, g.NodeGroup, &o.Offering, daemons)
	if most := g.Spec.ScaleUp.MaxPodsPerNode; most != nil {
		empty.Allocatable[corev1.ResourcePods] = min(empty.Allocatable[corev1.ResourcePods], int64(*most)+empty.Reserved[corev1.ResourcePods])
	}
	return &packing.Option{
		Group: g.Key(), Offering: o.ID, OfferingName: o.Name, Weight: g.Spec.Weight, MonthlyPrice: o.MonthlyPrice,
		MilliCPU: o.MilliCPU, MemoryBytes: o.MemoryBytes, Empty: empty,
	}
}

// buy adds purchases to the plan as launches, or as recommendations of what higher limits would allow.
func (p *planner) buy(purchases []packing.Purchase, recommended bool) {
	for _, purchase := range purchases {
		l := p.launch(purchase.Option.Group, recommended, reason.ScaleUpPendingPods)
		l.add(purchase.Option, purchase.Planned)
		for id, n := range purchase.Pods {
			l.Pods[id] += n
		}
	}
}

// launch returns the group's entry in the plan.
func (p *planner) launch(group string, recommended bool, code reason.Code) *Launch {
	for i := range p.plan.Launches {
		if l := &p.plan.Launches[i]; l.Group == group && l.Recommended == recommended {
			return l
		}
	}
	p.plan.Launches = append(p.plan.Launches, Launch{
		Group: group, Recommended: recommended, Reason: code, Pods: map[scheduling.ShapeID]int{},
	})
	return &p.plan.Launches[len(p.plan.Launches)-1]
}

func (l *Launch) add(o *packing.Option, planned map[string]int) {
	l.Machines = append(l.Machines, Machine{Offering: o.Offering, OfferingName: o.OfferingName, MonthlyPrice: o.MonthlyPrice, Planned: planned})
	l.MonthlyPrice += o.MonthlyPrice
}

// fillMinimum buys the cheapest machines for groups that would stay under their minimum.
func (p *planner) fillMinimum() {
	for _, g := range p.groups {
		if _, shut := p.closed[g.Key()]; shut {
			continue
		}
		limit := p.limits[g.Key()]
		bought := 0
		for _, l := range p.plan.Launches {
			if l.Group == g.Key() {
				bought = len(l.Machines)
				for i := range l.Machines {
					limit = limit.Less(p.optionOf(g, l.Machines[i].Offering))
				}
			}
		}
		cheapest := p.option(g, p.offerings[g.Key()][0])
		for range int(g.Spec.MinNodes) - p.counts[g.Key()].Staying() - bought {
			if !limit.Allows(cheapest) {
				break
			}
			limit = limit.Less(cheapest)
			p.launch(g.Key(), g.Spec.Mode == v1beta1.ModeRecommend, reason.ScaleUpMinNodes).add(cheapest, nil)
		}
	}
}

// optionOf is the option for one of the group's sizes.
func (p *planner) optionOf(g *fleet.Group, offering int64) *packing.Option {
	for _, o := range p.offerings[g.Key()] {
		if o.ID == offering {
			return p.option(g, o)
		}
	}
	return &packing.Option{}
}

package scaling

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// scaleUp finds room for the waiting pods: on nodes that are there, on those on their way, and on
// machines to launch; then it fills groups up to their minimum.
func (p *planner) scaleUp(m Memory) {
	demands := p.demands()
	var options []*packing.Option
	if p.snapshot.Extent != LaunchNothing {
		options = p.options(false)
	}
	problem := p.problem(demands, options)
	problem.Existing, problem.Launching = p.cluster.Existing, p.cluster.Launching
	p.packing = packing.Pack(problem)
	p.awaited = map[int]bool{}
	for _, placed := range p.packing.Placements {
		p.awaited[placed.Node] = true
	}
	launches := p.packing.Launches
	if p.snapshot.Extent == LaunchSure {
		launches = p.sure(problem)
	} else {
		launches = p.heldBack(launches, problem, m)
	}
	p.launchAll(launches, false)
	if p.snapshot.Extent < LaunchSure {
		p.preempt(demands)
	}
	if left := remaining(demands, p.packing.Left); len(left) > 0 && p.snapshot.Extent < LaunchSure {
		p.advise(left)
	}
	for _, d := range demands {
		id := d.Item.ID
		p.plan.Shapes[id] = Fate{
			Pods: d.Count, OnExisting: p.packing.OnExisting[id], OnLaunching: p.packing.OnLaunching[id], Held: p.held[id], Left: p.packing.Left[id],
			Arriving: p.snapshot.Pending[id].Count == 0,
		}
	}
	for id, count := range p.cluster.Served {
		fate := p.plan.Shapes[id]
		fate.Pods, fate.Nominated, fate.Arriving = fate.Pods+count, count, p.snapshot.Pending[id].Count == 0
		p.plan.Shapes[id] = fate
	}
	if p.snapshot.Extent < LaunchSure { // the pods may need more than the minimum
		p.fillMinimum()
	}
	for _, id := range slices.Sorted(maps.Keys(p.plan.Shapes)) {
		p.explain(id)
	}
	for i := range p.plan.Launches {
		p.describe(&p.plan.Launches[i])
	}
}

// sure are the launches that a plan for more pods of the same kinds would make as well.
func (p *planner) sure(problem packing.Problem) []packing.Launch {
	var out []packing.Launch
	for i, sure := range packing.Sure(problem, &p.packing) {
		if sure {
			out = append(out, p.packing.Launches[i])
		}
	}
	return out
}

func (p *planner) problem(demands []packing.Demand, options []*packing.Option) packing.Problem {
	return packing.Problem{
		State: p.cluster.State, Demands: demands, Options: options, Limits: p.limits, SoftShare: p.policy.SoftShare,
	}
}

// advise plans for groups that only recommend what is left, and leaves no trace of it in the simulation.
func (p *planner) advise(left []packing.Demand) {
	options := p.options(true)
	if len(options) == 0 {
		return
	}
	var advice packing.Plan
	p.cluster.State.Try(func() bool {
		advice = packing.Pack(p.problem(left, options))
		return false
	})
	p.launchAll(advice.Launches, true)
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
				demands = append(demands, packing.Demand{Item: item, Count: pending.Arriving - p.cluster.Served[id]})
			}
		case item.Shape.Unjudged != "":
			p.plan.Shapes[id] = Fate{Pods: pending.Count, Left: pending.Count, Refusal: Refusal{
				item.Shape.Unjudged, simulation.WhyUnjudged(item.Shape) + "; no machine is launched because whether it could take the pod is unknown", nil}}
		case p.cluster.IsExpendable(item):
			p.plan.Shapes[id] = Fate{Pods: pending.Count, Left: pending.Count, Refusal: Refusal{
				reason.NoScaleUpLowPriority, fmt.Sprintf("the pod's priority is below the cut-off of %d, so no machine is launched for it; raise its priority", p.policy.PriorityCutoff),
				reason.Values{reason.ParamPriority: reason.IntegerOf(item.Shape.Priority), reason.ParamCutoff: reason.IntegerOf(p.policy.PriorityCutoff)}}}
		default:
			demands = append(demands, packing.Demand{Item: item, Count: pending.Count - p.cluster.Served[id]})
		}
	}
	return slices.DeleteFunc(demands, func(d packing.Demand) bool { return d.Count <= 0 })
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

// options are the machines that may be launched: by groups that act, or by those that only advise.
func (p *planner) options(advising bool) []*packing.Option {
	return p.optionsBy(advising, p.cluster.Option)
}

func (p *planner) optionsBy(advising bool, option func(*fleet.Group, *fleet.Offering) *packing.Option) []*packing.Option {
	var options []*packing.Option
	for _, g := range p.cluster.Groups {
		if _, shut := p.closed[g.Key()]; shut || g.Policy().Recommends() != advising {
			continue
		}
		for _, o := range p.offerings[g.Key()] {
			options = append(options, option(g, o))
		}
	}
	return options
}

// launchAll adds machines to the plan as launches, or as recommendations of what higher limits would allow.
func (p *planner) launchAll(launches []packing.Launch, recommended bool) {
	for _, launch := range launches {
		l := p.launch(launch.Option.Group, recommended, reason.ScaleUpPendingPods)
		l.add(launch.Option, launch.Planned)
		for id, n := range launch.Pods {
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

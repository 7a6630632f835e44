package scaling

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// removal is a managed node that is looked at for removal.
type removal struct {
	group       *fleet.Group
	machine     *v1beta1.VPSieNode
	node        *scheduling.Node
	utilization int64
	pods        int
	since       time.Time
	// price is a month's, if priced.
	price  money.Micros
	priced bool
}

// scaleDown finds the nodes that can go: what they run fits elsewhere, nothing protects them, and
// that has been so for long enough. A node that can go is taken out of the simulation before the
// next is looked at, so nodes that could replace only each other do not both go.
func (p *planner) scaleDown(m Memory) {
	evacuation := p.cluster.Evacuate()
	leaving := map[string]int{}
	for _, g := range p.cluster.Groups {
		leaving[g.Key()] = p.counts[g.Key()].Leaving
	}
	for _, r := range p.removals(m) {
		since, known := m.Unneeded[r.node.Name]
		if !known || since.After(p.now) {
			since = p.now
		}
		view := p.viewOf(r, evacuation)
		view.UnneededSince = disruption.Known(since)
		view.Leaving = disruption.Known(leaving[r.group.Key()])
		// Machines on their way may never come, so they do not count.
		c := p.counts[r.group.Key()]
		view.Staying = disruption.Known(c.Ready - 1 - (leaving[r.group.Key()] - c.Leaving))
		view.NoPlace = disruption.Known(func() string {
			why := p.move(r.node, evacuation)
			if why == "" {
				p.plan.Memory.Unneeded[r.node.Name] = since
			}
			return why
		})
		if p.keeps(r.node.Name, view) {
			continue
		}
		leaving[r.group.Key()]++
		p.retire(r, since)
	}
}

// removals are the managed nodes in the order in which they would go: those that run nothing, so that no pod moves to one that
// could have gone; then those that have been unneeded longest, then the emptiest, then the dearest.
func (p *planner) removals(m Memory) []removal {
	var out []removal
	for _, machine := range p.snapshot.Machines {
		node := p.snapshot.Nodes[machine.Status.NodeName]
		group := p.cluster.Find(fleet.GroupOf(machine))
		if machine.Status.Phase != v1beta1.PhaseReady || fleet.IsLeaving(machine) {
			continue
		}
		if group == nil { // whether its Node works does not matter
			p.keeps(machine.Status.NodeName, p.cluster.View(v1beta1.RetireScaleDown, machine))
			continue
		}
		if node == nil || !p.cluster.Works(machine) {
			continue
		}
		r := removal{group: group, machine: machine, node: node, since: m.Unneeded[node.Name]}
		r.price, r.priced = group.PriceOf(machine)
		load := p.cluster.Load(node)
		r.pods, r.utilization = load.Pods, load.Utilization
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b removal) int {
		return cmp.Or(
			cmp.Compare(min(a.pods, 1), min(b.pods, 1)),
			bySince(a.since, b.since),
			cmp.Compare(a.utilization, b.utilization),
			cmp.Compare(b.price, a.price),
			cmp.Compare(a.node.Name, b.node.Name),
		)
	})
	return out
}

// bySince puts earlier times first and unknown ones last.
func bySince(a, b time.Time) int {
	if a.IsZero() != b.IsZero() {
		if a.IsZero() {
			return 1
		}
		return -1
	}
	return a.Compare(b)
}

// move takes the node out of the simulation and places its pods on others, or says which do not fit. A node that can go is gone for
// those that are looked at later, whether it goes now or not.
func (p *planner) move(node *scheduling.Node, e *simulation.Evacuation) string {
	stuck, ok := e.Remove(node)
	if ok {
		return ""
	}
	message := fmt.Sprintf("%d of its pods (%s) fit on no other node: %s", stuck.Count, describeShape(stuck.Item.Shape), stuck.Verdict.Message)
	if e.Gone > 0 {
		message += "; " + text.Count(e.Gone, "other unneeded node was", "other unneeded nodes were") + " counted as gone"
	}
	return message
}

func describeShape(s *scheduling.Shape) string {
	var parts []string
	for name, amount := range s.Requests {
		if name != "pods" {
			parts = append(parts, scheduling.FormatAmount(name, amount)+" "+string(name))
		}
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "no requests"
	}
	return strings.Join(parts, ", ")
}

func (p *planner) retire(r removal, since time.Time) {
	out := Retirement{
		Kind: v1beta1.RetireScaleDown, Group: r.group.Key(), Machine: r.machine.Name, Node: r.node.Name, Pods: r.pods, Reason: reason.ScaleDownUnneeded,
		Recommended: r.group.Policy().Recommends(), MonthlyPrice: r.price,
	}
	verb := "retire"
	if out.Recommended {
		verb = "would retire"
	}
	saves := "the saving is unknown"
	if r.priced {
		saves = "saves " + r.price.String() + " a month"
	}
	idle := p.now.Sub(since).Round(time.Second)
	if r.pods == 0 {
		out.Reason = reason.ScaleDownEmpty
		out.Message = fmt.Sprintf("%s %s: no pod has needed it for %s; %s", verb, r.node.Name, idle, saves)
	} else {
		out.Message = fmt.Sprintf("%s %s: its %s %d%% of it, and it has been unneeded for %s; %s",
			verb, r.node.Name, text.Count(r.pods, "pod requests", "pods request"), r.utilization, idle, saves)
	}
	p.plan.Retirements = append(p.plan.Retirements, out)
}

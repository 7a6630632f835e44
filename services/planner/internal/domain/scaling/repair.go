package scaling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// repairedFor is how long after a repair began machines of the group count as launched in its place.
const repairedFor = 2 * time.Hour

// broken is a machine that was in use and has no Ready Node.
type broken struct {
	group   *fleet.Group
	machine *v1beta1.VPSieNode
	// node is nil when there is no Node at all.
	node  *scheduling.Node
	since time.Time
}

// repair retires machines whose Nodes have not worked for long enough, one at a time in each group, and none
// while many fail together. The pods that wait then, or the minimum, cause the next launch.
func (p *planner) repair(m Memory) {
	p.plan.Memory.Unready, p.plan.Memory.Repaired, p.plan.Memory.Tried = map[string]time.Time{}, map[string]time.Time{}, maps.Clone(m.Tried)
	busy := p.repairing(m)
	for _, b := range p.broken(m) {
		p.plan.Memory.Unready[fleet.Key(b.machine)] = b.since
		name := b.group.Key()
		if p.keeps(b.machine.Status.NodeName, p.viewOfBroken(b, busy[name])) {
			continue
		}
		busy[name] = true
		if !b.group.Policy().Recommends() {
			p.plan.Memory.Repaired[name] = p.now
		}
		p.retireBroken(b)
	}
}

// repairing says of each group whether a machine of it is being repaired: it leaves, or what was launched in its
// place has not joined.
func (p *planner) repairing(m Memory) map[string]bool {
	busy := map[string]bool{}
	for _, machine := range p.snapshot.Machines {
		if !disruption.IsRetiredFor(machine, v1beta1.RetireRepair) {
			continue
		}
		busy[fleet.GroupOf(machine)] = true
		p.plan.Memory.Repaired[fleet.GroupOf(machine)] = p.now
	}
	for group, at := range m.Repaired {
		if p.now.Sub(at) < repairedFor {
			p.plan.Memory.Repaired[group] = at
		}
	}
	for _, machine := range p.snapshot.Machines {
		at, repaired := p.plan.Memory.Repaired[fleet.GroupOf(machine)]
		if repaired && p.cluster.IsLaunching(machine) && !machine.CreationTimestamp.Time.Before(at.Truncate(time.Second)) {
			busy[fleet.GroupOf(machine)] = true
		}
	}
	return busy
}

// broken are the machines in use without a Ready Node, those first that have been so for longest.
func (p *planner) broken(m Memory) []broken {
	var out []broken
	for _, machine := range p.snapshot.Machines {
		group := p.cluster.Find(fleet.GroupOf(machine))
		if group == nil || machine.Status.Phase != v1beta1.PhaseReady || fleet.IsLeaving(machine) || p.cluster.Works(machine) {
			continue
		}
		since, known := m.Unready[fleet.Key(machine)]
		if !known || since.After(p.now) {
			since = p.now
		}
		out = append(out, broken{group: group, machine: machine, node: p.snapshot.Nodes[fleet.NodeName(machine)], since: since})
	}
	slices.SortFunc(out, func(a, b broken) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(fleet.Key(a.machine), fleet.Key(b.machine)))
	})
	return out
}

// viewOfBroken is what guards judge of a broken machine. Which of its pods Kubernetes has given up is not in the feed; the provisioner
// looks before it drains.
func (p *planner) viewOfBroken(b broken, busy bool) *disruption.View {
	v := p.cluster.View(v1beta1.RetireRepair, b.machine)
	v.UnreadySince = disruption.Known(b.since)
	v.Together = disruption.Known(func() (string, time.Time) { return p.together(b, busy) })
	v.Busy = disruption.Known("")
	if busy {
		v.Busy = disruption.Known("another machine of the group is being repaired; this one follows when that one's successor has joined")
	}
	return v
}

// mayTry reports whether the machine may be repaired although many fail together. Without a Node nothing runs on it
// that Kubernetes knows, and it costs money, so one is tried at intervals.
func (p *planner) mayTry(b broken, busy bool) bool {
	name := b.group.Key()
	if last, tried := p.plan.Memory.Tried[name]; b.node != nil || busy || tried && p.now.Sub(last) < outage.TrialInterval {
		return false
	}
	if p.plan.Memory.Tried == nil {
		p.plan.Memory.Tried = map[string]time.Time{}
	}
	p.plan.Memory.Tried[name] = p.now
	return true
}

func (p *planner) retireBroken(b broken) {
	out := Retirement{
		Kind: v1beta1.RetireRepair, Group: b.group.Key(), Machine: b.machine.Name, Node: b.machine.Status.NodeName, Reason: reason.RepairNodeNotReady,
		Recommended: b.group.Policy().Recommends(),
	}
	out.MonthlyPrice, _ = b.group.PriceOf(b.machine)
	verb, what, end := "repair", "has not been Ready", "is retired"
	if out.Recommended {
		verb, end = "would repair", "would be retired"
	}
	if b.node == nil {
		out.Reason, what = reason.RepairNodeMissing, "has not existed"
	} else {
		for id, n := range b.node.Pods {
			if item := p.snapshot.Items[id]; item != nil && !item.Shape.IsDaemon() {
				out.Pods += n
			}
		}
	}
	out.Message = fmt.Sprintf("%s %s: its Node %s for %s; its machine %s", verb, out.Node, what, p.now.Sub(b.since).Round(time.Second), end)
	p.plan.Retirements = append(p.plan.Retirements, out)
}

// failsToJoin says why launches for a group are bounded to one machine at a time: those that it launched last
// fail together. One is what it takes to find out that they work again.
func (p *planner) failsToJoin(g *fleet.Group) string {
	for _, machine := range p.snapshot.Machines {
		if fleet.GroupOf(machine) == g.Key() && !fleet.IsLeaving(machine) && outage.IsHeld(machine) {
			return outage.Stops(p.fleet, g.Key())
		}
	}
	return ""
}

// launchingOf counts the machines of a group that may still come in time.
func (p *planner) launchingOf(g *fleet.Group) int {
	count := 0
	for _, machine := range p.snapshot.Machines {
		if fleet.GroupOf(machine) == g.Key() && p.cluster.IsLaunching(machine) {
			count++
		}
	}
	return count
}

// nodesHealthy says whether the group's machines that were in use have Ready Nodes.
func (p *planner) nodesHealthy(g *fleet.Group) Condition {
	if p.failing[g.Key()] == 0 {
		return Condition{v1beta1.ConditionNodesHealthy, True, "AllReady", "every machine in use has a Ready Node"}
	}
	if why := outage.Stops(p.fleet, g.Key()); why != "" {
		return Condition{v1beta1.ConditionNodesHealthy, False, reason.NoRepairFailingTogether.Condition(),
			why + "; no machine is repaired until that ends; check what the machines have in common"}
	}
	return Condition{v1beta1.ConditionNodesHealthy, False, "NodesNotReady", fmt.Sprintf("%s repaired after %s without one",
		text.Count(p.failing[g.Key()], "machine has no Ready Node and is", "machines have no Ready Node, and each is"), g.Policy().ScaleDown.UnreadyFor)}
}

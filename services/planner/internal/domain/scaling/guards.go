package scaling

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// keeps reports whether a guard keeps a node, which the plan says then.
func (p *planner) keeps(node string, v *disruption.View) bool {
	refusal := disruption.First(disruption.Decide, v)
	if refusal.Code == "" {
		return false
	}
	p.due(refusal.Until)
	p.plan.Kept[node] = Refusal{refusal.Code, refusal.Message}
	return true
}

// viewOf is what guards judge of a node that is looked at for removal, without what depends on others.
func (p *planner) viewOf(r removal, budgets map[string]int) *disruption.View {
	index, simulated := p.nodeIndex[r.node.Name]
	v := p.viewOfMachine(v1beta1.RetireScaleDown, r.group, r.machine)
	v.Node = &disruption.Node{Name: r.node.Name, IsReady: r.node.Ready && simulated, IsBecoming: simulated && p.becoming[index], Protection: r.node.Protection}
	v.IsAwaited = simulated && p.awaited[index]
	v.Pods, v.Budgets, v.Utilization = p.podsOf(r.node), budgets, r.utilization
	v.Replacements, v.Replaced = p.replacementsOf(r.machine), p.replacedBy(r.machine)
	return v
}

// viewOfMachine is what guards of every kind judge.
func (p *planner) viewOfMachine(kind v1beta1.RetirementKind, group *fleet.Group, m *v1beta1.VPSieNode) *disruption.View {
	v := &disruption.View{Kind: kind, Now: p.now, Group: group.NodeGroup, Machine: m}
	if closed := p.closed[group.Key()]; p.closedForGood(group) {
		v.Closed = disruption.Refusal{Code: closed.Code, Message: closed.Message}
	}
	if at := m.Status.DrainFailedAt; at != nil {
		v.DrainFailed, v.DrainFailure = at.Time, "see the Drained condition"
		if c := meta.FindStatusCondition(m.Status.Conditions, v1beta1.ConditionDrained); c != nil {
			v.DrainFailure = c.Message
		}
	}
	return v
}

// closedForGood reports whether the group is in a state in which nothing may be removed either.
func (p *planner) closedForGood(g *fleet.Group) bool {
	switch p.closed[g.Key()].Code {
	case reason.NoScaleUpGroupInvalid, reason.NoScaleUpUnauthorized, reason.NoScaleUpAPIUnavailable, reason.NoScaleUpClusterUnknown:
		return true
	}
	return false
}

// podsOf are the pods of a node that would have to move.
func (p *planner) podsOf(node *scheduling.Node) []disruption.Pod {
	var pods []disruption.Pod
	for _, id := range slices.Sorted(maps.Keys(node.Pods)) {
		item := p.snapshot.Items[id]
		pod := disruption.Pod{Name: "a pod on the node"}
		switch {
		case item == nil:
			pod.Unjudged = "the feed does not describe it completely yet"
		case !p.moves(item):
			continue
		default:
			pod.Protection, pod.Budgets = item.Shape.Protection, item.Shape.Budgets
			if item.Shape.Unjudged != "" {
				pod.Unjudged = whyUnjudged(item.Shape)
			}
		}
		pods = append(pods, pod)
	}
	return pods
}

// replacementsOf are the machines that were bought in the place of one.
func (p *planner) replacementsOf(m *v1beta1.VPSieNode) []disruption.Replacement {
	var out []disruption.Replacement
	for _, other := range p.replacing {
		if !disruption.Replaces(other, m) {
			continue
		}
		r := disruption.Replacement{Name: other.Name, HasFailed: fleet.IsLeaving(other) || fleet.HasFailed(other), IsReady: p.works(other)}
		if at := other.Status.ReadyAt; at != nil {
			r.ReadyAt = at.Time
		}
		out = append(out, r)
	}
	return out
}

// replacedBy are the machines in whose place one was bought.
func (p *planner) replacedBy(m *v1beta1.VPSieNode) []disruption.Replaced {
	var out []disruption.Replaced
	if len(m.Spec.Replaces) == 0 {
		return nil
	}
	for _, other := range p.snapshot.SortedMachines() {
		if disruption.Replaces(m, other) && !fleet.HasFailed(other) {
			out = append(out, disruption.Replaced{Name: other.Name, IsLeaving: fleet.IsLeaving(other)})
		}
	}
	return out
}

// together says why no machine of a group is replaced while many fail, and when that may end.
func (p *planner) together(b broken, busy bool) (string, time.Time) {
	why, closes := p.plan.Memory.Outage.Open(p.fleet, b.group.Key(), p.now)
	if why == "" || p.mayTry(b, busy) {
		return "", time.Time{}
	}
	return why + "; no machine is repaired until that ends; check what the machines have in common", closes
}

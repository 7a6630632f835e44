package simulation

import (
	"cmp"
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// View is what the guards judge of a machine at Decide, as far as it follows from the cluster. Left out is what else is decided: for
// ScaleDown IsAwaited, Staying, Leaving, UnneededSince and NoPlace, for Repair UnreadySince, Together and Busy.
func (c *Cluster) View(kind v1beta1.RetirementKind, m *v1beta1.VPSieNode) *disruption.View {
	v := &disruption.View{Kind: kind, Now: c.now, Machine: m}
	v.Paused = disruption.Known(disruption.Refusal{Message: c.Snapshot.Paused, Parameters: reason.UntilOf(c.Snapshot.PausedUntil)})
	v.Closed, v.Group = disruption.Known(disruption.Refusal{}), disruption.Known[*v1beta1.NodeGroup](nil)
	if group := c.Find(fleet.GroupOf(m)); group != nil {
		v.Closed, v.Group = disruption.Known(c.Closed(group)), disruption.Known(group.NodeGroup)
	}
	v.Replacements, v.Replaced = disruption.Known(c.replacementsOf(m)), disruption.Known(c.replacedBy(m))
	v.Budgets = c.Snapshot.Budgets
	node := c.Snapshot.Nodes[fleet.NodeName(m)]
	if node == nil {
		v.Node, v.Pods, v.Utilization = disruption.Known[*disruption.NodeFacts](nil), disruption.Known[[]disruption.Pod](nil), disruption.Known[int64](0)
		return v
	}
	_, simulated := c.Index[node.Name]
	v.Node = disruption.Known(&disruption.NodeFacts{
		Name: node.Name, IsReady: disruption.Known(node.Ready && simulated), IsBecoming: disruption.Known(c.IsBecoming(node.Name)),
		Protection: disruption.Known(node.Protection),
	})
	load := c.Load(node)
	v.Pods, v.Utilization = disruption.Known(c.podsOf(node)), disruption.Known(load.Utilization)
	return v
}

// podsOf are the pods of a node that would have to move.
func (c *Cluster) podsOf(node *scheduling.Node) []disruption.Pod {
	var pods []disruption.Pod
	for _, id := range slices.Sorted(maps.Keys(node.Pods)) {
		item := c.Snapshot.Items[id]
		pod := disruption.Pod{Name: "a pod on the node"}
		switch {
		case item == nil:
			pod.Protection, pod.Unjudged = disruption.Known[reason.Code](""), disruption.Known("the feed does not describe it completely yet")
		case !c.Moves(item):
			continue
		default:
			pod.Protection, pod.Budgets, pod.Unjudged = disruption.Known(item.Shape.Protection), disruption.Known(item.Shape.Budgets), disruption.Known("")
			if item.Shape.Unjudged != "" {
				pod.Unjudged = disruption.Known(WhyUnjudged(item.Shape))
			}
		}
		pods = append(pods, pod)
	}
	return pods
}

// Load is what the pods of a node that would have to move request of it.
type Load struct {
	Pods int
	// Utilization is in percent.
	Utilization int64
}

// Load adds up the pods of a node that would have to move.
func (c *Cluster) Load(node *scheduling.Node) Load {
	used, load := scheduling.Resources{}, Load{}
	for id, n := range node.Pods {
		if item := c.Snapshot.Items[id]; item != nil && c.Moves(item) {
			used.Add(item.Shape.Requests, int64(n))
			load.Pods += n
		}
	}
	load.Utilization = scheduling.Utilization(used, node.Allocatable)
	return load
}

// replacementsOf are the machines that were launched in the place of one.
func (c *Cluster) replacementsOf(m *v1beta1.VPSieNode) []disruption.Replacement {
	var out []disruption.Replacement
	for _, other := range c.replacing {
		if !disruption.Replaces(other, m) {
			continue
		}
		out = append(out, disruption.ReplacementOf(other, c.Works(other), fleet.IsLeaving(other) || fleet.HasFailed(other)))
	}
	return out
}

// replacedBy are the machines in whose place one was launched.
func (c *Cluster) replacedBy(m *v1beta1.VPSieNode) []disruption.Replaced {
	var out []disruption.Replaced
	if len(m.Spec.Replaces) == 0 {
		return nil
	}
	for _, other := range c.Snapshot.SortedMachines() {
		if disruption.Replaces(m, other) && !fleet.HasFailed(other) {
			out = append(out, disruption.Replaced{Name: other.Name, Stays: !fleet.IsLeaving(other)})
		}
	}
	return out
}

// WhyUnjudged says why the engine cannot judge pods of a shape; an observer of an earlier version gives the code alone.
func WhyUnjudged(s *scheduling.Shape) string {
	return cmp.Or(s.UnjudgedBecause, "the pod has a constraint that is not evaluated ("+string(s.Unjudged)+")")
}

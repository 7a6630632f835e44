package scaling

import (
	"math"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// isCertain reports whether pods of an item, which kube-scheduler has not looked at yet, need not wait for its word: it can only call
// them unschedulable, as they fit on no node that is there. Nodes that were bought a moment ago do not count: their room is spoken for, and
// the plan gives what is left of it to the pods before it buys. What the scheduler may make room for by a preemption is not certain.
func (p *planner) isCertain(item *scheduling.Item) bool {
	if item.Shape.Unjudged != "" || p.isExpendable(item) || len(p.existing) > 0 && item.Shape.Priority > p.leastPriority() {
		return false
	}
	for _, node := range p.existing {
		if !p.nominees[p.state.NodeName(node)] && p.state.Check(item, node).OK() {
			return false
		}
	}
	return true
}

// leastPriority is that of the pods on all nodes: whoever has a higher one may preempt.
func (p *planner) leastPriority() int32 {
	if p.least == nil {
		least := int32(math.MaxInt32)
		for _, node := range p.snapshot.Nodes {
			for id := range node.Pods {
				if item := p.snapshot.Items[id]; item != nil {
					least = min(least, item.Shape.Priority)
				}
			}
		}
		p.least = &least
	}
	return *p.least
}

// settleFor is how long kube-scheduler gets to place pods on a machine that opened.
const settleFor = 10 * time.Second

// isSettling reports whether pods wait and a machine of ours opened a moment ago, and notes when that is over.
func (p *planner) isSettling() bool {
	if len(p.snapshot.Pending) == 0 {
		return false
	}
	var over time.Time
	for _, m := range p.snapshot.Machines {
		if m.Status.ReadyAt == nil || isLeaving(m) || len(PlannedPods(m)) == 0 {
			continue
		}
		if at := m.Status.ReadyAt.Add(settleFor); at.After(over) {
			over = at
		}
	}
	p.due(over)
	return over.After(p.now)
}

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

const (
	// settleFor is how long after a machine's first Ready kube-scheduler gets to place the pods that it was bought for: the Node opens within
	// ten seconds of its registration.
	settleFor = 15 * time.Second
	// settleMax bounds the time for which pods are held back while machines open one after the other.
	settleMax = 30 * time.Second
)

// isSettling reports whether a machine opened a moment ago and pods that it was bought for still wait, and notes when that is over.
func (p *planner) isSettling(m Memory) bool {
	waiting := map[string]bool{}
	for id, pending := range p.snapshot.Pending {
		if item := p.snapshot.Items[id]; item != nil && pending.Count+pending.Arriving > 0 {
			waiting[item.Placement] = true
		}
	}
	var over time.Time
	for _, m := range p.snapshot.Machines {
		if m.Status.ReadyAt == nil || isLeaving(m) {
			continue
		}
		at := m.Status.ReadyAt.Add(settleFor)
		for placement := range PlannedPods(m) {
			if waiting[placement] && at.After(over) {
				over = at
			}
		}
	}
	if !over.After(p.now) {
		return false
	}
	since := m.Settling
	if since.IsZero() {
		since = p.now
	}
	p.plan.Memory.Settling = since
	if end := since.Add(settleMax); end.Before(over) {
		over = end
	}
	p.due(over)
	return over.After(p.now)
}

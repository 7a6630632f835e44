package scaling

import (
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
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
	// settleQuiet is how long nothing must have been bound, with all those Nodes open, before kube-scheduler counts as done. It tries a pod
	// that was unschedulable again within a second of a change while nothing else is queued (since 1.33, SchedulerPopFromBackoffQ).
	settleQuiet = 3 * time.Second
)

// Settling is how far kube-scheduler has come with filling machines that opened. The zero value is that of none.
type Settling struct {
	// Since is when the first of them was seen to be filled.
	Since time.Time
	// Bound counts the pods on all nodes, and Changed is when that last changed or a Node was last closed.
	Bound   int
	Changed time.Time
}

// isSettling reports whether a machine opened a moment ago and pods that it was bought for still wait, and notes when that is over:
// once kube-scheduler has bound nothing for a while, and after a fixed time at the latest.
func (p *planner) isSettling(m Memory) bool {
	over, closed := p.settledAt()
	if !over.After(p.now) {
		return false
	}
	s := m.Settling
	if s.Since.IsZero() {
		s.Since = p.now
	}
	if bound := p.countBound(); closed || bound != s.Bound || s.Changed.IsZero() {
		s.Bound, s.Changed = bound, p.now
	}
	p.plan.Memory.Settling = s
	for _, end := range []time.Time{s.Since.Add(settleMax), s.Changed.Add(settleQuiet)} {
		if end.Before(over) {
			over = end
		}
	}
	p.due(over)
	return over.After(p.now)
}

// settledAt is when the last of the machines that pods wait for counts as filled at the latest, and whether the Node of one is closed still.
func (p *planner) settledAt() (over time.Time, closed bool) {
	waiting := map[string]bool{}
	for id, pending := range p.snapshot.Pending {
		if item := p.snapshot.Items[id]; item != nil && pending.Count+pending.Arriving > 0 {
			waiting[item.Placement] = true
		}
	}
	for _, m := range p.snapshot.Machines {
		if m.Status.ReadyAt == nil || isLeaving(m) {
			continue
		}
		at := m.Status.ReadyAt.Add(settleFor)
		for placement := range PlannedPods(m) {
			if !waiting[placement] || !at.After(p.now) {
				continue
			}
			over = later(over, at)
			node := p.snapshot.Nodes[nodeName(m)]
			closed = closed || node != nil && slices.ContainsFunc(node.Taints, func(t corev1.Taint) bool {
				return t.Key == v1beta1.TaintOpening || t.Key == corev1.TaintNodeNotReady
			})
		}
	}
	return over, closed
}

// countBound counts the pods on all nodes.
func (p *planner) countBound() int {
	bound := 0
	for _, node := range p.snapshot.Nodes {
		for _, count := range node.Pods {
			bound += count
		}
	}
	return bound
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

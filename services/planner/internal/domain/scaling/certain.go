package scaling

import (
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// needsVerdict reports whether pods of an item, which kube-scheduler has not looked at yet, must wait for its word before a machine is bought
// for them: where the engine cannot judge them, or the scheduler may make room by a preemption. For others, what finds no room on the nodes that
// are there can only be called unschedulable.
func (p *planner) needsVerdict(item *scheduling.Item) bool {
	return item.Shape.Unjudged != "" || p.isExpendable(item) || len(p.existing) > 0 && item.Shape.Priority > p.leastPriority()
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
	// settleMax is how long after a machine's first Ready pods that are left over are held back for it at most.
	settleMax = time.Minute
	// settleQuiet is how long nothing must have been bound to machines that opened, with all their Nodes open, before kube-scheduler counts
	// as done with them. It tries a pod that was unschedulable again within a second of a change while nothing else is queued (since 1.33,
	// SchedulerPopFromBackoffQ).
	settleQuiet = 3 * time.Second
	// settleShare is how many times as many pods must wait for machines that opened as would be bought for, so that these wait too
	// while a burst goes on.
	settleShare = 2
)

// Settling is how far kube-scheduler has come with filling machines that opened. The zero value is that of none.
type Settling struct {
	// Bound counts the pods on their Nodes, and Changed is when that last changed or one of them was last closed.
	Bound   int
	Changed time.Time
}

// settle finds the machines that opened and for which pods still wait, and returns how many pods do, zero once kube-scheduler has bound
// nothing to them for a while: what waits then was left over.
func (p *planner) settle(m Memory) (waiting int) {
	pending := map[string]int{}
	for id, pods := range p.snapshot.Pending {
		if item := p.snapshot.Items[id]; item != nil {
			pending[item.Placement] += pods.Count + pods.Arriving
		}
	}
	var over time.Time
	bound, closed := 0, false
	for _, machine := range p.snapshot.Machines {
		if machine.Status.ReadyAt == nil || isLeaving(machine) {
			continue
		}
		end := machine.Status.ReadyAt.Add(settleMax)
		node := p.snapshot.Nodes[nodeName(machine)]
		count := claim(pending, PlannedPods(machine))
		if node == nil || count == 0 || !end.After(p.now) {
			continue
		}
		waiting, over = waiting+count, later(over, end)
		for _, pods := range node.Pods {
			bound += pods
		}
		closed = closed || slices.ContainsFunc(node.Taints, func(t corev1.Taint) bool {
			return t.Key == v1beta1.TaintOpening || t.Key == corev1.TaintNodeNotReady
		})
	}
	if waiting == 0 {
		return 0
	}
	s := m.Settling
	if closed || bound != s.Bound || s.Changed.IsZero() {
		s = Settling{Bound: bound, Changed: p.now}
	}
	p.plan.Memory.Settling = s
	if end := s.Changed.Add(settleQuiet); end.Before(over) {
		over = end
	}
	p.due(over)
	if !over.After(p.now) {
		return 0
	}
	return waiting
}

// isFilling reports whether pods are nominated to a machine that is on its way, or that opened a moment ago.
func (p *planner) isFilling(m *v1beta1.VPSieNode) bool {
	return m.Status.ReadyAt == nil || m.Status.ReadyAt.Add(settleMax).After(p.now)
}

// claim takes a machine's planned pods off those that wait, and counts them.
func claim(pending, planned map[string]int) int {
	count := 0
	for placement, n := range planned {
		n = min(n, pending[placement])
		pending[placement] -= n
		count += n
	}
	return count
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

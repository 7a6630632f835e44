package scaling

import (
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// needsVerdict reports whether pods of an item, which kube-scheduler has not looked at yet, must wait for its word before a machine is launched
// for them: where the engine cannot judge them, or the scheduler may make room by a preemption. For others, what finds no room on the nodes that
// are there can only be called unschedulable.
func (p *planner) needsVerdict(item *scheduling.Item) bool {
	return item.Shape.Unjudged != "" || p.cluster.IsExpendable(item) || len(p.cluster.Existing) > 0 && item.Shape.Priority > p.leastPriority()
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
	// holdMax is for how long they are held back in all while machines open one after the other: what is left over may have nothing to do with those.
	holdMax = 2 * time.Minute
	// settleQuiet is how long nothing must have been bound to machines that opened, with all their Nodes open, before kube-scheduler counts
	// as done with them. It tries a pod that was unschedulable again within a second of a change while nothing else is queued (since 1.33,
	// SchedulerPopFromBackoffQ).
	settleQuiet = 3 * time.Second
	// settleShare is how many times as many pods must wait for machines that opened as would be launched for, so that these wait too
	// while a burst goes on.
	settleShare = 2
)

// Settling is how far kube-scheduler has come with filling machines that opened. The zero value is that of none.
type Settling struct {
	// Since is when pods began to wait for machines that opened.
	Since time.Time
	// Bound counts the pods on their Nodes, and Changed is when that last changed or one of them was last closed.
	Bound   int
	Changed time.Time
}

// isQuiet reports whether kube-scheduler counts as done with the machines that opened.
func (s Settling) isQuiet(now time.Time) bool {
	return !s.Changed.IsZero() && now.Sub(s.Changed) >= settleQuiet
}

// settle finds the machines that opened and for which pods still wait, and returns for which placements and how many: none once
// kube-scheduler has bound nothing to them for a while, as what waits then was left over.
func (p *planner) settle(m Memory) (placements map[string]bool, waiting int) {
	pending := map[string]int{}
	for id, pods := range p.snapshot.Pending {
		if item := p.snapshot.Items[id]; item != nil {
			pending[item.Placement] += pods.Count + pods.Arriving
		}
	}
	var over time.Time
	bound, closed, placements := 0, false, map[string]bool{}
	for _, machine := range p.snapshot.SortedMachines() { // the first ones get the pods
		node := p.snapshot.Nodes[fleet.NodeName(machine)]
		if machine.Status.ReadyAt == nil || fleet.IsLeaving(machine) || !p.cluster.IsFilling(machine) || node == nil {
			continue
		}
		there := map[string]int{}
		for id, count := range node.Pods {
			bound += count
			if item := p.snapshot.Items[id]; item != nil {
				there[item.Placement] += count
			}
		}
		opening := slices.ContainsFunc(node.Taints, func(t corev1.Taint) bool {
			return t.Key == v1beta1.TaintOpening || t.Key == corev1.TaintNodeNotReady
		})
		for placement, planned := range fleet.PlannedPods(machine) {
			n := min(planned-there[placement], pending[placement])
			if n <= 0 {
				continue
			}
			pending[placement] -= n
			waiting, placements[placement], closed = waiting+n, true, closed || opening
			over = later(over, machine.Status.ReadyAt.Add(simulation.SettleMax))
		}
	}
	if waiting == 0 {
		return nil, 0
	}
	s := m.Settling
	if s.Since.IsZero() {
		s.Since = p.now
	}
	if closed || bound != s.Bound || s.Changed.IsZero() {
		s.Bound, s.Changed = bound, p.now
	}
	p.plan.Memory.Settling = s
	for _, end := range []time.Time{s.Changed.Add(settleQuiet), s.Since.Add(holdMax)} {
		if end.Before(over) {
			over = end
		}
	}
	p.due(over)
	if !over.After(p.now) {
		return nil, 0
	}
	return placements, waiting
}

// heldBack takes those launches out of a plan of which kube-scheduler may place all pods on machines that opened a moment ago. While a burst
// goes on these are held back only where many more wait for such machines, and what any plan would contain is launched.
func (p *planner) heldBack(launches []packing.Launch, problem packing.Problem, m Memory) []packing.Launch {
	placements, waiting := p.settle(m)
	if waiting == 0 || len(launches) == 0 {
		return launches
	}
	held, pods := make([]bool, len(launches)), 0
	for i, launch := range launches {
		held[i] = true
		for id := range launch.Pods {
			held[i] = held[i] && placements[p.snapshot.Items[id].Placement]
		}
		if held[i] {
			for _, n := range launch.Pods {
				pods += n
			}
		}
	}
	sure := make([]bool, len(launches))
	if p.snapshot.Extent == LaunchAll {
		if settleShare*pods > waiting {
			return launches
		}
		sure = packing.Sure(problem, &p.packing)
	}
	var out []packing.Launch
	for i, launch := range launches {
		if !held[i] || sure[i] {
			out = append(out, launch)
			continue
		}
		for id, n := range launch.Pods {
			p.held[id] += n
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

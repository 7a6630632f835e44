package scaling

import (
	"cmp"
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Nomination tells kube-scheduler on which Node a pod was planned; an empty Node takes an earlier nomination of ours back.
type Nomination struct {
	Pod  Pod
	Node string
}

// nominateFrom is the share of a Node, in percent, that planned pods take at least before they are nominated to it. Who fills a Node
// that stays half empty makes no difference.
const nominateFrom = 50

// nominate says which pods are to be nominated to machines that are becoming Nodes, and which nominations of ours no longer hold. One
// that stands is kept for as long as the pod fits where it is nominated: the plan of a moment is no reason to move it.
func (p *planner) nominate() {
	want := map[string]map[scheduling.ShapeID]int{}
	if p.policy.Nominate {
		want = p.placedOnBecoming()
	}
	index := map[string]int{}
	for node := range p.state.Len() {
		index[p.state.NodeName(node)] = node
	}
	ids := slices.Sorted(maps.Keys(p.snapshot.Pending))
	p.state.Try(func() bool {
		for _, id := range ids {
			p.keepOrTakeBack(id, want, index)
		}
		return false
	})
	p.nominateNew(want)
	for _, m := range p.snapshot.Machines {
		if m.Annotations[v1beta1.AnnotationNominations] != v1beta1.NominationsPending || isLeaving(m) || isFailed(m) {
			continue
		}
		if node := nodeName(m); node != "" && sum(want[node]) == 0 {
			p.plan.Nominated = append(p.plan.Nominated, m)
		}
	}
}

func sum[K comparable](counts map[K]int) int {
	n := 0
	for _, count := range counts {
		n += count
	}
	return n
}

// keepOrTakeBack goes through the nominations of a shape's pods that stand, and takes those that hold off what is wanted.
func (p *planner) keepOrTakeBack(id scheduling.ShapeID, want map[string]map[scheduling.ShapeID]int, index map[string]int) {
	for _, pod := range p.snapshot.Pending[id].Sample {
		node := pod.NominatedNode
		if node == "" {
			continue
		}
		if want[node][id] > 0 {
			want[node][id]--
			continue
		}
		i, there := index[node]
		item := p.snapshot.Items[id]
		if p.policy.Nominate && there && item != nil && item.Shape.Unjudged == "" && (p.nominees[node] || p.nodeIndex[node] == i) && p.state.PlaceUpTo(item, i, 1) == 1 {
			continue
		}
		p.plan.Nominations = append(p.plan.Nominations, Nomination{Pod: pod})
	}
}

// nominateNew gives pods that are nominated nowhere to the Nodes that still want some. Nodes that open soonest come first, one after the
// other, and on each the pods that are hardest to place elsewhere.
func (p *planner) nominateNew(want map[string]map[scheduling.ShapeID]int) {
	free := map[scheduling.ShapeID][]Pod{}
	for id, pending := range p.snapshot.Pending {
		for _, pod := range pending.Sample {
			if pod.NominatedNode == "" {
				free[id] = append(free[id], pod)
			}
		}
	}
	nodes := slices.SortedFunc(maps.Keys(want), func(a, b string) int {
		return cmp.Or(cmp.Compare(p.opensLate(a), p.opensLate(b)), cmp.Compare(a, b))
	})
	for _, node := range nodes {
		ids := slices.SortedFunc(maps.Keys(want[node]), func(a, b scheduling.ShapeID) int {
			x, y := p.snapshot.Items[a], p.snapshot.Items[b]
			return cmp.Or(scheduling.ByDecreasingSize(x, y), cmp.Compare(a, b))
		})
		for _, id := range ids {
			n := min(want[node][id], len(free[id]))
			for _, pod := range free[id][:n] {
				p.plan.Nominations = append(p.plan.Nominations, Nomination{pod, node})
			}
			free[id] = free[id][n:]
		}
	}
}

// opensLate ranks Nodes by when they open: those that are Ready, those that are registered, then the others.
func (p *planner) opensLate(node string) int {
	switch n := p.snapshot.Nodes[node]; {
	case n == nil:
		return 2
	case !n.Ready:
		return 1
	}
	return 0
}

// placedOnBecoming counts the waiting pods, by shape, that the plan puts on each machine that becomes a Node and whose room is worth
// keeping for them.
func (p *planner) placedOnBecoming() map[string]map[scheduling.ShapeID]int {
	placed, used := map[string]map[scheduling.ShapeID]int{}, map[string]scheduling.Resources{}
	for _, placement := range p.packing.Placements {
		node := p.state.NodeName(placement.Node)
		if !p.nominees[node] {
			continue
		}
		if placed[node] == nil {
			placed[node], used[node] = map[scheduling.ShapeID]int{}, scheduling.Resources{}
		}
		placed[node][placement.Item.ID] += placement.Count
		used[node].Add(placement.Item.Shape.Requests, int64(placement.Count))
	}
	for node := range placed {
		if there := p.snapshot.Nodes[node]; there != nil {
			for id, count := range there.Pods {
				if item := p.snapshot.Items[id]; item != nil {
					used[node].Add(item.Shape.Requests, int64(count))
				}
			}
		}
		if scheduling.Utilization(used[node], p.allocatable[node]) < nominateFrom {
			delete(placed, node)
		}
	}
	return placed
}

// become notes that pods may be nominated to a machine's Node.
func (p *planner) become(n *scheduling.Node) {
	p.nominees[n.Name], p.allocatable[n.Name] = true, n.Allocatable
	n.Planned = p.withNominated(n)
}

// withNominated are the pods that a Node is planned for with those that are nominated to it by now, which the plan follows.
func (p *planner) withNominated(n *scheduling.Node) map[string]int {
	nominated := p.nominated[n.Name]
	if len(nominated) == 0 {
		return n.Planned
	}
	there := map[string]int{}
	for id, count := range n.Pods {
		if item := p.snapshot.Items[id]; item != nil {
			there[item.Placement] += count
		}
	}
	planned := maps.Clone(n.Planned)
	if planned == nil {
		planned = map[string]int{}
	}
	for placement, count := range nominated {
		planned[placement] = max(planned[placement], there[placement]+count)
	}
	return planned
}

// countNominated counts the pods that are nominated to each Node by the planner, by Item.Placement.
func (s *Snapshot) countNominated() map[string]map[string]int {
	out := map[string]map[string]int{}
	for id, pending := range s.Pending {
		item := s.Items[id]
		if item == nil {
			continue
		}
		for _, pod := range pending.Sample {
			if pod.NominatedNode == "" {
				continue
			}
			if out[pod.NominatedNode] == nil {
				out[pod.NominatedNode] = map[string]int{}
			}
			out[pod.NominatedNode][item.Placement]++
		}
	}
	return out
}

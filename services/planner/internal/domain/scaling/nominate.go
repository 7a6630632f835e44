package scaling

import (
	"cmp"
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Nomination tells kube-scheduler on which Node a pod was planned; an empty Node clears an earlier nomination of ours.
type Nomination struct {
	Pod  scheduling.PodReference
	Node string
}

// nominateFrom is the share of a Node, in percent, that planned pods take at least before they are nominated to it. Who fills a Node
// that stays half empty makes no difference.
const nominateFrom = 50

const (
	// nominatedWork bounds the product of the pods that wait and of those that are nominated: for each pod that kube-scheduler tries on all
	// Nodes it copies the pods that are nominated to each.
	nominatedWork = 1_000_000
	// nominatedLeast are nominated however many wait.
	nominatedLeast = 100
)

// nominate says which pods are to be nominated to machines that are becoming Nodes, and which nominations of ours no longer hold. One
// that stands is kept for as long as the pod fits where it is nominated: the plan of a moment is no reason to move it.
//
// Pods are nominated to Nodes that are there only: kube-scheduler clears the nomination of a pod that it tries and finds no place for, as it does
// again and again until the Node is open.
func (p *planner) nominate() {
	want := map[string]map[scheduling.ShapeID]int{}
	if p.policy.Nominate {
		want = p.placedOnBecoming()
	}
	index := map[string]int{}
	for node := range p.cluster.State.Len() {
		index[p.cluster.State.NodeName(node)] = node
	}
	unseen := p.unseenNodes()
	ids := slices.Sorted(maps.Keys(p.snapshot.Pending))
	p.cluster.State.Try(func() bool {
		for _, id := range ids {
			p.keepOrClear(id, want, index, unseen)
		}
		return false
	})
	maps.DeleteFunc(want, func(node string, _ map[scheduling.ShapeID]int) bool {
		return !p.cluster.Nominees[node] || p.snapshot.Nodes[node] == nil
	})
	unfinished := p.nominateNew(want)
	for _, m := range p.snapshot.Machines {
		if m.Annotations[v1beta1.AnnotationNominations] != v1beta1.NominationsPending || fleet.IsLeaving(m) || fleet.HasFailed(m) {
			continue
		}
		node := fleet.NodeName(m)
		if p.snapshot.Nodes[node] != nil && !unseen[node] && !unfinished[node] && !p.snapshot.Nominating[node] && !p.awaitsNames(want[node]) {
			p.plan.Nominated = append(p.plan.Nominated, m)
		}
	}
}

// unseenNodes are the Nodes of machines that stay and that the plan does not know, as their sizes are unknown: what is nominated to them
// is as it was.
func (p *planner) unseenNodes() map[string]bool {
	unseen := map[string]bool{}
	for _, m := range p.snapshot.Machines {
		if node := fleet.NodeName(m); node != "" && p.cluster.Blind[fleet.GroupOf(m)] && !fleet.IsLeaving(m) && !fleet.HasFailed(m) {
			unseen[node] = true
		}
	}
	return unseen
}

// awaitsNames reports whether pods that a Node still wants are among those that the snapshot does not name yet.
func (p *planner) awaitsNames(want map[scheduling.ShapeID]int) bool {
	for id, count := range want {
		if pending := p.snapshot.Pending[id]; count > 0 && pending.Count+pending.Arriving > len(pending.Sample) {
			return true
		}
	}
	return false
}

// keepOrClear goes through the nominations of a shape's pods that stand, and clears those that hold off what is wanted.
func (p *planner) keepOrClear(id scheduling.ShapeID, want map[string]map[scheduling.ShapeID]int, index map[string]int, unseen map[string]bool) {
	item := p.snapshot.Items[id]
	if item == nil {
		return // the feed names a shape that it does not hold; the next batch does
	}
	for _, pod := range p.snapshot.Pending[id].Sample {
		node := pod.NominatedNode
		if node == "" || p.policy.Nominate && unseen[node] {
			continue
		}
		if p.cluster.Assumed[node][id] > 0 {
			p.cluster.Assumed[node][id]--
			p.awaited[index[node]] = true // what kube-scheduler is about to use does not go
			continue
		}
		if want[node][id] > 0 {
			want[node][id]--
			continue
		}
		existing, is := p.cluster.Index[node]
		i, there := index[node]
		known := there && (p.cluster.Nominees[node] || is && existing == i)
		if p.policy.Nominate && known && item.Shape.Unjudged == "" && p.cluster.State.PlaceUpTo(item, i, 1) == 1 {
			p.awaited[i] = true
			continue
		}
		p.plan.Nominations = append(p.plan.Nominations, Nomination{Pod: pod})
	}
}

// nominateNew gives pods that are nominated nowhere to the Nodes that still want some, and returns which got any or have to wait for others. Nodes
// that open soonest come first, one after the other, and on each the pods that are hardest to place elsewhere.
func (p *planner) nominateNew(want map[string]map[scheduling.ShapeID]int) (unfinished map[string]bool) {
	unfinished = map[string]bool{}
	most, standing := p.nominatedMax(), 0
	for _, pods := range p.cluster.Nominated {
		for _, count := range pods {
			standing += count
		}
	}
	free := map[scheduling.ShapeID][]scheduling.PodReference{}
	for id, pending := range p.snapshot.Pending {
		for _, pod := range pending.Sample {
			if pod.NominatedNode == "" {
				free[id] = append(free[id], pod)
			}
		}
	}
	nodes := slices.SortedFunc(maps.Keys(want), func(a, b string) int {
		switch first := p.snapshot.Nodes[a].Ready; {
		case first == p.snapshot.Nodes[b].Ready:
			return cmp.Compare(a, b)
		case first:
			return -1
		}
		return 1
	})
	for _, node := range nodes {
		if standing >= most {
			for id, count := range want[node] {
				unfinished[node] = unfinished[node] || count > 0 && len(free[id]) > 0
			}
			continue
		}
		ids := slices.SortedFunc(maps.Keys(want[node]), func(a, b scheduling.ShapeID) int {
			x, y := p.snapshot.Items[a], p.snapshot.Items[b]
			return cmp.Or(scheduling.ByDecreasingSize(x, y), cmp.Compare(a, b))
		})
		for _, id := range ids {
			n := min(want[node][id], len(free[id]))
			for _, pod := range free[id][:n] {
				p.plan.Nominations = append(p.plan.Nominations, Nomination{pod, node})
				unfinished[node] = true
			}
			free[id], standing = free[id][n:], standing+n
		}
	}
	return unfinished
}

// nominatedMax is how many pods may be nominated at a time.
func (p *planner) nominatedMax() int {
	waiting := 1
	for _, pending := range p.snapshot.Pending {
		waiting += pending.Count + pending.Arriving
	}
	return max(nominatedWork/waiting, nominatedLeast)
}

// placedOnBecoming counts the waiting pods, by shape, that the plan puts on each machine that becomes a Node, or to which pods are nominated, and whose
// room is worth keeping for them.
func (p *planner) placedOnBecoming() map[string]map[scheduling.ShapeID]int {
	placed, used := map[string]map[scheduling.ShapeID]int{}, map[string]scheduling.Resources{}
	for _, placement := range p.packing.Placements {
		node := p.cluster.State.NodeName(placement.Node)
		if p.cluster.Allocatable[node] == nil {
			continue
		}
		if placed[node] == nil {
			placed[node], used[node] = map[scheduling.ShapeID]int{}, scheduling.Resources{}
		}
		placed[node][placement.Item.ID] += placement.Count
		used[node].Add(placement.Item.Shape.Requests, int64(placement.Count))
	}
	for node := range placed {
		there := []map[scheduling.ShapeID]int{p.cluster.Assumed[node]}
		if n := p.snapshot.Nodes[node]; n != nil {
			there = append(there, n.Pods)
		}
		for _, pods := range there {
			for id, count := range pods {
				if item := p.snapshot.Items[id]; item != nil {
					used[node].Add(item.Shape.Requests, int64(count))
				}
			}
		}
		if scheduling.Utilization(used[node], p.cluster.Allocatable[node]) < nominateFrom {
			delete(placed, node)
		}
	}
	return placed
}

package scaling

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Nomination tells kube-scheduler on which Node a pod was planned; an empty Node takes an earlier nomination of ours back.
type Nomination struct {
	Pod  scheduling.PodReference
	Node string
}

// nominateFrom is the share of a Node, in percent, that planned pods take at least before they are nominated to it. Who fills a Node
// that stays half empty makes no difference.
const nominateFrom = 50

const (
	// nominatedWork bounds the product of the pods that wait and of those nominated to Nodes that are there, and likewise to those to come:
	// for each pod that kube-scheduler tries on all Nodes it copies the pods that are nominated to each.
	nominatedWork = 1_000_000
	// nominatedLeast are nominated however many wait.
	nominatedLeast = 100
)

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
	unseen := p.unseenNodes()
	ids := slices.Sorted(maps.Keys(p.snapshot.Pending))
	p.state.Try(func() bool {
		for _, id := range ids {
			p.keepOrTakeBack(id, want, index, unseen)
		}
		return false
	})
	maps.DeleteFunc(want, func(node string, _ map[scheduling.ShapeID]int) bool { return !p.nominees[node] })
	unfinished := p.nominateNew(want)
	for _, m := range p.snapshot.Machines {
		if m.Annotations[v1beta1.AnnotationNominations] != v1beta1.NominationsPending || fleet.IsLeaving(m) || fleet.HasFailed(m) {
			continue
		}
		if node := fleet.NodeName(m); node != "" && !unseen[node] && !unfinished[node] && !p.awaitsNames(want[node]) {
			p.plan.Nominated = append(p.plan.Nominated, m)
		}
	}
}

// unseenNodes are the Nodes of machines that stay and that the plan does not know, as their sizes are unknown: what is nominated to them
// is as it was.
func (p *planner) unseenNodes() map[string]bool {
	unseen := map[string]bool{}
	for _, m := range p.snapshot.Machines {
		if node := fleet.NodeName(m); node != "" && p.blind[fleet.GroupOf(m)] && !fleet.IsLeaving(m) && !fleet.HasFailed(m) {
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

// keepOrTakeBack goes through the nominations of a shape's pods that stand, and takes those that hold off what is wanted.
func (p *planner) keepOrTakeBack(id scheduling.ShapeID, want map[string]map[scheduling.ShapeID]int, index map[string]int, unseen map[string]bool) {
	item := p.snapshot.Items[id]
	if item == nil {
		return // the feed names a shape that it does not hold; the next batch does
	}
	for _, pod := range p.snapshot.Pending[id].Sample {
		node := pod.NominatedNode
		if node == "" || p.policy.Nominate && unseen[node] {
			continue
		}
		if p.assumed[node][id] > 0 {
			p.assumed[node][id]--
			p.awaited[index[node]] = true // what kube-scheduler is about to use does not go
			continue
		}
		if want[node][id] > 0 {
			want[node][id]--
			continue
		}
		existing, is := p.nodeIndex[node]
		i, there := index[node]
		known := there && (p.nominees[node] || is && existing == i)
		if p.policy.Nominate && known && item.Shape.Unjudged == "" && p.state.PlaceUpTo(item, i, 1) == 1 {
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
	most, standing := p.nominatedMax(), map[bool]int{} // by whether the Node is there
	for node, pods := range p.nominated {
		for _, count := range pods {
			standing[p.snapshot.Nodes[node] != nil] += count
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
		return cmp.Or(cmp.Compare(p.opensLate(a), p.opensLate(b)), cmp.Compare(a, b))
	})
	for _, node := range nodes {
		there := p.snapshot.Nodes[node] != nil
		if standing[there] >= most {
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
			free[id], standing[there] = free[id][n:], standing[there]+n
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

// placedOnBecoming counts the waiting pods, by shape, that the plan puts on each machine that becomes a Node, or to which pods are nominated, and whose
// room is worth keeping for them.
func (p *planner) placedOnBecoming() map[string]map[scheduling.ShapeID]int {
	placed, used := map[string]map[scheduling.ShapeID]int{}, map[string]scheduling.Resources{}
	for _, placement := range p.packing.Placements {
		node := p.state.NodeName(placement.Node)
		if p.allocatable[node] == nil {
			continue
		}
		if placed[node] == nil {
			placed[node], used[node] = map[scheduling.ShapeID]int{}, scheduling.Resources{}
		}
		placed[node][placement.Item.ID] += placement.Count
		used[node].Add(placement.Item.Shape.Requests, int64(placement.Count))
	}
	for node := range placed {
		there := []map[scheduling.ShapeID]int{p.assumed[node]}
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
		if scheduling.Utilization(used[node], p.allocatable[node]) < nominateFrom {
			delete(placed, node)
		}
	}
	return placed
}

// become notes that pods may be nominated to a machine's Node.
func (p *planner) become(n *scheduling.Node) {
	p.nominees[n.Name] = true
	p.follow(n)
}

// follow has the plan put the pods that are nominated to a Node there. kube-scheduler keeps their room anyway, and tries all pods again
// whenever a nomination changes.
func (p *planner) follow(n *scheduling.Node) {
	p.allocatable[n.Name] = n.Allocatable
	n.Planned = p.withNominated(n)
}

// withNominated are the pods that a Node is planned for with those that are nominated to it by now, which the plan follows.
func (p *planner) withNominated(n *scheduling.Node) map[string]int {
	nominated := p.nominated[n.Name]
	if len(nominated) == 0 {
		return n.Planned
	}
	total := map[string]int{}
	for _, pods := range []map[scheduling.ShapeID]int{n.Pods, nominated} {
		for id, count := range pods {
			if item := p.snapshot.Items[id]; item != nil {
				total[item.Placement] += count
			}
		}
	}
	planned := maps.Clone(n.Planned)
	if planned == nil {
		planned = map[string]int{}
	}
	for placement, count := range total {
		planned[placement] = max(planned[placement], count)
	}
	return planned
}

// assume counts the pods that are nominated to a Node as bound to it for as long as its resources suffice, and takes them off the demand:
// kube-scheduler does the same. Rules that depend on other pods were judged when they were nominated. Until all are
// bound, the count of the moment may speak against one, as where pods are spread and one zone's are bound first.
//
// It ends with settleMax, since a pod may turn out not to fit there after all.
func (p *planner) assume(n *scheduling.Node) {
	nominated := p.nominated[n.Name]
	if len(nominated) == 0 || !p.policy.Nominate || n.Unschedulable {
		return
	}
	free := n.Allocatable.Clone()
	free.Add(n.Reserved, -1)
	pods := maps.Clone(n.Pods)
	if pods == nil {
		pods = map[scheduling.ShapeID]int{}
	}
	for id, count := range pods {
		if item := p.snapshot.Items[id]; item != nil {
			free.Add(item.Shape.Requests, -int64(count))
		}
	}
	assumed := map[scheduling.ShapeID]int{}
	for _, id := range slices.Sorted(maps.Keys(nominated)) {
		item := p.snapshot.Items[id]
		if item == nil || item.Shape.Unjudged != "" || p.isExpendable(item) {
			continue
		}
		for range nominated[id] {
			free.Add(item.Shape.Requests, -1)
			if slices.ContainsFunc(slices.Collect(maps.Keys(item.Shape.Requests)), func(r corev1.ResourceName) bool { return free[r] < 0 }) {
				free.Add(item.Shape.Requests, 1)
				break
			}
			assumed[id]++
			pods[id]++
			p.served[id]++
			p.servedBy[n.Name]++
		}
	}
	n.Pods, p.assumed[n.Name] = pods, assumed
}

// countNominated counts the pods that are nominated to each Node by the planner.
func (s *Snapshot) countNominated() map[string]map[scheduling.ShapeID]int {
	out := map[string]map[scheduling.ShapeID]int{}
	for id, pending := range s.Pending {
		for _, pod := range pending.Sample {
			if pod.NominatedNode == "" {
				continue
			}
			if out[pod.NominatedNode] == nil {
				out[pod.NominatedNode] = map[scheduling.ShapeID]int{}
			}
			out[pod.NominatedNode][id]++
		}
	}
	return out
}

package scheduling

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Evacuation finds out which nodes can go: alone, and after those that go before. It changes the state: a
// node that can go is taken out, and its pods are placed on others.
type Evacuation struct {
	state   *State
	targets []int
	// cursor is, for each item, the first target that may still hold a pod of it: those before have no room
	// or do not admit it, and that does not change while nodes only fill up or go.
	cursor map[*itemState]int
}

// NewEvacuation starts from a state. Pods may move to the targets; the fullest is tried first, so that others
// become empty.
func NewEvacuation(state *State, targets []int) *Evacuation {
	e := &Evacuation{state: state, targets: slices.Clone(targets), cursor: map[*itemState]int{}}
	fill := make(map[int]float64, len(targets))
	for _, node := range targets {
		fill[node] = state.fillOf(node)
	}
	slices.SortStableFunc(e.targets, func(a, b int) int {
		return cmp.Or(cmp.Compare(fill[b], fill[a]), cmp.Compare(state.nodes[a].Name, state.nodes[b].Name))
	})
	return e
}

// fillOf is the larger of the shares of cpu and memory that are requested on a node.
func (s *State) fillOf(node int) float64 {
	n, fill := s.nodes[node], 0.0
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if i, known := s.resources[name]; known && n.Allocatable[name] > 0 {
			fill = max(fill, 1-float64(n.free[i])/float64(n.Allocatable[name]))
		}
	}
	return fill
}

// Stuck is what keeps a node: so many pods of an item find no place, and the verdict of the target that is
// nearest to taking one.
type Stuck struct {
	Item    *Item
	Count   int
	Verdict Verdict
}

// Remove takes a node out if all of its pods that move find a place on the targets; the node counts as gone while they
// look. Otherwise the state stays as it was, and Stuck says what kept the largest pods that found none. Pods for which
// moves is false vanish with the node.
func (e *Evacuation) Remove(node int, moves func(*Item) bool) (Stuck, bool) {
	var pods []placed
	for _, p := range e.state.nodes[node].pods {
		if moves(p.item.Item) {
			pods = append(pods, p)
		}
	}
	slices.SortStableFunc(pods, func(a, b placed) int { return ByDecreasingSize(a.item.Item, b.item.Item) })
	var stuck Stuck
	ok := e.attempt(pods, func() (settled bool) {
		e.state.RemoveNode(node)
		r := rehousing{Evacuation: e, steps: rehousingStepsMax}
		stuck, settled = r.settle(pods)
		return settled
	})
	return stuck, ok
}

// attempt runs a step that places pods, and leaves no trace of it when it returns false.
func (e *Evacuation) attempt(pods []placed, step func() bool) bool {
	before := make([]int, len(pods))
	for i, p := range pods {
		before[i] = e.cursor[p.item]
	}
	ok := e.state.Try(step)
	if !ok {
		for i, p := range pods {
			e.cursor[p.item] = before[i]
		}
	}
	return ok
}

// place finds places for n pods of an item, and returns how many found none, and why.
func (e *Evacuation) place(is *itemState, n int) (int, Verdict) {
	nearest, at := ruleUnknown, 0
	for progress := true; progress && n > 0; {
		progress = false
		full := true // all targets so far can take no pod any more, whatever else changes
		for i := e.cursor[is]; i < len(e.targets) && n > 0; i++ {
			node := e.targets[i]
			put := e.state.fill(is, node, n)
			n -= put
			progress = progress || put > 0 && !is.isFree()
			r := ruleNone
			if n > 0 {
				r = e.state.judge(is, node)
			}
			if full = full && r.isFinal(); full {
				e.cursor[is] = i + 1
			}
			if r != ruleNone && r.nearer(nearest) {
				nearest, at = r, node
			}
		}
	}
	if n == 0 {
		return 0, Verdict{}
	}
	if nearest == ruleUnknown { // every target was found full before
		if len(e.targets) == 0 {
			return n, Verdict{Message: "there is no other node"}
		}
		nearest, at = e.nearestOf(is)
	}
	return n, e.state.explain(is, at, nearest)
}

// nearestOf looks through the targets for the one that is nearest to taking a pod.
func (e *Evacuation) nearestOf(is *itemState) (rule, int) {
	nearest, at := ruleGone, e.targets[0]
	for _, node := range e.targets {
		if r := e.state.judge(is, node); r.nearer(nearest) {
			nearest, at = r, node
		}
	}
	return nearest, at
}

// isFinal reports whether a refusal lasts while nodes only fill up or go.
func (r rule) isFinal() bool {
	switch r {
	case ruleProblem, ruleGone, ruleUnschedulable, ruleTaint, ruleNodeAffinity, ruleVolumeTopology, ruleResources:
		return true
	}
	return false
}

// nearer reports whether a refusal is nearer to success than another: the later rules are judged once the
// earlier ones are met.
func (r rule) nearer(than rule) bool { return than == ruleUnknown || r > than }

package evacuation

import (
	"cmp"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Simulator finds out which nodes can go: alone, and after those that go before. It changes its state: a node that can go is
// taken out, and its pods are placed on others. It is as little safe for concurrent use as its state.
type Simulator struct {
	state   *scheduling.State
	targets []int
	// cursor is, for each subject, the first target that may still take a pod of it: those before have no room
	// or do not admit it, and that does not change while nodes only fill up or go.
	cursor map[*scheduling.Subject]int
}

// New starts from a state. Pods may move to the targets; the fullest is tried first, so that others become empty.
func New(state *scheduling.State, targets []int) *Simulator {
	e := &Simulator{state: state, targets: slices.Clone(targets), cursor: map[*scheduling.Subject]int{}}
	fullness := make(map[int]float64, len(targets))
	for _, node := range targets {
		fullness[node] = state.Fullness(node)
	}
	slices.SortStableFunc(e.targets, func(a, b int) int {
		return cmp.Or(cmp.Compare(fullness[b], fullness[a]), cmp.Compare(state.NodeName(a), state.NodeName(b)))
	})
	return e
}

// placed is a number of pods of a subject on the node that is to go.
type placed struct {
	*scheduling.Subject
	count int
}

// Stuck is what keeps a node: so many pods of an item find no place, and the verdict of the target that is
// nearest to taking one.
type Stuck struct {
	Item    *scheduling.Item
	Count   int
	Verdict scheduling.Verdict
}

// Remove takes a node out if all of its pods that move find a place on the targets; the node counts as gone while they
// look. Otherwise the state stays as it was, and Stuck says what kept the largest pods that found none. Pods for which
// moves is false vanish with the node.
func (e *Simulator) Remove(node int, moves func(*scheduling.Item) bool) (Stuck, bool) {
	var pods []placed
	for subject, count := range e.state.PodsOn(node) {
		if moves(subject.Item) {
			pods = append(pods, placed{subject, count})
		}
	}
	slices.SortStableFunc(pods, func(a, b placed) int { return scheduling.ByDecreasingSize(a.Item, b.Item) })
	var stuck Stuck
	ok := e.attempt(pods, func() (settled bool) {
		e.state.RemoveNode(node)
		r := rehousing{Simulator: e, steps: rehousingStepsMax}
		stuck, settled = r.settle(pods)
		return settled
	})
	return stuck, ok
}

// attempt runs a step that places pods, and leaves no trace of it when it returns false.
func (e *Simulator) attempt(pods []placed, step func() bool) bool {
	before := make([]int, len(pods))
	for i, p := range pods {
		before[i] = e.cursor[p.Subject]
	}
	ok := e.state.Try(step)
	if !ok {
		for i, p := range pods {
			e.cursor[p.Subject] = before[i]
		}
	}
	return ok
}

// place finds places for n pods of an item, and returns how many found none, and why.
func (e *Simulator) place(is *scheduling.Subject, n int) (int, scheduling.Verdict) {
	var nearest scheduling.Rule
	at := -1
	for progress := true; progress && n > 0; {
		progress = false
		full := true // all targets so far can take no pod any more, whatever else changes
		for i := e.cursor[is]; i < len(e.targets) && n > 0; i++ {
			node := e.targets[i]
			put := e.state.Fill(is, node, n)
			n -= put
			progress = progress || put > 0 && !is.IsFree()
			if n == 0 {
				break
			}
			r := e.state.Judge(is, node)
			if full = full && r.IsFinal(); full {
				e.cursor[is] = i + 1
			}
			if !r.OK() && r.Nearer(nearest) {
				nearest, at = r, node
			}
		}
	}
	if n == 0 {
		return 0, scheduling.Verdict{}
	}
	switch {
	case at >= 0:
		return n, e.state.Explain(is, at, nearest)
	case len(e.targets) == 0:
		return n, scheduling.Verdict{Message: "there is no other node"}
	}
	return n, e.state.NearestRefusal(is, e.targets) // every target was found full before
}

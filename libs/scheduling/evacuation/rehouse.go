package evacuation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

const (
	// rehousingStepsMax bounds the places that are tried for the sets of one node, in pods of a shape on a target.
	rehousingStepsMax = 10_000
	// promotionsMax bounds how often pods that found no place are served before the others.
	promotionsMax = 3
	// partsMax bounds the parts into which a set of leaders and followers is divided.
	partsMax = 8
	// searchPodsMax are the most pods for which every way is searched, and searchStepsMax bounds the placements that are
	// tried.
	searchPodsMax  = 8
	searchStepsMax = 1000
)

// none is the set of pods that are in none.
const none = -1

// rehousing looks for places for the pods of one node. Which order serves all of them is not known beforehand, so it
// begins with the largest, and what finds no place then decides what is tried next.
type rehousing struct {
	*Simulator
	// steps are the tries that are left for sets.
	steps int
}

// settle places all of the pods, or none of them and says which found no place.
func (r *rehousing) settle(pods []placed) (Stuck, bool) {
	stuck, ok := r.promoting(pods)
	if ok {
		return Stuck{}, true
	}
	return stuck, r.attempt(pods, func() bool { return r.together(pods) }) || r.attempt(pods, func() bool { return r.search(pods) })
}

// together places pods that want to be with each other set by set, and then the others.
func (r *rehousing) together(pods []placed) bool {
	keys := affinityKeys(pods)
	if len(keys) == 0 {
		return false
	}
	sets, others := linked(pods, "")
	for _, set := range sets {
		if !r.house(set, r.targets, keys) {
			return false
		}
	}
	_, settled := r.promoting(others)
	return settled
}

// search tries every order and place of a few pods, as far as its steps go.
func (r *rehousing) search(pods []placed) bool {
	left, sum := make([]int, len(pods)), 0
	for i, p := range pods {
		left[i] = p.count
		sum += p.count
	}
	if sum == 1 || sum > searchPodsMax {
		return false
	}
	steps := searchStepsMax
	var next func(sum int) bool
	next = func(sum int) bool {
		for i, p := range pods {
			for _, node := range r.targets {
				if left[i] == 0 || steps <= 0 {
					break
				}
				steps--
				if !r.state.Judge(p.Subject, node).OK() {
					continue
				}
				r.state.Put(p.Subject, node, 1)
				left[i]--
				if sum == 1 || next(sum-1) {
					return true
				}
				r.state.Put(p.Subject, node, -1)
				left[i]++
			}
		}
		return false
	}
	return next(sum)
}

// promoting serves the pods in turn, and again with those first that found no place: others may have taken the only
// one that they can use.
func (r *rehousing) promoting(pods []placed) (first Stuck, ok bool) {
	order := pods
	for try := range promotionsMax + 1 {
		var stuck Stuck
		if r.attempt(pods, func() (settled bool) {
			stuck, settled = r.serve(order, r.place)
			return settled
		}) {
			return Stuck{}, true
		}
		if try == 0 {
			first = stuck
		}
		at := slices.IndexFunc(order, func(p placed) bool { return p.Item == stuck.Item })
		if at == 0 {
			break // it has no place even with all of the room
		}
		promoted := order[at]
		order = slices.Insert(slices.Delete(slices.Clone(order), at, at+1), 0, promoted)
	}
	return first, false
}

// serve places pods in turn, and tries those again that found no place once one that they wait for has one.
func (r *rehousing) serve(pods []placed, place func(*scheduling.Subject, int) (int, scheduling.Verdict)) (Stuck, bool) {
	left := make([]int, len(pods))
	for i, p := range pods {
		left[i] = p.count
	}
	var stuck Stuck
	for progress := true; progress; {
		progress, stuck = false, Stuck{}
		for i, p := range pods {
			if left[i] == 0 {
				continue
			}
			before := left[i]
			var verdict scheduling.Verdict
			left[i], verdict = place(p.Subject, before)
			progress = progress || left[i] < before
			if left[i] == 0 {
				continue
			}
			if stuck.Count == 0 {
				stuck = Stuck{p.Item, left[i], verdict}
			}
			if !mayStillServe(pods, left, i) {
				return Stuck{p.Item, left[i], verdict}, false
			}
		}
		if stuck.Count == 0 {
			return Stuck{}, true
		}
	}
	return stuck, false
}

// mayStillServe reports whether pods of another shape that have no place yet could make room for those of the i-th.
func mayStillServe(pods []placed, left []int, i int) bool {
	for j, other := range pods {
		if j != i && left[j] > 0 && pods[i].WaitsFor(other.Subject) {
			return true
		}
	}
	return false
}

// house places a set on targets: in turn where that works, else so that those which belong together in a domain of the
// first key are in one. It places all or none.
func (r *rehousing) house(pods []placed, targets []int, keys []string) bool {
	inTurn := func() bool {
		_, settled := r.serve(pods, func(is *scheduling.Subject, n int) (int, scheduling.Verdict) {
			return r.placeOn(is, n, targets), scheduling.Verdict{}
		})
		return settled
	}
	if r.attempt(nil, inTurn) {
		return true
	}
	if len(keys) == 0 || r.steps <= 0 {
		return false
	}
	return r.attempt(nil, func() bool {
		sets, others := linked(pods, keys[0])
		for _, set := range sets {
			if !r.divide(set, targets, keys) {
				return false
			}
		}
		return len(others) == 0 || r.house(others, targets, keys[1:])
	})
}

// divide puts a set into as few domains of the first key as will do: one, or several that each get their share of every
// shape, so that leaders take their followers along.
func (r *rehousing) divide(set []placed, targets []int, keys []string) bool {
	domains := r.domains(targets, keys[0])
	most := 0
	for _, p := range set {
		most = max(most, p.count)
	}
	for parts := 1; parts <= min(most, partsMax); parts++ {
		if r.attempt(nil, func() bool {
			for part := range parts {
				share := shareOf(set, part, parts)
				if !slices.ContainsFunc(domains, func(domain []int) bool {
					return r.steps > 0 && r.house(share, domain, keys[1:])
				}) {
					return false
				}
			}
			return true
		}) {
			return true
		}
	}
	return false
}

// shareOf is one of so many equal parts of a set.
func shareOf(set []placed, part, parts int) []placed {
	var out []placed
	for _, p := range set {
		n := p.count / parts
		if part < p.count%parts {
			n++
		}
		if n > 0 {
			out = append(out, placed{p.Subject, n})
		}
	}
	return out
}

// domains are the targets by their value of a topology key, in the order of the first of each.
func (r *rehousing) domains(targets []int, key string) [][]int {
	number := map[string]int{}
	var out [][]int
	for _, node := range targets {
		value, found := r.state.Node(node).Labels[key]
		if !found || r.state.IsGone(node) {
			continue
		}
		i, known := number[value]
		if !known {
			i = len(out)
			number[value] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], node)
	}
	return out
}

// placeOn places up to n pods of an item on targets, and returns how many found no place.
func (r *rehousing) placeOn(is *scheduling.Subject, n int, targets []int) int {
	r.steps -= len(targets)
	return r.state.FillInTurn(is, targets, n, nil)
}

// affinityKeys are the topologies in which some of the pods want to be together: those larger than a node first.
func affinityKeys(pods []placed) []string {
	var keys []string
	for _, p := range pods {
		for _, key := range p.AffinityKeys() {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	if i := slices.Index(keys, corev1.LabelHostname); i >= 0 {
		keys = append(slices.Delete(keys, i, i+1), corev1.LabelHostname)
	}
	return keys
}

// linked divides pods into sets of which each wants to be with another of its set in a topology, any where the key is
// empty, and those that are in none.
func linked(pods []placed, key string) (sets [][]placed, others []placed) {
	set := make([]int, len(pods))
	for i := range set {
		set[i] = none
	}
	join := func(i, j int) {
		from, to := set[j], set[i]
		if to == none {
			to = i
			set[i] = i
		}
		for k := range set {
			if k == j || from != none && set[k] == from {
				set[k] = to
			}
		}
	}
	for i, p := range pods {
		if keys := p.AffinityKeys(); len(keys) == 0 || key != "" && !slices.Contains(keys, key) {
			continue
		}
		for j, other := range pods {
			if p.Follows(other.Item) {
				join(i, j)
			}
		}
	}
	number := map[int]int{}
	for i, p := range pods {
		if set[i] == none {
			others = append(others, p)
			continue
		}
		n, known := number[set[i]]
		if !known {
			n = len(sets)
			number[set[i]] = n
			sets = append(sets, nil)
		}
		sets[n] = append(sets[n], p)
	}
	return sets, others
}

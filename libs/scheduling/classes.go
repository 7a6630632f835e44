package scheduling

import (
	"fmt"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// nodeSurcharge is what a machine costs on top of its price, as a share of the cheapest one's, so that of
// plans of equal price the one with fewer nodes wins.
const nodeSurcharge = 0.05

// classBook turns targets into the classes of a cover, and patterns of those back into pods.
type classBook struct {
	*drafting
	cover *cover
	// resources are the indices of those that any class needs.
	resources []int
	members   [][]member
	priority  []int32
	number    map[string]int
	capNumber map[string]int32
	roleOf    map[*target][]role
	// spreads are the constraints that spread waiting pods over nodes.
	spreads []*spreadTerm
	// addresses are those of which waiting pods take a port.
	addresses map[string][]string
}

// member is the part of a target that belongs to a class.
type member struct {
	target *target
	count  int
}

// role is what a target has to do with a term of anti-affinity on one node.
type role struct {
	term           string
	owner, matched bool
}

func newClassBook(d *drafting) *classBook {
	b := &classBook{drafting: d, cover: &cover{}, addresses: map[string][]string{}, number: map[string]int{}, capNumber: map[string]int32{}, roleOf: map[*target][]role{}}
	used := map[int]bool{}
	for _, t := range d.targets {
		for _, need := range t.variant.needs {
			used[need.resource] = true
		}
	}
	b.resources = slices.Sorted(maps.Keys(used))
	least := float64(d.options[0].MonthlyPrice)
	for i, o := range d.options {
		free := make([]int64, len(b.resources))
		for k, r := range b.resources {
			free[k] = d.empties[i].free[r]
		}
		b.cover.options = append(b.cover.options, machine{
			free: free, cost: float64(o.MonthlyPrice) + nodeSurcharge*least + 1, kind: d.site[i] + int(d.empties[i].class)*len(d.options),
		})
	}
	b.findRoles()
	b.findSpreads()
	for _, t := range d.targets {
		for _, p := range t.variant.Shape.HostPorts {
			id := fmt.Sprint("port|", p.Protocol, p.Port, "|")
			b.addresses[id] = append(b.addresses[id], p.IP)
		}
	}
	for _, t := range d.targets {
		if !t.apart {
			b.addTarget(t)
		}
	}
	b.makeFoes()
	return b
}

// findRoles says of each target which terms of anti-affinity on one node it owns and which mean it.
func (b *classBook) findRoles() {
	terms := map[string]podTerm{}
	for _, t := range b.targets {
		for _, term := range t.variant.repels {
			if isHostTerm(term) {
				terms[term.id] = term
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(terms)) {
		term := terms[id]
		for _, t := range b.targets {
			r := role{
				term:    id,
				owner:   slices.ContainsFunc(t.variant.repels, func(o podTerm) bool { return o.id == id }),
				matched: b.state.meets(&term, t.item),
			}
			if r.owner || r.matched {
				b.roleOf[t] = append(b.roleOf[t], r)
			}
		}
	}
}

// findSpreads collects the constraints that spread waiting pods over nodes.
func (b *classBook) findSpreads() {
	known := map[string]bool{}
	for _, t := range b.targets {
		for i := range t.variant.spread {
			if s := &t.variant.spread[i]; s.TopologyKey == corev1.LabelHostname && !known[s.id] {
				known[s.id] = true
				b.spreads = append(b.spreads, s)
			}
		}
	}
}

// addTarget puts a target's pods into classes, one for each site that they go to.
func (b *classBook) addTarget(t *target) {
	needs := make([]int64, len(b.resources))
	for _, need := range t.variant.needs {
		i, _ := slices.BinarySearch(b.resources, need.resource)
		needs[i] = need.amount
	}
	for _, v := range t.variant.handles {
		if i, found := slices.BinarySearch(b.resources, v.resource); found {
			needs[i]++ // as if no other pod on the node used the volume
		}
	}
	caps := b.capsOf(t)
	if t.sites == nil {
		b.addClass(t, absent, t.left, needs, caps)
		return
	}
	for site, count := range t.sites {
		if count > 0 {
			b.addClass(t, site, count, needs, caps)
		}
	}
}

func (b *classBook) addClass(t *target, site, count int, needs []int64, caps []int32) {
	fits := make([]bool, len(b.options))
	signature := make([]byte, len(b.options))
	some := false
	for i := range b.options {
		fits[i] = (site == absent || b.site[i] == site) && b.fitsOne(i, needs, t)
		if fits[i] {
			some, signature[i] = true, 1
		}
	}
	if !some {
		return
	}
	key := fmt.Sprint(t.item.Shape.Priority, needs, caps, b.roleOf[t], string(signature))
	n, known := b.number[key]
	if !known {
		n = len(b.cover.classes)
		b.number[key] = n
		b.cover.classes = append(b.cover.classes, class{needs: needs, caps: caps, fits: fits})
		b.members = append(b.members, nil)
		b.priority = append(b.priority, t.item.Shape.Priority)
	}
	b.cover.classes[n].count += int32(count)
	b.members[n] = append(b.members[n], member{t, count})
}

func (b *classBook) fitsOne(option int, needs []int64, t *target) bool {
	for i, need := range needs {
		if need > b.cover.options[option].free[i] {
			return false
		}
	}
	return b.takes(option, t)
}

// capsOf are the groups of pods of which one node takes only so many.
func (b *classBook) capsOf(t *target) []int32 {
	var caps []int32
	add := func(id string, most int32) {
		n, known := b.capNumber[id]
		if !known {
			n = int32(len(b.cover.caps))
			b.capNumber[id] = n
			b.cover.caps = append(b.cover.caps, most)
		}
		b.cover.caps[n] = min(b.cover.caps[n], most)
		caps = append(caps, n)
	}
	is := t.variant
	// Pods without such rules are placed after those with them, and then hinder nobody.
	for _, s := range b.spreads {
		if t.order() == 0 && s.matches(t.item, s.namespace) {
			add("spread|"+s.id, b.perMachine(s))
		}
	}
	for _, r := range b.roleOf[t] {
		if r.owner && r.matched {
			add("anti|"+r.term, 1)
		}
	}
	for _, p := range is.Shape.HostPorts {
		id := fmt.Sprint("port|", p.Protocol, p.Port, "|")
		add(id+p.IP, 1)
		if p.IP == "" { // of every address, those of other pods included
			for _, ip := range b.addresses[id] {
				add(id+ip, 1)
			}
		}
	}
	slices.Sort(caps)
	return slices.Compact(caps)
}

// machinesLeast is the number of machines over which pods are spread at least, so that the loss of one takes down no
// more than its share.
const machinesLeast = 3

// perMachine is how many pods that a spread over nodes counts one machine takes: as many as an empty machine beside it
// allows or, where the pods are to be evenly on fewer machines, their share of the least number of those.
func (b *classBook) perMachine(s *spreadTerm) int32 {
	if !b.level {
		return s.MaxSkew
	}
	pods := int32(0)
	for _, t := range b.targets {
		if t.order() == 0 && s.matches(t.item, s.namespace) {
			pods += int32(t.count)
		}
	}
	return max(s.MaxSkew, (pods+machinesLeast-1)/machinesLeast)
}

// makeFoes keeps classes apart of which one repels the other.
func (b *classBook) makeFoes() {
	owners, matched := map[string][]int32{}, map[string][]int32{}
	both := map[string]bool{}
	for n := range b.cover.classes {
		for _, r := range b.roleOf[b.members[n][0].target] {
			if r.owner {
				owners[r.term] = append(owners[r.term], int32(n))
			}
			if r.matched {
				matched[r.term] = append(matched[r.term], int32(n))
			}
			both[r.term+"|"+itoa(int64(n))] = r.owner && r.matched
		}
	}
	for _, term := range slices.Sorted(maps.Keys(owners)) {
		for _, o := range owners[term] {
			for _, m := range matched[term] {
				if o == m || both[term+"|"+itoa(int64(o))] && both[term+"|"+itoa(int64(m))] {
					continue
				}
				b.cover.classes[o].foes = append(b.cover.classes[o].foes, m)
				b.cover.classes[m].foes = append(b.cover.classes[m].foes, o)
			}
		}
	}
}

// rank is the highest priority in a pattern, and the size of what it serves.
func (b *classBook) rank(p *pattern) (int32, int64) {
	priority, size := int32(math.MinInt32), int64(0)
	for k, i := range p.classes {
		priority = max(priority, b.priority[i])
		size += b.members[i][0].target.is.weight * int64(p.counts[k])
	}
	return priority, size
}

// share is what a target gets on which machines of a draft.
type share struct {
	target *target
	parts  []part
}

type part struct{ machine, count int }

// share deals the pods of each class out over the machines whose patterns hold the class: the members of a class
// take turns, so that each is on as many nodes as can be.
func (b *classBook) share(patterns []pattern, sites []int) []*share {
	shares := make([]*share, len(b.targets))
	index := make(map[*target]int, len(b.targets))
	for i, t := range b.targets {
		shares[i] = &share{target: t}
		index[t] = i
	}
	left := make([][]int, len(b.members))
	next := make([]int, len(b.members))
	for n, members := range b.members {
		for _, m := range members {
			left[n] = append(left[n], m.count)
		}
	}
	for k := range patterns {
		p := &patterns[k]
		for j, n := range p.classes {
			for range p.counts[j] {
				m := take(left[n], &next[n])
				if m < 0 {
					break
				}
				s := shares[index[b.members[n][m].target]]
				if last := len(s.parts) - 1; last >= 0 && s.parts[last].machine == k {
					s.parts[last].count++
				} else {
					s.parts = append(s.parts, part{k, 1})
				}
			}
		}
	}
	for _, s := range shares {
		s.interleave(sites)
	}
	return shares
}

// take finds the next member of which something is left, from next on in turn.
func take(left []int, next *int) int {
	for range left {
		m := *next
		*next = (m + 1) % len(left)
		if left[m] > 0 {
			left[m]--
			return m
		}
	}
	return -1
}

// interleave orders the parts so that sites take turns: a spread over sites then grows evenly.
func (s *share) interleave(sites []int) {
	bySite := map[int][]part{}
	for _, p := range s.parts {
		bySite[sites[p.machine]] = append(bySite[sites[p.machine]], p)
	}
	order := slices.Sorted(maps.Keys(bySite))
	s.parts = s.parts[:0]
	for rank := 0; len(order) > 0; rank++ {
		order = slices.DeleteFunc(order, func(site int) bool { return rank >= len(bySite[site]) })
		for _, site := range order {
			s.parts = append(s.parts, bySite[site][rank])
		}
	}
}

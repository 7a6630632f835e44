package scheduling

import (
	"slices"
	"strings"
)

// compile makes the counters that an item's own constraints look at.
func (s *State) compile(is *Subject) {
	if is.compiled {
		return
	}
	is.compiled = true
	if len(is.affine) > 0 {
		is.selfAffine = s.meetsAll(is.affine, is.Item)
		for _, t := range is.affine {
			is.affinity = append(is.affinity, s.affinityCounter(is.affine, t.key))
		}
	}
	for _, t := range is.repels {
		is.anti = append(is.anti, s.counter("anti|"+t.id, t.key, t.reach(), func(other *Item) bool { return s.meets(&t, other) }))
	}
	for i := range is.spread {
		t := &is.spread[i]
		is.spreads = append(is.spreads, Spread{s.spreadCounter(is, i), t, t.matches(is.Item, is.Shape.Namespace)})
	}
}

func (s *State) meets(t *podTerm, item *Item) bool {
	return t.matches(item, s.namespaces[item.Shape.Namespace])
}

func (s *State) meetsAll(terms []podTerm, item *Item) bool {
	for i := range terms {
		if !s.meets(&terms[i], item) {
			return false
		}
	}
	return true
}

// affinityCounter counts pods that match all of the terms: kube-scheduler takes a pod's affinity terms together.
func (s *State) affinityCounter(terms []podTerm, key string) *Counter {
	ids := make([]string, len(terms))
	for i := range terms {
		ids[i] = terms[i].id
	}
	slices.Sort(ids)
	return s.counter("all|"+key+"|"+strings.Join(ids, "&"), key, terms[0].reach(), func(other *Item) bool { return s.meetsAll(terms, other) })
}

func (s *State) spreadCounter(is *Subject, i int) *Counter {
	t := &is.spread[i]
	// The domains are those of nodes that have the labels of all constraints, and that the pod could use
	// as far as the policies say.
	where := ""
	for j := range is.spread {
		where += "+" + is.spread[j].TopologyKey
	}
	if t.honoursAffinity() {
		where += "|affinity:" + is.nodeKey
	}
	if t.honoursTaints() {
		where += "|taints:" + is.nodeKey
	}
	id := "spread|" + t.id + where
	if c := s.counterOf[id]; c != nil {
		return c
	}
	// An empty selector counts nothing, although it matches the pod itself: PodTopologySpread skips the count.
	c := s.newCounter(t.TopologyKey, func(other *Item) bool {
		return !t.selector.Empty() && !other.Shape.Terminating && t.matches(other, is.Shape.Namespace)
	})
	c.spread = &domains{eligible: s.eligibilityOf(where, func(n *nodeState) bool { return is.isDomain(t, n) })}
	s.spreads = append(s.spreads, c)
	s.start(id, c, reach{anchors: anchorsOf([]string{is.Shape.Namespace}, t.selector)})
	return c
}

// eligibilityOf says which nodes constraints count that ask the same of them.
func (s *State) eligibilityOf(where string, admits func(*nodeState) bool) *eligibility {
	if e := s.eligibilities[where]; e != nil {
		return e
	}
	e := &eligibility{admits: admits}
	for _, n := range s.nodes {
		e.of = append(e.of, admits(n))
	}
	s.eligibilities[where] = e
	return e
}

// isDomain reports whether a node counts for a spread constraint of the item.
func (is *Subject) isDomain(t *spreadTerm, n *nodeState) bool {
	for i := range is.spread {
		if _, found := n.Labels[is.spread[i].TopologyKey]; !found {
			return false
		}
	}
	if t.honoursAffinity() {
		if match, err := is.Item.affinity.Match(n.kubeNode()); err != nil || !match {
			return false
		}
	}
	if t.honoursTaints() {
		if _, found := untolerated(n.Taints, is.Shape.Tolerations); found {
			return false
		}
	}
	return true
}

// reach says which items a term may mean: those with one of the anchors, or any.
type reach struct {
	anchors []anchor
	any     bool
}

func (t *podTerm) reach() reach {
	if t.of != nil {
		return reach{any: true} // the namespaces are told by their labels
	}
	return reach{anchors: anchorsOf(t.namespaces, t.selector)}
}

func (s *State) counter(id, key string, of reach, meant func(*Item) bool) *Counter {
	if c := s.counterOf[id]; c != nil {
		return c
	}
	c := s.newCounter(key, meant)
	s.start(id, c, of)
	return c
}

func (s *State) newCounter(key string, meant func(*Item) bool) *Counter {
	t := s.topologies[key]
	if t == nil {
		t = &topology{key: key, number: map[string]int32{}}
		for _, n := range s.nodes {
			t.add(n.Labels)
		}
		s.topologies[key] = t
	}
	return &Counter{topology: t, meant: meant}
}

// start counts what is there already.
func (s *State) start(id string, c *Counter, of reach) {
	meant := map[*Subject]bool{}
	consider := func(is *Subject) {
		if c.meant(is.Item) {
			meant[is] = true
		}
	}
	if of.any {
		for _, is := range s.items {
			consider(is)
		}
	}
	for _, at := range of.anchors {
		for _, is := range s.itemsAt[at] {
			consider(is)
		}
	}
	s.countersAt.add(len(s.counters), of.anchors, of.any)
	for i, n := range s.nodes {
		if n.gone {
			continue
		}
		c.admitNode(i, 1)
		if len(meant) == 0 {
			continue
		}
		for _, p := range n.pods {
			if meant[p.item] {
				c.add(i, p.count)
			}
		}
	}
	c.id = id
	s.counterOf[id] = c
	s.counters = append(s.counters, c)
}

// own makes the counter of the pods that repel others by a term, and has the item counted by it.
func (s *State) own(t podTerm, is *Subject) {
	id := "own|" + t.id
	if c := s.counterOf[id]; c != nil {
		is.counted = append(is.counted, c)
		return
	}
	c := s.newCounter(t.key, func(*Item) bool { return false })
	s.start(id, c, reach{})
	of := t.reach()
	s.ownersAt.add(len(s.owners), of.anchors, of.any)
	s.owners = append(s.owners, ownedTerm{t, c})
	is.counted = append(is.counted, c)
}

// observe brings an item up to date with counters and owners that came since it was last used.
func (s *State) observe(is *Subject) {
	if is.seen < len(s.counters) {
		s.countersAt.since(is.seen, is.anchors, func(i int) {
			if c := s.counters[i]; c.meant(is.Item) {
				is.counted = append(is.counted, c)
			}
		})
		is.seen = len(s.counters)
	}
	if is.owned < len(s.owners) {
		s.ownersAt.since(is.owned, is.anchors, func(i int) {
			if o := &s.owners[i]; s.meets(&o.term, is.Item) {
				is.repelledBy = append(is.repelledBy, o.counter)
			}
		})
		is.owned = len(s.owners)
	}
}

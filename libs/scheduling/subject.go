package scheduling

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Subject is an item under the rules of one State, and what the rules about other pods say of it: whom it follows, whom it
// repels, who repels it and over what it is spread. Such a rule is known by its Counter, so that two subjects are related
// where one asks for what counts the other. It is as little safe for concurrent use as its State, and what its methods return
// must not be changed.
type Subject struct {
	*Item
	state *State
	needs []Need
	// admitted caches, by class of node, whether labels and taints admit the item.
	admitted []Rule
	compiled bool
	affinity []*Counter
	anti     []*Counter
	spreads  []Spread
	// selfAffine says that the item's own pods are such as its affinity asks for.
	selfAffine bool
	// counted are the counters that a pod of the item adds to, those of its own anti-affinity first, and repelledBy those that
	// keep it away; they cover the counters and owners seen so far.
	counted     []*Counter
	repelledBy  []*Counter
	seen, owned int
	anchors     []anchor
	handles     []sharedVolume
	// attachments are the resources of which the volumes that it shares take one each.
	attachments []int
	size        int64
	perNode     int
}

// Need is an amount of a resource, which is named by its number in the State.
type Need struct {
	Resource int
	Amount   int64
}

// Spread is a topology spread constraint of a subject. Its counter counts the pods that the constraint selects in each domain.
type Spread struct {
	*Counter
	term *spreadTerm
	// Self says that the constraint counts the subject's own pods.
	Self bool
}

// MaxSkew is how many pods more than in the emptiest domain there may be in one.
func (s *Spread) MaxSkew() int32 { return s.term.MaxSkew }

// Selection names what is counted over which topology; constraints of one selection may differ in the nodes that they look at,
// and so in their counters.
func (s *Spread) Selection() string { return s.term.id }

// sharedVolume is a volume that pods of several items may use.
type sharedVolume struct {
	handle    string
	exclusive bool
	waits     bool
	resource  int // the driver's attachments; absent for a volume without a driver
}

// Needs are what a pod takes of each resource, those of which it takes nothing left out.
func (is *Subject) Needs() []Need { return is.needs }

// Attachments are the resources, one for each volume, of which the volumes that the pods share take one on a node, however many
// of the pods are there.
func (is *Subject) Attachments() []int { return is.attachments }

// Size is the size of a pod at the price ratio of resources, at least one.
func (is *Subject) Size() int64 { return is.size }

// PerNode is how many pods the item's own rules allow on a new node at most.
func (is *Subject) PerNode() int { return is.perNode }

// Followed counts the pods that the item's affinity asks for, all of its terms taken together; nil where it has none.
func (is *Subject) Followed() *Counter {
	if is.state.compile(is); len(is.affinity) == 0 {
		return nil
	}
	return is.affinity[0]
}

// Follows reports whether pods of another item are such as the item's affinity asks for.
func (is *Subject) Follows(other *Item) bool { return is.state.meetsAll(is.affine, other) }

// MayStart reports whether the pod may be the first that its own affinity selects: the affinity matches the pod itself, and no pod
// that it selects exists yet.
func (is *Subject) MayStart() bool {
	followed := is.Followed()
	return followed != nil && is.selfAffine && followed.total == 0
}

// Repels count the pods that repel others as the item's do, one counter for each term of its anti-affinity: whom one of them keeps
// away, the item keeps away.
func (is *Subject) Repels() []*Counter { return is.counted[:len(is.repels)] }

// RepelledBy are the counters of pods that keep the item's away from their domain.
func (is *Subject) RepelledBy() []*Counter {
	is.state.observe(is)
	return is.repelledBy
}

// CountedBy are the counters that a pod of the item adds to.
func (is *Subject) CountedBy() []*Counter {
	is.state.observe(is)
	return is.counted
}

// Spreads are the item's topology spread constraints.
func (is *Subject) Spreads() []Spread {
	is.state.compile(is)
	return is.spreads
}

// WaitsFor reports whether placing pods of another subject can make a node feasible for this one that rules about other pods exclude now:
// its affinity selects them, or they reduce the skew of one of its spreads. Before such a rule was judged the answer is false.
func (is *Subject) WaitsFor(other *Subject) bool {
	return slices.ContainsFunc(is.affinity, func(c *Counter) bool { return c.meant(other.Item) }) ||
		slices.ContainsFunc(is.spreads, func(s Spread) bool { return s.meant(other.Item) })
}

// Known is the subject of an item's ID, nil where there is none yet.
func (s *State) Known(id ShapeID) *Subject { return s.byID[id] }

// Subject returns an item as the state sees it, which takes it in if it is new. Items are known by their ID: of two with one ID
// the first counts.
func (s *State) Subject(item *Item) *Subject {
	if is := s.byID[item.ID]; is != nil {
		return is
	}
	is := &Subject{Item: item, state: s, size: max(weigh(item.Shape.Requests), 1), perNode: item.perNodeMax()}
	names := make([]string, 0, len(item.Shape.Requests))
	for name := range item.Shape.Requests {
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, name := range names {
		if amount := item.Shape.Requests[corev1.ResourceName(name)]; amount > 0 {
			is.needs = append(is.needs, Need{s.resource(corev1.ResourceName(name)), amount})
		}
	}
	is.addVolumes(s)
	s.byID[item.ID] = is
	s.items = append(s.items, is)
	is.anchors = item.anchors()
	for _, at := range is.anchors {
		s.itemsAt[at] = append(s.itemsAt[at], is)
	}
	for _, key := range item.nodeLabels {
		if !s.classKeys[key] {
			s.classKeys[key] = true
			s.reclassify()
		}
	}
	for _, t := range item.repels {
		s.own(t, is)
	}
	return is
}

// addVolumes finds out what the item's volumes take of a node's attachments.
func (is *Subject) addVolumes(s *State) {
	attach := map[int]int64{}
	var order []int
	for _, v := range is.Shape.Volumes {
		index := absent
		if v.Driver != "" {
			index = s.resource(corev1.ResourceName(attachPrefix + v.Driver))
		}
		switch {
		case v.Handle != "":
			if index != absent {
				is.attachments = append(is.attachments, index)
			}
			is.handles = append(is.handles, sharedVolume{v.Driver + "^" + v.Handle, v.Exclusive, v.Waits, index})
		case index != absent:
			if attach[index] == 0 {
				order = append(order, index)
			}
			attach[index]++
		}
	}
	for _, index := range order {
		is.needs = append(is.needs, Need{index, attach[index]})
	}
}

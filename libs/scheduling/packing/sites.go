package packing

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// absent is the node or the site that there is none of.
const absent = -1

// assignSites chooses where pods go whose rules speak of a topology other than the node: a site is a set of
// options that such rules cannot tell apart, such as those of one zone. It plays through with the state's
// counters where pods may go, on one boundless node a site. Options before from are not to be launched any more.
func (d *drafting) assignSites(from int) {
	keys := d.siteKeys()
	d.site = make([]int, len(d.options))
	for _, t := range d.targets {
		t.sites, t.places, t.mates = nil, nil, nil
	}
	if len(keys) == 0 {
		return
	}
	number := map[string]int{}
	for i, o := range d.options {
		var id strings.Builder
		for _, key := range keys {
			id.WriteString(o.Empty.Labels[key] + "|")
		}
		if _, known := number[id.String()]; !known {
			number[id.String()] = len(number)
		}
		d.site[i] = number[id.String()]
	}
	d.state.Try(func() bool {
		a := siteAssignment{drafting: d, from: from, sites: len(number), load: make([]int64, len(number)), used: map[string]usage{}, nodes: map[string][]int{}}
		a.run()
		return false
	})
}

// siteKeys are the topologies, other than the node itself, that rules of what waits speak of.
func (d *drafting) siteKeys() []string {
	keys := map[string]bool{}
	for _, t := range d.targets {
		for _, key := range t.variant.TopologyKeys() {
			keys[key] = true
		}
	}
	for _, t := range d.targets {
		for _, c := range t.is.RepelledBy() {
			if c.Key() != corev1.LabelHostname {
				keys[c.Key()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

type siteAssignment struct {
	*drafting
	// from is the first option that may still be launched.
	from  int
	sites int
	// load is the size of the pods that each site has been given, and used what they take of each group's limit.
	load []int64
	used map[string]usage
	// nodes are the boundless nodes, by what an item asks of a node, one a site; absent until a target needs it.
	nodes map[string][]int
	// twins are numbers of options by size and price, so that sites can be told to offer the same.
	twins []int
	// estimates counts the bands whose price was found out by a small cover.
	estimates int
}

// place is what a site offers to one pod of a target.
type place struct {
	// node is the site's boundless node; absent when no option serves the target.
	node int
	// option is the one with the lowest price a pod among those of the highest weight, and perMachine how many it takes.
	option, perMachine int
	weight             int32
	price              float64
}

func (a *siteAssignment) run() {
	bands, linked := a.findBands()
	var zonal, counted []*target
	spreads := map[*scheduling.Counter]bool{}
	for _, t := range a.targets {
		if !linked[t] && len(t.variant.TopologyKeys()) == 0 && !a.isRepelled(t) {
			continue
		}
		zonal = append(zonal, t)
		for _, s := range a.sited(t).Spreads() {
			spreads[s.Counter] = true
		}
	}
	// Pods that such rules count, and that are placed before the pods with the rules, need a site as well.
	for _, t := range a.targets {
		if t.order == orderHost && !slices.Contains(zonal, t) {
			if slices.ContainsFunc(t.is.CountedBy(), func(c *scheduling.Counter) bool { return spreads[c] }) {
				counted = append(counted, t)
			}
		}
	}
	for _, t := range slices.Concat(counted, zonal) {
		t.sites, t.places = make([]int, a.sites), a.placesOf(t)
	}
	a.constrainedFirst(counted)
	a.assignAll(counted)
	a.bands = nil
	for i, band := range bands {
		a.assignBand(i, band)
	}
	a.constrainedFirst(zonal)
	a.assignAll(zonal)
}

// sited is a target's item with the rules that speak of sites, ready for judging.
func (a *siteAssignment) sited(t *target) *scheduling.Subject {
	if t.sited == nil {
		id := t.variant.ID + "@"
		if t.sited = a.state.Known(id); t.sited == nil {
			t.sited = a.state.Subject(overSites(id, t.variant.Shape))
		}
	}
	return t.sited
}

// constrainedFirst orders targets so that those come first which the fewest sites serve.
func (a *siteAssignment) constrainedFirst(targets []*target) {
	serving := make(map[*target]int, len(targets))
	for _, t := range targets {
		serving[t] = t.servingSites()
	}
	slices.SortStableFunc(targets, func(x, y *target) int { return serving[x] - serving[y] })
}

// servingSites counts the sites at which an option serves the target.
func (t *target) servingSites() int {
	n := 0
	for i := range t.places {
		if t.places[i].node != absent {
			n++
		}
	}
	return n
}

// isRepelled reports whether a waiting pod, or one that is there, keeps the target's pods out of a zone.
func (a *siteAssignment) isRepelled(t *target) bool {
	return slices.ContainsFunc(t.is.RepelledBy(), func(c *scheduling.Counter) bool { return c.Key() != corev1.LabelHostname })
}

// waiting is how many pods of a target have no site yet.
func (t *target) waiting() int {
	n := t.left
	for _, at := range t.sites {
		n -= at
	}
	return n
}

// assignAll gives what has no site yet one, pod by pod.
func (a *siteAssignment) assignAll(targets []*target) {
	rivals := make([][]*target, len(targets))
	for i, t := range targets {
		rivals[i] = a.rivalsOf(t, targets)
	}
	for progress := true; progress; {
		progress = false
		for i, t := range targets {
			for n := t.waiting(); n > 0 && a.assign(t, rivals[i]); n-- {
				progress = true
			}
		}
	}
}

// rivalsOf are the targets that a spread of this one counts and that fewer sites serve: room for them is kept there.
func (a *siteAssignment) rivalsOf(t *target, targets []*target) []*target {
	is := a.sited(t)
	if len(is.Spreads()) == 0 {
		return nil
	}
	var out []*target
	serving := t.servingSites()
	for _, other := range targets {
		if other != t && other.servingSites() < serving && slices.ContainsFunc(is.Spreads(), func(s scheduling.Spread) bool { return s.Counts(other.item) }) {
			out = append(out, other)
		}
	}
	return out
}

// siteRank says how good a site is for a pod; the lowest is best, the fields in turn.
type siteRank struct {
	// full says that limits leave the site's options no room for it.
	full bool
	// stranded counts the targets that want to be with it and that no option at the site serves.
	stranded int
	// count is the number of pods in the domain that its rules count, those included that can only go there.
	count int
	place *place
	load  int64
}

func (r *siteRank) compare(o *siteRank) int {
	if r.full != o.full {
		if r.full {
			return 1
		}
		return -1
	}
	return cmp.Or(
		cmp.Compare(r.stranded, o.stranded), cmp.Compare(r.count, o.count), cmp.Compare(o.place.weight, r.place.weight),
		cmp.Compare(r.place.price, o.place.price), cmp.Compare(r.load, o.load),
	)
}

// assign gives one pod a site.
func (a *siteAssignment) assign(t *target, rivals []*target) bool {
	is := a.sited(t)
	best := -1
	var bestRank siteRank
	for site := range t.places {
		place := &t.places[site]
		if place.node == absent || !a.state.JudgeOthers(is, place.node).OK() {
			continue
		}
		rank := siteRank{full: a.isFull(t, site), place: place, load: a.load[site]}
		for _, c := range is.CountedBy() {
			if c.IsSpread() {
				rank.count += c.At(place.node)
			}
		}
		for _, rival := range rivals {
			if rival.places[site].node != absent {
				rank.count += rival.waiting() / rival.servingSites()
			}
		}
		for _, mate := range t.mates {
			if mate.places[site].node == absent {
				rank.stranded++
			}
		}
		if best < 0 || rank.compare(&bestRank) < 0 {
			best, bestRank = site, rank
		}
	}
	if best < 0 {
		return false
	}
	a.put(t, best, 1)
	return true
}

// put gives pods of a target a site.
func (a *siteAssignment) put(t *target, site, n int) {
	place := &t.places[site]
	a.state.Put(a.sited(t), place.node, int32(n))
	a.load[site] += t.is.Size() * int64(n)
	t.sites[site] += n
	o := a.options[place.option]
	a.used[o.Group] = a.used[o.Group].add(o, float64(n)/float64(place.perMachine))
}

// placesOf finds out what each site offers to a target.
func (a *siteAssignment) placesOf(t *target) []place {
	places := make([]place, a.sites)
	for site := range places {
		places[site].node = absent
	}
	for i := a.from; i < len(a.options); i++ {
		if !a.takes(i, t) {
			continue
		}
		o, p := a.options[i], &places[a.site[i]]
		per := a.perMachineOf(i, t)
		price := float64(o.MonthlyPrice) / float64(per)
		if p.node == absent || o.Weight == p.weight && price < p.price {
			*p = place{node: a.siteNode(t, i), option: i, perMachine: per, weight: o.Weight, price: price}
		}
	}
	return places
}

// perMachineOf is how many of a target's pods one machine of an option takes, at least one.
func (a *siteAssignment) perMachineOf(option int, t *target) int {
	return max(min(t.left, t.variant.PerNode(), a.empties[option].Room(t.variant)), 1)
}

// siteNode is the boundless node of an option's site for those who ask the same of a node as a target.
func (a *siteAssignment) siteNode(t *target, option int) int {
	nodes, known := a.nodes[t.variant.NodeKey()]
	if !known {
		nodes = slices.Repeat([]int{absent}, a.sites)
		a.nodes[t.variant.NodeKey()] = nodes
	}
	site := a.site[option]
	if nodes[site] == absent {
		n := &scheduling.Node{Name: "site", Labels: maps.Clone(a.options[option].Empty.Labels)}
		// One that follows pods to their node follows them to their site.
		n.Labels[corev1.LabelHostname] = "site-" + strconv.Itoa(site)
		nodes[site] = a.state.AddNode(n)
	}
	return nodes[site]
}

// overSites makes the item of another name with only those rules that speak of topologies larger than a node, and with whom it
// follows.
func overSites(id scheduling.ShapeID, of *scheduling.Shape) *scheduling.Item {
	shape := *of
	shape.HostPorts, shape.Volumes, shape.Requests = nil, nil, nil
	shape.Spread = slices.DeleteFunc(slices.Clone(shape.Spread), func(c corev1.TopologySpreadConstraint) bool {
		return c.TopologyKey == corev1.LabelHostname
	})
	if shape.Affinity != nil {
		a := shape.Affinity.DeepCopy()
		if a.PodAntiAffinity != nil {
			a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = slices.DeleteFunc(
				a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
				func(t corev1.PodAffinityTerm) bool { return t.TopologyKey == corev1.LabelHostname })
		}
		shape.Affinity = a
	}
	return scheduling.NewItem(id, &shape)
}

package packing

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

const (
	// bandEstimatesMax bounds the sets of one draft whose price at a site is found out by a cover of their own, and
	// bandEffort what such a cover may spend.
	bandEstimatesMax = 64
	bandEffort       = 20_000
)

// findBands finds the sets of targets whose pods go to one site where that is possible: those linked by affinity, leaders
// without rules included, and those that a rule keeps out of the zones of others that wait. The second answer are all
// that are linked by affinity, those included that a spread divides.
func (a *siteAssignment) findBands() ([][]*target, map[*target]bool) {
	sets := a.linkedTargets(anywhere)
	foes, selfApart := a.foes()
	linked := map[*target]bool{}
	var bands [][]*target
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(t *target) bool { return len(t.variant.TopologyKeys()) > 0 || a.isRepelled(t) }) {
			continue // whatever the zones, only their node matters
		}
		var band []*target
		for _, t := range set {
			linked[t] = true
			if !selfApart[t] && !isSpread(a.sited(t)) {
				band = append(band, t) // those that a spread divides get their zones one by one, after the others
			}
			t.mates = slices.DeleteFunc(slices.Clone(set), func(o *target) bool { return o == t })
		}
		if len(band) > 0 {
			bands = append(bands, band)
		}
	}
	for _, t := range a.targets {
		if foes[t] && !linked[t] && !selfApart[t] && !isSpread(a.sited(t)) {
			bands = append(bands, []*target{t})
		}
	}
	return bands, linked
}

// onNode and anywhere say of a pod's affinity in which topologies it is about.
func onNode(keys []string) bool   { return slices.Contains(keys, corev1.LabelHostname) }
func anywhere(keys []string) bool { return len(keys) > 0 }

// linkedTargets are the sets of targets of which one wants to be with another, or with its own kind, in topologies of some sort.
func (d *drafting) linkedTargets(sort func(keys []string) bool) [][]*target {
	asking := map[*scheduling.Counter][]int{} // by what their affinity counts
	for i, t := range d.targets {
		if sort(t.variant.AffinityKeys()) {
			asking[t.variant.Followed()] = append(asking[t.variant.Followed()], i)
		}
	}
	if len(asking) == 0 {
		return nil
	}
	set := make([]int, len(d.targets))
	for i := range set {
		set[i] = i
	}
	root := func(i int) int {
		for set[i] != i {
			i = set[i]
		}
		return i
	}
	linked := make([]bool, len(d.targets))
	for i, t := range d.targets {
		for _, c := range t.is.CountedBy() {
			for _, j := range asking[c] {
				linked[i], linked[j] = true, true
				x, y := root(i), root(j)
				set[max(x, y)] = min(x, y)
			}
		}
	}
	number := map[int]int{}
	var sets [][]*target
	for i, t := range d.targets {
		if !linked[i] {
			continue
		}
		n, known := number[root(i)]
		if !known {
			n = len(sets)
			number[root(i)] = n
			sets = append(sets, nil)
		}
		sets[n] = append(sets[n], t)
	}
	return sets
}

// isSpread reports whether a constraint spreads a subject's own pods.
func isSpread(is *scheduling.Subject) bool {
	return slices.ContainsFunc(is.Spreads(), func(s scheduling.Spread) bool { return s.Self })
}

// foes are the targets that keep out of each other's zones, and those that keep out of their own kind's.
func (a *siteAssignment) foes() (foes, selfApart map[*target]bool) {
	foes, selfApart = map[*target]bool{}, map[*target]bool{}
	owners := map[*scheduling.Counter][]*target{}
	for _, t := range a.targets {
		for _, c := range t.variant.Repels() {
			if c.Key() != corev1.LabelHostname {
				owners[c] = append(owners[c], t)
			}
		}
	}
	if len(owners) == 0 {
		return foes, selfApart
	}
	for _, t := range a.targets {
		for _, c := range t.is.RepelledBy() {
			for _, owner := range owners[c] {
				if owner == t {
					selfApart[t] = true
				} else {
					foes[t], foes[owner] = true, true
				}
			}
		}
	}
	return foes, selfApart
}

// bandFit is what a site would serve of a band.
type bandFit struct {
	site int
	// served counts the pods of each member, and pods all of them; byTier are those of each weight, the highest first.
	served []int
	pods   int
	byTier []int
	// closed counts the others that would be kept out of the site and are not yet.
	closed int
	price  float64
	load   int64
}

func (f *bandFit) compare(o *bandFit) int {
	return cmp.Or(
		cmp.Compare(o.pods, f.pods), cmp.Compare(f.closed, o.closed), slices.Compare(o.byTier, f.byTier),
		cmp.Compare(f.price, o.price), cmp.Compare(f.load, o.load),
	)
}

// assignBand gives a band the site that was chosen for it, else that which serves the most of it and of those the cheapest
// for all of it, and what that leaves the next best. What no site serves is tried pod by pod later.
func (a *siteAssignment) assignBand(number int, band []*target) {
	choice := bandChoice{number: number, alike: a.sitesAreAlike(band)}
	tried := make([]bool, a.sites)
	for turn := range a.sites {
		var best *bandFit
		for site := range a.sites {
			if tried[site] {
				continue
			}
			fit := a.fitBand(band, site, choice.alike)
			if chosen, some := a.choices.sites[number]; some && turn == 0 && chosen != site || fit.pods == 0 {
				continue
			}
			if turn == 0 {
				choice.sites = append(choice.sites, site)
			}
			if best == nil || fit.compare(best) < 0 {
				best = fit
			}
		}
		if turn == 0 && best != nil {
			choice.site = best.site
			a.bands = append(a.bands, choice)
		}
		if best == nil {
			break
		}
		tried[best.site] = true
		more := false
		for i, t := range band {
			if best.served[i] > 0 {
				a.put(t, best.site, best.served[i])
			}
			more = more || t.waiting() > 0
		}
		if !more {
			break
		}
	}
}

// fitBand finds out what a site serves of a band, by its rules and then by limits and prices.
func (a *siteAssignment) fitBand(band []*target, site int, alike bool) *bandFit {
	fit := &bandFit{site: site, served: make([]int, len(band)), load: a.load[site]}
	a.state.Try(func() bool {
		for progress := true; progress; {
			progress = false
			for i, t := range band {
				node := t.places[site].node
				if node == absent {
					continue
				}
				is := a.sited(t)
				for fit.served[i] < t.waiting() && a.state.JudgeOthers(is, node).OK() {
					a.state.Put(is, node, 1)
					fit.served[i]++
					progress = true
				}
			}
		}
		return false
	})
	if !alike {
		a.price(fit, band)
	}
	for _, n := range fit.served {
		fit.pods += n
	}
	for _, other := range a.targets {
		if other.places != nil && other.waiting() > 0 && !slices.Contains(band, other) && a.closes(band, other, site) {
			fit.closed++
		}
	}
	return fit
}

// closes reports whether a band at a site keeps another target out of it that could go there now.
func (a *siteAssignment) closes(band []*target, other *target, site int) bool {
	node := other.places[site].node
	if node == absent {
		return false
	}
	repels := func(t, o *target) bool {
		return slices.ContainsFunc(t.variant.Repels(), func(c *scheduling.Counter) bool {
			return c.Key() != corev1.LabelHostname && slices.Contains(o.is.RepelledBy(), c)
		})
	}
	return slices.ContainsFunc(band, func(t *target) bool { return repels(t, other) || repels(other, t) }) &&
		a.state.JudgeOthers(a.sited(other), node).OK()
}

package packing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
)

// takenBits are the members of a band that are told apart where offers of sites are compared: as many as an int has bits for.
const takenBits = 32

// price finds out what a band costs at a site, and how much of it the limits let the site serve.
func (a *siteAssignment) price(fit *bandFit, band []*target) {
	a.estimates++
	if a.estimates > bandEstimatesMax*a.sites {
		for i, t := range band {
			fit.price += float64(fit.served[i]) * t.places[fit.site].price
		}
		return
	}
	limits := maps.Clone(a.limits)
	for group, used := range a.used {
		limits[group] = used.of(limits[group])
	}
	waiting := slices.Clone(fit.served)
	clear(fit.served)
	for from := a.from; from < len(a.options); from = a.tierEnd(from) {
		served := 0
		if slices.ContainsFunc(waiting, func(n int) bool { return n > 0 }) {
			served = a.priceTier(fit, band, waiting, from, limits)
		}
		fit.byTier = append(fit.byTier, served)
	}
}

// priceTier solves a small cover of what waits of a band with the site's options of one weight, adds up what that serves
// and costs, and returns how many pods are served.
func (a *siteAssignment) priceTier(fit *bandFit, band []*target, waiting []int, from int, limits map[string]bounds.Limit) int {
	tier := *a.drafting
	tier.options, tier.empties, tier.site, tier.targets = nil, nil, nil, nil
	for i := from; i < a.tierEnd(from); i++ {
		if a.site[i] == fit.site && limits[a.options[i].Group].Allows(a.options[i].Amounts()) {
			tier.options, tier.empties, tier.site = append(tier.options, a.options[i]), append(tier.empties, a.empties[i]), append(tier.site, fit.site)
		}
	}
	if len(tier.options) == 0 {
		return 0
	}
	index := map[*target]int{}
	for i, t := range band {
		if waiting[i] > 0 {
			part := &target{demand: t.demand, variant: t.variant, left: waiting[i], apart: t.apart, whole: t.whole, leads: t.leads, order: t.order}
			index[part] = i
			tier.targets = append(tier.targets, part)
		}
	}
	b := newClassBook(&tier)
	if len(b.cover.Classes) == 0 {
		return 0
	}
	patterns, _ := tier.keepWithin(b, b.cover.SolveGreedily(bandEffort), limits)
	sum := 0
	for _, s := range b.share(patterns, make([]int, len(patterns))) {
		for _, p := range s.parts {
			fit.served[index[s.target]] += p.count
			waiting[index[s.target]] -= p.count
			sum += p.count
		}
	}
	for _, p := range patterns {
		o := tier.options[p.Option]
		fit.price += float64(o.MonthlyPrice)
		limits[o.Group] = limits[o.Group].Less(o.Amounts())
	}
	return sum
}

// sitesAreAlike reports whether all sites that serve a band offer it machines of the same sizes and prices, and no limit
// tells them apart.
func (a *siteAssignment) sitesAreAlike(band []*target) bool {
	if a.twins == nil {
		a.findTwins()
	}
	type offer struct{ twin, taken int }
	offers := make([][]offer, a.sites)
	for i := a.from; i < len(a.options); i++ {
		taken := 0
		for k, t := range band {
			if a.takes(i, t) {
				taken |= 1 << (k % takenBits)
			}
		}
		if taken != 0 {
			offers[a.site[i]] = append(offers[a.site[i]], offer{a.twins[i], taken})
		}
	}
	first := -1
	for site := range offers {
		slices.SortFunc(offers[site], func(x, y offer) int { return cmp.Or(x.twin-y.twin, x.taken-y.taken) })
		switch {
		case len(offers[site]) == 0:
		case first < 0:
			first = site
		case !slices.Equal(offers[first], offers[site]):
			return false
		}
	}
	return true
}

// findTwins numbers options by weight, price and size, and by their group where a limit of it is the site's own.
func (a *siteAssignment) findTwins() {
	sitesOf := map[string]map[int]bool{}
	for i, o := range a.options {
		if sitesOf[o.Group] == nil {
			sitesOf[o.Group] = map[int]bool{}
		}
		sitesOf[o.Group][a.site[i]] = true
	}
	number := map[string]int{}
	for i, o := range a.options {
		key := fmt.Sprint(o.Weight, o.MonthlyPrice, a.empties[i].Free())
		if a.limits[o.Group] != bounds.Unlimited && len(sitesOf[o.Group]) < a.sites {
			key += o.Group
		}
		n, known := number[key]
		if !known {
			n = len(number)
			number[key] = n
		}
		a.twins = append(a.twins, n)
	}
}

package packing

import (
	"maps"
	"slices"
)

const (
	// trialsMax bounds the drafts with which other sites of sets are tried, and trialTargetsMax the shapes of pods that wait
	// where they are.
	trialsMax       = 12
	trialTargetsMax = 64
)

// bandChoice is what was decided for a band.
type bandChoice struct {
	// number is the band's, site the one chosen for it, and sites all that serve some of it.
	number, site int
	sites        []int
	// alike says that all sites offer it the same.
	alike bool
}

// tryOtherSites drafts again with all sets at one site, and then with another site for one set after the other, and returns
// the best draft. A site is chosen by what it offers to a set alone; how well sets share machines there shows in a draft of
// all.
func (k *packer) tryOtherSites(options []*Option, first *draft) *draft {
	best, chosen, trials := first, map[int]int{}, 0
	try := func(sites map[int]int) {
		if trials == trialsMax {
			return
		}
		trials++
		d := k.draftOnce(options, 0, choices{sites: sites})
		if d.servesNoLess(best) && (d.served > best.served || d.cost < best.cost) {
			best, chosen = d, sites
		}
	}
	if len(k.demands) > trialTargetsMax {
		return best
	}
	for _, sites := range commonSites(first.bands) {
		try(sites)
	}
	for _, band := range first.bands {
		for _, site := range band.sites {
			if at, moved := chosen[band.number]; !band.alike && site != band.site && (!moved || at != site) {
				with := maps.Clone(chosen)
				with[band.number] = site
				try(with)
			}
		}
	}
	return best
}

// commonSites are choices of one site for all bands that it serves, where there are several that sites do not serve alike.
func commonSites(bands []bandChoice) []map[int]int {
	at := map[int]map[int]int{}
	several := 0
	for _, band := range bands {
		if band.alike {
			continue
		}
		several++
		for _, site := range band.sites {
			if at[site] == nil {
				at[site] = map[int]int{}
			}
			at[site][band.number] = site
		}
	}
	var out []map[int]int
	for _, site := range slices.Sorted(maps.Keys(at)) {
		if several > 1 {
			out = append(out, at[site])
		}
	}
	return out
}

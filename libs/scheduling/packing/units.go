package packing

import (
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/cover"
)

// followers is a set of targets that share nodes by rule: pods whose affinity asks for others on their node, and those.
// It is packed in units, of which each holds what its pods ask for, so that a machine is chosen for them together.
type followers struct {
	targets []*target
	// pools are, for each target that follows, the indices of those it may follow; nil for one that follows nobody.
	pools [][]int
	// alone says that all of the set must be on one node.
	alone bool
}

// composition is a way to divide a set into units.
type composition struct {
	units  [][]int // by unit and target
	unused []int   // pods that are in no unit
}

// followerSets finds the sets of what waits in which pods can follow others to a new machine.
func (b *classBook) followerSets() []*followers {
	var out []*followers
	for _, targets := range b.linkedTargets(onNode) {
		f := &followers{targets: targets, pools: make([][]int, len(targets))}
		able := true
		for i, t := range targets {
			if !slices.Contains(t.variant.AffinityKeys(), corev1.LabelHostname) {
				continue
			}
			starts := t.variant.MayStart()
			for j, other := range targets {
				if j != i && t.variant.Follows(other.item) {
					f.pools[i] = append(f.pools[i], j)
				}
			}
			if len(f.pools[i]) == 0 && starts {
				f.pools[i], f.alone = []int{i}, true
			}
			able = able && len(f.pools[i]) > 0
		}
		if able {
			out = append(out, f)
		}
	}
	return out
}

// addUnits puts a set into classes, site by site, and notes how many pods of each target that covers.
func (b *classBook) addUnits(f *followers, inUnits map[*target]int) {
	for _, t := range f.targets {
		inUnits[t] = 0
	}
	sites := 1
	if s := f.targets[0].sites; s != nil {
		sites = len(s)
	}
	for site := range sites {
		counts, at := make([]int, len(f.targets)), absent
		for i, t := range f.targets {
			counts[i] = t.left
			if t.sites != nil {
				counts[i], at = t.sites[site], site
			}
		}
		c := b.bestComposition(f, counts, at)
		b.addComposition(f, c, at)
		for i, t := range f.targets {
			inUnits[t] += counts[i]
		}
	}
}

// addComposition adds classes for the units of a composition, as far as machines take them, and for what is in no unit and
// needs none.
func (b *classBook) addComposition(f *followers, c composition, site int) {
	for k := 0; k < len(c.units); {
		n := 1
		for k+n < len(c.units) && slices.Equal(c.units[k+n], c.units[k]) {
			n++
		}
		if unit := b.trimmed(f, f.unit(c.units[k]), site); len(unit) > 0 {
			b.addUnit(unit, site, n)
		}
		k += n
	}
	for i, n := range c.unused {
		if n > 0 && f.pools[i] == nil {
			b.addUnit([]portion{{f.targets[i], 1}}, site, n)
		}
	}
}

func (f *followers) unit(counts []int) []portion {
	var out []portion
	for i, n := range counts {
		if n > 0 {
			out = append(out, portion{f.targets[i], n})
		}
	}
	return out
}

// fitsSome reports whether an empty machine of some option at a site takes a unit.
func (b *classBook) fitsSome(unit []portion, site int) bool {
	needs := b.needsOf(unit)
	for i := range b.options {
		if (site == absent || b.site[i] == site) && b.fitsOne(i, needs, unit) {
			return b.keepsItsRules(unit)
		}
	}
	return false
}

// trimShare is the part, as one in so many, of the most frequent follower that leaves a unit at a time until it fits.
const trimShare = 32

// trimmed is a unit with as many followers less as it takes to fit on a machine.
func (b *classBook) trimmed(f *followers, unit []portion, site int) []portion {
	unit = slices.Clone(unit)
	for !b.fitsSome(unit, site) {
		most := -1
		for k, p := range unit {
			follows := f.pools[slices.Index(f.targets, p.target)] != nil
			if follows && p.count > 0 && (most < 0 || p.count > unit[most].count) {
				most = k
			}
		}
		if most < 0 {
			return nil
		}
		unit[most].count -= max(1, unit[most].count/trimShare)
		if unit[most].count == 0 {
			unit = slices.Delete(unit, most, most+1)
		}
	}
	return unit
}

// bestComposition divides a set into as many units as cost least, by a small cover for each number that could be it.
func (b *classBook) bestComposition(f *followers, counts []int, site int) composition {
	numbers := b.unitNumbers(f, counts, site)
	if len(numbers) == 0 {
		return composition{unused: counts}
	}
	var best composition
	mostServed, leastCost := -1, 0.0
	for _, n := range numbers {
		c, ok := f.compose(counts, n)
		if !ok {
			continue
		}
		served, cost := b.try(f, c, site)
		if served > mostServed || served == mostServed && cost < leastCost {
			best, mostServed, leastCost = c, served, cost
		}
	}
	if mostServed < 0 {
		return composition{unused: counts}
	}
	return best
}

// try covers a composition by itself, and returns how many pods that serves and what it costs.
func (b *classBook) try(f *followers, c composition, site int) (served int, cost float64) {
	trial := b.blank()
	trial.addComposition(f, c, site)
	if len(trial.cover.Classes) == 0 {
		return 0, 0
	}
	trial.makeFoes()
	for _, members := range trial.members {
		for _, m := range members {
			for _, p := range m.unit {
				served += p.count * m.count
			}
		}
	}
	return served, trial.cover.Cost(trial.cover.SolveGreedily(bandEffort))
}

// blank is a book of the same drafting without classes.
func (b *classBook) blank() *classBook {
	out := *b
	out.cover = &cover.Problem{Options: b.cover.Options}
	out.members, out.priority, out.weight, out.roles = nil, nil, nil, nil
	out.number, out.capNumber = map[string]int{}, map[string]int32{}
	return &out
}

// unitNumbers are the numbers of units that are worth a try, the largest first: one for each follower's leader, halves of
// that, and for each size of machines the least with which it takes a unit.
func (b *classBook) unitNumbers(f *followers, counts []int, site int) []int {
	most, follow := math.MaxInt32, 0
	for i, pool := range f.pools {
		if pool == nil || counts[i] == 0 {
			continue
		}
		follow = max(follow, counts[i])
		leaders := 0
		for _, j := range pool {
			leaders += counts[j]
		}
		if f.alone {
			leaders = 1
		}
		most = min(most, leaders)
	}
	most = min(most, follow)
	if most <= 0 {
		return nil
	}
	var numbers []int
	for n := most; n > 0; n /= 2 {
		numbers = append(numbers, n)
	}
	for i := range b.options {
		if site != absent && b.site[i] != site {
			continue
		}
		lo, hi := 1, most+1
		for lo < hi {
			n := (lo + hi) / 2
			c, ok := f.compose(counts, n)
			if ok && b.fitsOne(i, b.needsOf(f.unit(c.units[0])), f.unit(c.units[0])) {
				hi = n
			} else {
				lo = n + 1
			}
		}
		if lo <= most {
			numbers = append(numbers, lo)
		}
	}
	slices.SortFunc(numbers, func(x, y int) int { return y - x })
	return slices.Compact(numbers)
}

// compose divides a set into so many units: followers evenly, and with each the leaders that it asks for.
func (f *followers) compose(counts []int, n int) (composition, bool) {
	c := composition{units: make([][]int, n), unused: slices.Clone(counts)}
	for u := range c.units {
		c.units[u] = make([]int, len(counts))
		for i, pool := range f.pools {
			if pool == nil {
				continue
			}
			c.units[u][i] = counts[i] / n
			if u < counts[i]%n {
				c.units[u][i]++
			}
			c.unused[i] -= c.units[u][i]
		}
	}
	for u := range c.units {
		for i, pool := range f.pools {
			if pool == nil || c.units[u][i] == 0 || slices.ContainsFunc(pool, func(j int) bool { return c.units[u][j] > 0 }) {
				continue
			}
			j := slices.IndexFunc(pool, func(j int) bool { return c.unused[j] > 0 })
			if j < 0 {
				return composition{}, false
			}
			c.units[u][pool[j]]++
			c.unused[pool[j]]--
		}
	}
	return c, true
}

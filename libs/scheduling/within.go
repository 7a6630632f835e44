package scheduling

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

const (
	// stagesMax bounds how often what one group's limit leaves unserved is planned on what is still allowed.
	stagesMax = 4
)

// surcharges make each node dearer by a share of the dearest option, until the last counts hardly anything but nodes.
var surcharges = []float64{0.01, 0.05, 0.5, 100}

// solveWithin solves the cover within the limits. Where the cheapest plan goes over them, two others are made: one
// keeps what is allowed of it and serves the rest with what remains allowed, the other makes every node dearer so
// that larger ones, of which fewer are needed, are worth their price. The cheaper that serves all counts. When
// neither does, what the limits allow is returned, the highest priorities first, and false.
func (d *drafting) solveWithin(b *classBook) ([]pattern, bool) {
	d.cut(b.cover)
	cheapest := d.solve(b.cover, d.Effort)
	kept, all := d.keepWithin(b, cheapest, d.limits)
	if all {
		return cheapest, true
	}
	staged, served := d.solveInStages(b, kept)
	fewer, fits := d.solveWithFewer(b)
	switch {
	case served && (!fits || d.price(staged) <= d.price(fewer)):
		return staged, true
	case fits:
		return fewer, true
	}
	kept, _ = d.keepWithin(b, fewer, d.limits)
	return kept, false
}

func (d *drafting) solve(c *cover, effort int) []pattern {
	own, option := d.withoutTwins(c)
	given := max(min(effort, d.left), effortLeast)
	own.effort = given
	solution := own.solve()
	d.left -= given - own.effort
	for i := range solution {
		solution[i].option = option[solution[i].option]
	}
	return solution
}

// withoutTwins is a cover with one of each set of options that differ in nothing that it or a limit looks at, such as those
// of several zones where no rule speaks of zones, and the whole's name of each.
func (d *drafting) withoutTwins(c *cover) (own *cover, option []int) {
	own = &cover{caps: c.caps, classes: slices.Clone(c.classes)}
	known := map[string]bool{}
	var key []byte
	for o := range c.options {
		m := &c.options[o]
		key = binary.AppendUvarint(key[:0], math.Float64bits(m.cost))
		for _, amount := range m.free {
			key = binary.AppendVarint(key, amount)
		}
		for i := range c.classes {
			key = append(key, byte(btoi(c.classes[i].fits[o])))
		}
		if group := d.options[o].Group; d.limits[group] != Unlimited {
			key = append(key, group...)
		}
		if !known[string(key)] {
			known[string(key)] = true
			own.options, option = append(own.options, *m), append(option, o)
		}
	}
	for i := range own.classes {
		fits := make([]bool, len(option))
		for k, o := range option {
			fits[k] = c.classes[i].fits[o]
		}
		own.classes[i].fits = fits
	}
	return own, option
}

// cut leaves of each class no more pods than the limits could serve if nothing else was served, so that a search is not
// spent on what cannot be bought.
func (d *drafting) cut(c *cover) {
	for i := range c.classes {
		class := &c.classes[i]
		most := map[string]int64{} // by group
		for o := range c.options {
			option := d.options[o]
			if !class.fits[o] {
				continue
			}
			nodes := d.limits[option.Group].machines(option)
			if nodes < 0 {
				most = nil
				break
			}
			most[option.Group] = max(most[option.Group], nodes*int64(c.perMachine(int32(i), o)))
		}
		if most == nil {
			continue
		}
		sum := int64(0)
		for _, n := range most {
			sum += n
		}
		class.count = int32(min(int64(class.count), sum))
	}
}

func (d *drafting) price(patterns []pattern) float64 {
	sum := 0.0
	for i := range patterns {
		sum += float64(d.options[patterns[i].option].MonthlyPrice)
	}
	return sum
}

// solveInStages serves what the kept patterns leave with what the limits still allow, and reports whether that is all.
func (d *drafting) solveInStages(b *classBook, kept []pattern) ([]pattern, bool) {
	solution := slices.Clone(kept)
	for range stagesMax {
		limits := maps.Clone(d.limits)
		for i := range solution {
			o := d.options[solution[i].option]
			limits[o.Group] = limits[o.Group].Less(o)
		}
		c, complete := d.rest(b.cover, solution, limits)
		if len(c.classes) == 0 {
			return solution, complete
		}
		more, _ := d.keepWithin(b, c.named(c.solve()), limits)
		if len(more) == 0 {
			return solution, false
		}
		solution = append(solution, more...)
	}
	return solution, false
}

// restCover is the part of a cover that is not served yet; class maps its classes to the whole's.
type restCover struct {
	*cover
	class []int32
}

// rest is what a solution leaves of a cover, on the options that limits still allow; complete is false when some of
// it fits none of them.
func (d *drafting) rest(whole *cover, solution []pattern, limits map[string]Limit) (out restCover, complete bool) {
	served := make([]int32, len(whole.classes))
	for i := range solution {
		for k, class := range solution[i].classes {
			served[class] += solution[i].counts[k]
		}
	}
	out.cover = &cover{options: whole.options, caps: whole.caps, effort: d.Effort / 4}
	number := map[int32]int32{}
	complete = true
	for i := range whole.classes {
		c := whole.classes[i]
		if c.count -= served[i]; c.count <= 0 {
			continue
		}
		fits, some := make([]bool, len(c.fits)), false
		for o := range fits {
			fits[o] = c.fits[o] && limits[d.options[o].Group].Allows(d.options[o])
			some = some || fits[o]
		}
		if c.fits = fits; !some {
			complete = false
			continue
		}
		number[int32(i)] = int32(len(out.classes))
		out.class = append(out.class, int32(i))
		out.classes = append(out.classes, c)
	}
	for i := range out.classes {
		var foes []int32
		for _, foe := range out.classes[i].foes {
			if n, there := number[foe]; there {
				foes = append(foes, n)
			}
		}
		out.classes[i].foes = foes
	}
	return out, complete
}

// named gives patterns of the rest the whole's names of classes.
func (r restCover) named(patterns []pattern) []pattern {
	out := make([]pattern, len(patterns))
	for i := range patterns {
		out[i] = named(&patterns[i], r.class)
	}
	return out
}

// solveWithFewer makes nodes of groups that would have too many dearer until they have not; it reports whether that
// came about, and returns the last plan in any case.
func (d *drafting) solveWithFewer(b *classBook) ([]pattern, bool) {
	dearest := slices.MaxFunc(d.options, func(a, b *Option) int { return cmp.Compare(a.MonthlyPrice, b.MonthlyPrice) }).MonthlyPrice
	over := map[string]bool{}
	var patterns []pattern
	for _, share := range surcharges {
		for _, group := range d.overNodes(patterns) {
			over[group] = true
		}
		c := *b.cover
		c.options = slices.Clone(c.options)
		for i := range c.options {
			if over[d.options[i].Group] || patterns == nil {
				c.options[i].cost += share * float64(dearest)
			}
		}
		patterns = d.solve(&c, d.Effort/3)
		if _, all := d.keepWithin(b, patterns, d.limits); all {
			return patterns, true
		}
	}
	return patterns, false
}

// overNodes are the groups of which patterns use more nodes than their limit.
func (d *drafting) overNodes(patterns []pattern) []string {
	used := map[string]int{}
	for _, p := range patterns {
		used[d.options[p.option].Group]++
	}
	var over []string
	for _, group := range slices.Sorted(maps.Keys(used)) {
		if limit := d.limits[group]; limit.Nodes >= 0 && used[group] > limit.Nodes {
			over = append(over, group)
		}
	}
	return over
}

// keepWithin drops the patterns that limits leave no room for, those of the lowest priority first and of equals
// those that serve least. It reports whether it kept all.
func (d *drafting) keepWithin(b *classBook, patterns []pattern, limits map[string]Limit) ([]pattern, bool) {
	limits = maps.Clone(limits)
	ordered := slices.Clone(patterns)
	slices.SortStableFunc(ordered, func(x, y pattern) int {
		px, wx := b.rank(&x)
		py, wy := b.rank(&y)
		return cmp.Or(cmp.Compare(py, px), cmp.Compare(wy, wx))
	})
	var kept []pattern
	for _, p := range ordered {
		o := d.options[p.option]
		if limits[o.Group].Allows(o) {
			limits[o.Group] = limits[o.Group].Less(o)
			kept = append(kept, p)
		}
	}
	return kept, len(kept) == len(patterns)
}

package packing

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/cover"
)

const (
	// stagesMax bounds how often what one group's limit leaves unserved is planned on what is still allowed.
	stagesMax = 4
	// stageShare and surchargeShare are the parts of the effort, as one in so many, that a stage and a plan with dearer nodes get.
	stageShare, surchargeShare = 4, 3
)

// surcharges make each node dearer by a share of the dearest option, until the last counts hardly anything but nodes.
var surcharges = []float64{0.01, 0.05, 0.5, 100}

// solveWithin solves the cover within the limits. Where the cheapest plan goes over them, two others are made: one
// keeps what is allowed of it and serves the rest with what remains allowed, the other makes every node dearer so
// that larger ones, of which fewer are needed, are worth their price. The cheaper that serves all counts. When
// neither does, what the limits allow is returned, the highest priorities first, and false.
func (d *drafting) solveWithin(b *classBook) ([]cover.Pattern, bool) {
	d.cut(b.cover)
	cheapest := d.solve(b.cover, d.effort)
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

func (d *drafting) solve(c *cover.Problem, effort int) []cover.Pattern {
	own, option := d.withoutTwins(c)
	given := max(min(effort, d.left), effortLeast)
	solution, spent := own.Solve(given)
	d.left -= spent
	for i := range solution {
		solution[i].Option = option[solution[i].Option]
	}
	return solution
}

// withoutTwins is a cover with one of each set of options that differ in nothing that it or a limit looks at, such as those
// of several zones where no rule speaks of zones, and the whole's name of each.
func (d *drafting) withoutTwins(c *cover.Problem) (own *cover.Problem, option []int) {
	own = &cover.Problem{Caps: c.Caps, Classes: slices.Clone(c.Classes)}
	known := map[string]bool{}
	var key []byte
	for o := range c.Options {
		m := &c.Options[o]
		key = binary.AppendUvarint(key[:0], math.Float64bits(m.Cost))
		for _, amount := range m.Free {
			key = binary.AppendVarint(key, amount)
		}
		for i := range c.Classes {
			key = append(key, byte(btoi(c.Classes[i].Fits[o])))
		}
		if group := d.options[o].Group; d.limits[group] != bounds.Unlimited {
			key = append(key, group...)
		}
		if !known[string(key)] {
			known[string(key)] = true
			own.Options, option = append(own.Options, *m), append(option, o)
		}
	}
	for i := range own.Classes {
		fits := make([]bool, len(option))
		for k, o := range option {
			fits[k] = c.Classes[i].Fits[o]
		}
		own.Classes[i].Fits = fits
	}
	return own, option
}

// cut leaves of each class no more pods than the limits could serve if nothing else was served, so that a search is not
// spent on what cannot be launched.
func (d *drafting) cut(c *cover.Problem) {
	for i := range c.Classes {
		class := &c.Classes[i]
		most := map[string]int64{} // by group
		for o := range c.Options {
			option := d.options[o]
			if !class.Fits[o] {
				continue
			}
			nodes := d.limits[option.Group].Times(option.Amounts())
			if nodes < 0 {
				most = nil
				break
			}
			most[option.Group] = max(most[option.Group], nodes*int64(c.PerMachine(int32(i), o)))
		}
		if most == nil {
			continue
		}
		sum := int64(0)
		for _, n := range most {
			sum += n
		}
		class.Count = int32(min(int64(class.Count), sum))
	}
}

func (d *drafting) price(patterns []cover.Pattern) float64 {
	sum := 0.0
	for i := range patterns {
		sum += float64(d.options[patterns[i].Option].MonthlyPrice)
	}
	return sum
}

// solveInStages serves what the kept patterns leave with what the limits still allow, and reports whether that is all.
func (d *drafting) solveInStages(b *classBook, kept []cover.Pattern) ([]cover.Pattern, bool) {
	solution := slices.Clone(kept)
	for range stagesMax {
		limits := maps.Clone(d.limits)
		for i := range solution {
			o := d.options[solution[i].Option]
			limits[o.Group] = limits[o.Group].Less(o.Amounts())
		}
		c, complete := d.rest(b.cover, solution, limits)
		if len(c.Classes) == 0 {
			return solution, complete
		}
		solved, _ := c.Solve(d.effort / stageShare)
		more, _ := d.keepWithin(b, c.named(solved), limits)
		if len(more) == 0 {
			return solution, false
		}
		solution = append(solution, more...)
	}
	return solution, false
}

// restCover is the part of a cover that is not served yet; class maps its classes to the whole's.
type restCover struct {
	*cover.Problem
	class []int32
}

// rest is what a solution leaves of a cover, on the options that limits still allow; complete is false when some of
// it fits none of them.
func (d *drafting) rest(whole *cover.Problem, solution []cover.Pattern, limits map[string]bounds.Limit) (out restCover, complete bool) {
	served := make([]int32, len(whole.Classes))
	for i := range solution {
		for k, class := range solution[i].Classes {
			served[class] += solution[i].Counts[k]
		}
	}
	out.Problem = &cover.Problem{Options: whole.Options, Caps: whole.Caps}
	number := map[int32]int32{}
	complete = true
	for i := range whole.Classes {
		c := whole.Classes[i]
		if c.Count -= served[i]; c.Count <= 0 {
			continue
		}
		fits, some := make([]bool, len(c.Fits)), false
		for o := range fits {
			fits[o] = c.Fits[o] && limits[d.options[o].Group].Allows(d.options[o].Amounts())
			some = some || fits[o]
		}
		if c.Fits = fits; !some {
			complete = false
			continue
		}
		number[int32(i)] = int32(len(out.Classes))
		out.class = append(out.class, int32(i))
		out.Classes = append(out.Classes, c)
	}
	for i := range out.Classes {
		var foes []int32
		for _, foe := range out.Classes[i].Conflicts {
			if n, there := number[foe]; there {
				foes = append(foes, n)
			}
		}
		out.Classes[i].Conflicts = foes
	}
	return out, complete
}

// named gives patterns of the rest the whole's names of classes.
func (r restCover) named(patterns []cover.Pattern) []cover.Pattern {
	out := make([]cover.Pattern, len(patterns))
	for i := range patterns {
		out[i] = patterns[i].Renamed(r.class)
	}
	return out
}

// solveWithFewer makes nodes of groups that would have too many dearer until they have not; it reports whether that
// came about, and returns the last plan in any case.
func (d *drafting) solveWithFewer(b *classBook) ([]cover.Pattern, bool) {
	dearest := slices.MaxFunc(d.options, func(a, b *Option) int { return cmp.Compare(a.MonthlyPrice, b.MonthlyPrice) }).MonthlyPrice
	over := map[string]bool{}
	var patterns []cover.Pattern
	for _, share := range surcharges {
		for _, group := range d.overNodes(patterns) {
			over[group] = true
		}
		c := *b.cover
		c.Options = slices.Clone(c.Options)
		for i := range c.Options {
			if over[d.options[i].Group] || patterns == nil {
				c.Options[i].Cost += share * float64(dearest)
			}
		}
		patterns = d.solve(&c, d.effort/surchargeShare)
		if _, all := d.keepWithin(b, patterns, d.limits); all {
			return patterns, true
		}
	}
	return patterns, false
}

// overNodes are the groups of which patterns use more nodes than their limit.
func (d *drafting) overNodes(patterns []cover.Pattern) []string {
	used := map[string]int64{}
	for _, p := range patterns {
		used[d.options[p.Option].Group]++
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
func (d *drafting) keepWithin(b *classBook, patterns []cover.Pattern, limits map[string]bounds.Limit) ([]cover.Pattern, bool) {
	limits = maps.Clone(limits)
	ordered := slices.Clone(patterns)
	slices.SortStableFunc(ordered, func(x, y cover.Pattern) int {
		px, wx := b.rank(&x)
		py, wy := b.rank(&y)
		return cmp.Or(cmp.Compare(py, px), cmp.Compare(wy, wx))
	})
	var kept []cover.Pattern
	for _, p := range ordered {
		o := d.options[p.Option]
		if limits[o.Group].Allows(o.Amounts()) {
			limits[o.Group] = limits[o.Group].Less(o.Amounts())
			kept = append(kept, p)
		}
	}
	return kept, len(kept) == len(patterns)
}

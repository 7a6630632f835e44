package cover

import (
	"cmp"
	"slices"
)

const (
	// mergeTries bounds the machines that are tried to be done without.
	mergeTries = 48
	// mergeTargets bounds the machines that one item is tried on.
	mergeTargets = 400
	// mergeSteps bounds the larger options that are tried for a machine that takes one more item.
	mergeSteps = 4
	// mergeEffort is what it may spend beyond the effort, since it mostly wins something.
	mergeEffort = 1_000_000
	// holdEffort is what it costs to find out whether a machine takes one more item.
	holdEffort = 4
)

// merge does without machines whose items fit on others, or on larger ones in the place of others that cost no
// more together. The machines that are worth least for their cost are tried first.
func (c *search) merge(solution []Pattern) []Pattern {
	larger := c.byKind()
	slices.SortStableFunc(solution, func(a, b Pattern) int { return cmp.Compare(c.waste(&b), c.waste(&a)) })
	for try, k := 0, 0; try < mergeTries && k < len(solution) && c.effort > -mergeEffort; try++ {
		rest := slices.Delete(slices.Clone(solution), k, k+1)
		if c.moveAll(&solution[k], rest, larger) {
			solution = rest
		} else {
			k++
		}
	}
	return solution
}

// waste is the share of a machine's cost that its items are not worth.
func (c *search) waste(p *Pattern) float64 {
	worth := 0.0
	for k, i := range p.Classes {
		worth += c.price(i) * float64(p.Counts[k])
	}
	return 1 - worth/c.Options[p.Option].Cost
}

// byKind lists the options of each kind by cost.
func (c *search) byKind() map[int][]int {
	out := map[int][]int{}
	for o := range c.Options {
		out[c.Options[o].Kind] = append(out[c.Options[o].Kind], o)
	}
	for _, options := range out {
		slices.SortFunc(options, func(a, b int) int {
			return cmp.Or(cmp.Compare(c.Options[a].Cost, c.Options[b].Cost), cmp.Compare(a, b))
		})
	}
	return out
}

// moveAll moves a machine's items to the others one by one, each to where that costs least, and reports whether
// that costs no more than the machine. The others are changed only then.
func (c *search) moveAll(gone *Pattern, others []Pattern, larger map[int][]int) bool {
	budget := c.Options[gone.Option].Cost
	changed := map[int]Pattern{}
	for k, i := range gone.Classes {
		for range gone.Counts[k] {
			best, bestCost, bestOption := -1, budget+epsilon, 0
			for x := range others[:min(len(others), mergeTargets)] {
				p, moved := changed[x]
				if !moved {
					p = others[x]
				}
				option, ok := c.withOne(&p, i, larger[c.Options[p.Option].Kind])
				if cost := c.Options[option].Cost - c.Options[p.Option].Cost; ok && cost < bestCost {
					best, bestCost, bestOption = x, cost, option
					if cost == 0 {
						break
					}
				}
			}
			if best < 0 {
				return false
			}
			budget -= bestCost
			p, moved := changed[best]
			if !moved {
				p = others[best]
			}
			changed[best] = p.plus(i, bestOption)
		}
	}
	for x, p := range changed {
		others[x] = p
	}
	return true
}

// withOne is the cheapest option that holds a pattern with one more item of a class.
func (c *search) withOne(p *Pattern, class int32, options []int) (int, bool) {
	c.effort -= holdEffort
	if !c.Classes[class].Fits[p.Option] || !c.mixes(p, class) {
		return p.Option, false
	}
	if c.holdsOneMore(p.Option, p, class) {
		return p.Option, true
	}
	tried := 0
	for _, o := range options {
		if c.Options[o].Cost <= c.Options[p.Option].Cost {
			continue
		}
		if c.holdsOneMore(o, p, class) {
			return o, true
		}
		if tried++; tried == mergeSteps {
			break
		}
	}
	return p.Option, false
}

// holdsOneMore reports whether a machine of an option takes a pattern and one more item of a class.
func (c *search) holdsOneMore(o int, p *Pattern, class int32) bool {
	if !c.Classes[class].Fits[o] || !c.holds(o, p) {
		return false
	}
	for d, have := range c.Options[o].Free {
		have -= c.Classes[class].Needs[d]
		for k, i := range p.Classes {
			have -= c.Classes[i].Needs[d] * int64(p.Counts[k])
		}
		if have < 0 {
			return false
		}
	}
	return true
}

// plus is a pattern with one more item of a class, on an option.
func (p *Pattern) plus(class int32, option int) Pattern {
	out := Pattern{option, slices.Clone(p.Classes), slices.Clone(p.Counts)}
	if at, found := slices.BinarySearch(out.Classes, class); found {
		out.Counts[at]++
	} else {
		out.Classes, out.Counts = slices.Insert(out.Classes, at, class), slices.Insert(out.Counts, at, 1)
	}
	return out
}

// mixes reports whether a pattern's caps and foes allow one more item of a class.
func (c *search) mixes(p *Pattern, class int32) bool {
	for _, foe := range c.Classes[class].Conflicts {
		if _, found := slices.BinarySearch(p.Classes, foe); found {
			return false
		}
	}
	for _, g := range c.Classes[class].Caps {
		have := int32(0)
		for k, i := range p.Classes {
			if slices.Contains(c.Classes[i].Caps, g) {
				have += p.Counts[k]
			}
		}
		if have >= c.Caps[g] {
			return false
		}
	}
	return true
}

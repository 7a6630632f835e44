package scheduling

import (
	"cmp"
	"slices"
)

const (
	// mergeTries bounds the machines that are tried to be done without.
	mergeTries = 48
	// mergeTargets bounds the machines that one pod is tried on.
	mergeTargets = 400
	// mergeSteps bounds the larger options that are tried for a machine that takes one more pod.
	mergeSteps = 4
)

// merge does without machines whose pods fit on others, or on larger ones in the place of others that cost no
// more together. The machines that are worth least for their cost are tried first.
func (c *cover) merge(solution []pattern) []pattern {
	larger := c.byKind()
	slices.SortStableFunc(solution, func(a, b pattern) int { return cmp.Compare(c.waste(&b), c.waste(&a)) })
	for try, k := 0, 0; try < mergeTries && k < len(solution) && c.effort > -1_000_000; try++ {
		rest := slices.Delete(slices.Clone(solution), k, k+1)
		if c.moveAll(&solution[k], rest, larger) {
			solution = rest
		} else {
			k++
		}
	}
	return solution
}

// waste is the share of a machine's cost that its pods are not worth.
func (c *cover) waste(p *pattern) float64 {
	worth := 0.0
	for k, i := range p.classes {
		worth += c.price(i) * float64(p.counts[k])
	}
	return 1 - worth/c.options[p.option].cost
}

// byKind lists the options of each kind by cost.
func (c *cover) byKind() map[int][]int {
	out := map[int][]int{}
	for o := range c.options {
		out[c.options[o].kind] = append(out[c.options[o].kind], o)
	}
	for _, options := range out {
		slices.SortFunc(options, func(a, b int) int {
			return cmp.Or(cmp.Compare(c.options[a].cost, c.options[b].cost), cmp.Compare(a, b))
		})
	}
	return out
}

// moveAll moves a machine's pods to the others one by one, each to where that costs least, and reports whether
// that costs no more than the machine. The others are changed only then.
func (c *cover) moveAll(gone *pattern, others []pattern, larger map[int][]int) bool {
	budget := c.options[gone.option].cost
	changed := map[int]pattern{}
	for k, i := range gone.classes {
		for range gone.counts[k] {
			best, bestCost, bestOption := -1, budget+epsilon, 0
			for x := range others[:min(len(others), mergeTargets)] {
				p, moved := changed[x]
				if !moved {
					p = others[x]
				}
				option, ok := c.withOne(&p, i, larger[c.options[p.option].kind])
				if cost := c.options[option].cost - c.options[p.option].cost; ok && cost < bestCost {
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

// withOne is the cheapest option that holds a pattern with one more pod of a class.
func (c *cover) withOne(p *pattern, class int32, options []int) (int, bool) {
	c.effort -= 4
	if !c.classes[class].fits[p.option] || !c.mixes(p, class) {
		return p.option, false
	}
	if c.holdsOneMore(p.option, p, class) {
		return p.option, true
	}
	tried := 0
	for _, o := range options {
		if c.options[o].cost <= c.options[p.option].cost {
			continue
		}
		if c.holdsOneMore(o, p, class) {
			return o, true
		}
		if tried++; tried == mergeSteps {
			break
		}
	}
	return p.option, false
}

// holdsOneMore reports whether a machine of an option takes a pattern and one more pod of a class.
func (c *cover) holdsOneMore(o int, p *pattern, class int32) bool {
	if !c.classes[class].fits[o] || !c.holds(o, p) {
		return false
	}
	for d, have := range c.options[o].free {
		have -= c.classes[class].needs[d]
		for k, i := range p.classes {
			have -= c.classes[i].needs[d] * int64(p.counts[k])
		}
		if have < 0 {
			return false
		}
	}
	return true
}

// plus is a pattern with one more pod of a class, on an option.
func (p *pattern) plus(class int32, option int) pattern {
	out := pattern{option, slices.Clone(p.classes), slices.Clone(p.counts)}
	if at, found := slices.BinarySearch(out.classes, class); found {
		out.counts[at]++
	} else {
		out.classes, out.counts = slices.Insert(out.classes, at, class), slices.Insert(out.counts, at, 1)
	}
	return out
}

// mixes reports whether a pattern's caps and foes allow one more pod of a class.
func (c *cover) mixes(p *pattern, class int32) bool {
	for _, foe := range c.classes[class].foes {
		if _, found := slices.BinarySearch(p.classes, foe); found {
			return false
		}
	}
	for _, g := range c.classes[class].caps {
		have := int32(0)
		for k, i := range p.classes {
			if slices.Contains(c.classes[i].caps, g) {
				have += p.counts[k]
			}
		}
		if have >= c.caps[g] {
			return false
		}
	}
	return true
}

package cover

import (
	"cmp"
	"slices"
)

const (
	// repairsMax bounds the rounds in which the worst machines of a solution are taken apart.
	repairsMax = 80
	// repairSize is how many machines are taken apart at a time, and repairSizeMax how many where that wins nothing more.
	repairSize, repairSizeMax = 7, 28
	// closeToBound is how close to the relaxation's cost a solution must be for that: what is lost then lies with a machine or
	// two, and not with rules.
	closeToBound = 1.015
	// rounding is the share of a cost by which two must differ to be told apart.
	rounding = 1e-9
)

// repair takes the machines apart that cost most for what their items could cost, a few at a time and then more, and keeps
// what is cheaper, until nothing is won or the effort is spent.
func (c *search) repair(f *pricer, solution []Pattern) []Pattern {
	for size, start, round := repairSize, 0, 0; round < repairsMax && c.effort > 0 && len(solution) > 1; round++ {
		slices.SortStableFunc(solution, func(a, b Pattern) int { return cmp.Compare(c.waste(&b), c.waste(&a)) })
		if start >= len(solution) {
			if size *= 2; size > repairSizeMax || size/2 >= len(solution) || c.Cost(solution) > c.relaxed*closeToBound {
				break
			}
			start = 0
		}
		// The window: the most wasteful machine from start on, and those that follow.
		picked, rest := window(solution, start, size)
		left := make([]int32, len(c.Classes))
		for _, p := range picked {
			for k, i := range p.Classes {
				left[i] += p.Counts[k]
			}
		}
		again, _ := c.dive(f, left, picked)
		c.shrink(again)
		if c.Cost(again) < c.Cost(picked)*(1-rounding) {
			solution = append(rest, again...)
			start = 0
			continue
		}
		start += size/2 - 1 + size%2 // a little less than half a window, so that windows overlap
	}
	return solution
}

func window(solution []Pattern, start, size int) (picked, rest []Pattern) {
	for k := range solution {
		if k >= start && len(picked) < size {
			picked = append(picked, solution[k])
		} else {
			rest = append(rest, solution[k])
		}
	}
	return picked, rest
}

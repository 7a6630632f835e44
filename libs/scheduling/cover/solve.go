package cover

import (
	"cmp"
	"slices"
)

const (
	// rowsMax are the classes up to which a relaxation of the whole is worth its effort.
	rowsMax = 140
	// fewerNodes is a surcharge on each machine, as a share of the cheapest, that leads the second dive to fewer machines. Of
	// mixes that cost the same in the relaxation, those of fewer machines often lose less when they are made whole.
	fewerNodes = 0.15
	// secondDive is the part of the effort, as one in so many, that must be left for a second dive; less is better spent on
	// repair.
	secondDive = 3
)

// solve returns the machines of a cheap cover: column generation, then diving (fixing the patterns that the
// relaxation uses most, and solving what is left), then taking apart the machines that are worth least.
// Classes that no option fits must not be in the problem.
func (c *search) solve() []Pattern {
	f := newPricer(c)
	var best []Pattern
	if len(c.Classes) > rowsMax {
		plain := c.Options
		c.Options = c.dearer(fewerNodes)
		best = c.correct(f, c.demand())
		c.Options = plain
		c.shrink(best)
	} else {
		best = c.diveTwice(f)
	}
	return c.merge(c.repair(f, best))
}

// dearer are the options with a surcharge on each, as a share of the cheapest.
func (c *search) dearer(share float64) []Option {
	options := slices.Clone(c.Options)
	least := slices.MinFunc(options, func(a, b Option) int { return cmp.Compare(a.Cost, b.Cost) }).Cost
	for o := range options {
		options[o].Cost += share * least
	}
	return options
}

// diveTwice dives with the costs as they are and then with a preference for fewer nodes, and returns what is cheaper.
func (c *search) diveTwice(f *pricer) []Pattern {
	plain, options := c.Options, c.dearer(fewerNodes)
	var best, pool []Pattern
	var prices []float64
	least := c.effort / secondDive
	for _, costs := range [][]Option{plain, options} {
		if best != nil && c.effort < least {
			break
		}
		c.Options, c.prices = costs, nil
		var solution []Pattern
		solution, pool = c.dive(f, c.demand(), pool)
		c.Options = plain
		c.shrink(solution)
		if best == nil || c.Cost(solution) < c.Cost(best) {
			best, prices = solution, c.prices
		}
	}
	c.prices = prices
	return best
}

// shrink exchanges each machine for the cheapest that holds the same items.
func (c *search) shrink(solution []Pattern) {
	order := make([]int, len(c.Options))
	for o := range order {
		order[o] = o
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.Options[a].Cost, c.Options[b].Cost), cmp.Compare(a, b))
	})
	for k := range solution {
		p := &solution[k]
		for _, o := range order {
			if c.Options[o].Cost >= c.Options[p.Option].Cost {
				break
			}
			if c.holds(o, p) {
				p.Option = o
				break
			}
		}
	}
}

package cover

import (
	"math"
	"slices"
)

// Problem is to cover classes of items by machines at the lowest cost: bin packing with bins of several sizes and prices,
// vectors for sizes, cardinality bounds and conflicts. Solve does not change it, so one may be solved by several at a time.
type Problem struct {
	Classes []Class
	Options []Option
	// Caps bound the items of each group of classes on one machine.
	Caps []int32
}

// Class is items that nothing in the problem tells apart.
type Class struct {
	// Needs are what one item takes of each resource, in the units and the order of Option.Free.
	Needs []int64
	// Count is how many items there are.
	Count int32
	// Caps are the groups, by their index in Problem.Caps, that bound the class.
	Caps []int32
	// Conflicts are the classes that share no machine with it; each of two that conflict names the other.
	Conflicts []int32
	// Fits says of each option whether it takes one item. A class that no option fits must not be in the problem.
	Fits []bool
}

// Option is a kind of machine, of which there are as many as it takes.
type Option struct {
	// Free is what one has of each resource.
	Free []int64
	// Cost is what one costs, more than zero, in whatever unit all costs are in.
	Cost float64
	// Kind tells options apart that serve different classes whatever their size.
	Kind int
}

// Pattern is one way to fill a machine of an option: how many items of which classes. In the linear program it is a column.
type Pattern struct {
	Option int
	// Classes are in ascending order, and Counts, all of them above zero, belong to them.
	Classes, Counts []int32
}

// Solve returns the machines of a cheap solution, each with the items on it. Every item is on one of them.
//
// It searches for as long as effort lasts, in steps of some 20 ns, and returns how much of that it spent, which may be a
// little more; what is not solved by then is filled greedily. It is no time, so that the same problem always has the same
// solution.
func (p *Problem) Solve(effort int) (solution []Pattern, spent int) {
	c := &search{Problem: *p, effort: effort}
	return c.solve(), effort - c.effort
}

// SolveGreedily is Solve by value correction alone, without column generation and repair: a solution that is good enough to
// compare problems with.
func (p *Problem) SolveGreedily(effort int) []Pattern {
	c := &search{Problem: *p, effort: effort}
	return c.correct(newPricer(c), c.demand())
}

// Cost is what the machines of a solution cost together.
func (p *Problem) Cost(solution []Pattern) float64 {
	sum := 0.0
	for k := range solution {
		sum += p.Options[solution[k].Option].Cost
	}
	return sum
}

// PerMachine is how many items of a class an empty machine of an option takes, as far as resources and caps say.
func (p *Problem) PerMachine(class int32, option int) int32 {
	n := int64(math.MaxInt32)
	for d, need := range p.Classes[class].Needs {
		if need > 0 {
			n = min(n, p.Options[option].Free[d]/need)
		}
	}
	for _, g := range p.Classes[class].Caps {
		n = min(n, int64(p.Caps[g]))
	}
	return int32(n)
}

// Renamed is the pattern with another name for each class: names of rows become those of classes, or names in a part of a
// problem those in the whole.
func (p *Pattern) Renamed(names []int32) Pattern {
	out := Pattern{p.Option, make([]int32, len(p.Classes)), slices.Clone(p.Counts)}
	for k, r := range p.Classes {
		out.Classes[k] = names[r]
	}
	return out
}

// holds reports whether a machine of an option has the room for a pattern and takes its classes.
func (p *Problem) holds(option int, pattern *Pattern) bool {
	for d, have := range p.Options[option].Free {
		for k, i := range pattern.Classes {
			have -= p.Classes[i].Needs[d] * int64(pattern.Counts[k])
		}
		if have < 0 {
			return false
		}
	}
	for _, i := range pattern.Classes {
		if !p.Classes[i].Fits[option] {
			return false
		}
	}
	return true
}

// search is the work on one problem.
type search struct {
	// Problem is the search's own, whose options it makes dearer for a while.
	Problem
	// effort is what may still be spent, in steps of a pattern's fill or of a pivot's row.
	effort int
	// prices are the duals of the first relaxation: what an item of each class costs there. Nil until one was solved.
	prices []float64
	// relaxed is what the first relaxation costs. Hardly any solution costs less: it would be a lower bound if pricing was exact.
	relaxed float64
}

// demand is the number of items of each class.
func (c *search) demand() []int32 {
	left := make([]int32, len(c.Classes))
	for i := range c.Classes {
		left[i] = c.Classes[i].Count
	}
	return left
}

// price is the first dual of a class; zero where no relaxation was solved.
func (c *search) price(class int32) float64 {
	if c.prices == nil {
		return 0
	}
	return c.prices[class]
}

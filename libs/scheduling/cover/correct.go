package cover

import (
	"cmp"
	"math"
	"slices"
)

const (
	// correctionsMax are the rounds in which prices are corrected.
	correctionsMax = 4
	// sizeStep is the least growth from one candidate to the next among options that differ in size alone.
	sizeStep = 1.12
	// greedyScales are the directions in which a greedy fill compares sizes.
	greedyScales = 4
	// ratioStep is the factor by which proportions of resources must differ for options to be of another family.
	ratioStep = 1.5
)

// correct serves left by sequential value correction (Mukhacheva and Belov, for cutting stock): machines are
// chosen greedily by what their items are worth, each item's worth is corrected towards what it turned out to
// cost, and of all rounds the cheapest counts. Items that few machines take, or that end up alone, become
// worth more and are served first.
func (c *search) correct(f *pricer, left []int32) []Pattern {
	y := c.ownPrices(left)
	var best []Pattern
	for round := 0; round < correctionsMax && (best == nil || c.effort > 0); round++ {
		solution := c.greedy(f, slices.Clone(left), y)
		c.shrink(solution)
		if best == nil || c.Cost(solution) < c.Cost(best) {
			best = solution
			c.prices = slices.Clone(y)
		}
		c.reprice(solution, y)
	}
	return best
}

// reprice moves prices half-way to what items turned out to cost: each machine's cost, shared by worth.
func (c *search) reprice(solution []Pattern, y []float64) {
	paid, served := make([]float64, len(y)), make([]float64, len(y))
	for k := range solution {
		p := &solution[k]
		worth := 0.0
		for j, i := range p.Classes {
			worth += y[i] * float64(p.Counts[j])
		}
		for j, i := range p.Classes {
			paid[i] += c.Options[p.Option].Cost * y[i] * float64(p.Counts[j]) / worth
			served[i] += float64(p.Counts[j])
		}
	}
	for i := range y {
		if served[i] > 0 {
			y[i] = (y[i] + paid[i]/served[i]) / 2
		}
	}
}

// ownPrices are what a item of each class costs on the machine that serves its class best alone.
func (c *search) ownPrices(left []int32) []float64 {
	y := make([]float64, len(c.Classes))
	for i := range c.Classes {
		if left[i] > 0 {
			p := c.alone(int32(i), left[i])
			y[i] = c.Options[p.Option].Cost / float64(p.Counts[0])
		}
	}
	return y
}

// greedy serves left, which it uses up, machine by machine, with the pattern that is worth most for its cost.
func (c *search) greedy(f *pricer, left []int32, y []float64) []Pattern {
	options := f.candidates()
	scales := f.scales
	if len(c.Classes) > rowsMax {
		scales = f.few()
	}
	orders := make([][]int32, len(scales))
	for k, scale := range scales {
		f.sortBy(y, left, scale)
		orders[k] = slices.Clone(f.order)
	}
	var solution []Pattern
	for {
		best := found{}
		bestRatio := 0.0
		for k := range scales {
			orders[k] = slices.DeleteFunc(orders[k], func(i int32) bool { return left[i] == 0 })
			f.order = orders[k]
			least := f.leastNeeds()
			for _, o := range options {
				worth := f.fillOne(o, y, left, least)
				if ratio := worth / c.Options[o].Cost; ratio > bestRatio*(1+epsilon) {
					best, bestRatio = found{f.taking(o), worth}, ratio
				}
				f.clear()
			}
		}
		if bestRatio == 0 {
			return solution
		}
		solution = append(solution, c.repeat(best.Pattern, left)...)
	}
}

// repeat takes a pattern as often as what is left allows.
func (c *search) repeat(p Pattern, left []int32) []Pattern {
	times := int32(math.MaxInt32)
	for k, i := range p.Classes {
		times = min(times, left[i]/p.Counts[k])
	}
	for k, i := range p.Classes {
		left[i] -= p.Counts[k] * times
	}
	out := make([]Pattern, times)
	for t := range out {
		out[t] = Pattern{p.Option, p.Classes, slices.Clone(p.Counts)}
	}
	return out
}

// few are some of the directions: the prices themselves and the corners.
func (f *pricer) few() [][]float64 {
	out := [][]float64{f.scales[0]}
	for k := 1; k < greedyScales && len(f.scales) > 1; k++ {
		out = append(out, f.scales[1+(len(f.scales)-2)*k/greedyScales])
	}
	return out
}

// candidates leaves out options that are hardly larger than another of the same kind and proportions; shrink
// finds them again.
func (f *pricer) candidates() []int {
	order := make([]int, len(f.Options))
	for o := range order {
		order[o] = o
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(f.Options[a].Cost, f.Options[b].Cost), cmp.Compare(a, b))
	})
	type family struct {
		kind int
		lean string
	}
	last := map[family]float64{}
	var out []int
	for _, o := range order {
		of := family{f.Options[o].Kind, f.proportions(o)}
		if at, known := last[of]; known && f.Options[o].Cost < at*sizeStep {
			continue
		}
		last[of] = f.Options[o].Cost
		out = append(out, o)
	}
	return out
}

// proportions spells how much of each scarce resource an option has for the first, roughly.
func (f *pricer) proportions(o int) string {
	free := f.Options[o].Free
	var out []byte
	for _, d := range f.scarce {
		ratio := float64(free[d]+1) / float64(free[f.scarce[0]]+1)
		out = append(out, byte(int8(math.Round(math.Log(ratio)/math.Log(ratioStep)))))
	}
	return string(out)
}

package scheduling

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
)

// correct serves left by sequential value correction (Mukhacheva and Belov, for cutting stock): machines are
// bought greedily by what their pods are worth, each pod's worth is corrected towards what it turned out to
// cost, and of all rounds the cheapest counts. Pods that few machines take, or that end up alone, become
// worth more and are served first.
func (c *cover) correct(f *filler, left []int32) []pattern {
	y := c.ownPrices(left)
	var best []pattern
	for round := 0; round < correctionsMax && (best == nil || c.effort > 0); round++ {
		solution := c.greedy(f, slices.Clone(left), y)
		c.shrink(solution)
		if best == nil || c.cost(solution) < c.cost(best) {
			best = solution
			c.prices = slices.Clone(y)
		}
		c.reprice(solution, y)
	}
	return best
}

// reprice moves prices half-way to what pods turned out to cost: each machine's cost, shared by worth.
func (c *cover) reprice(solution []pattern, y []float64) {
	paid, pods := make([]float64, len(y)), make([]float64, len(y))
	for k := range solution {
		p := &solution[k]
		worth := 0.0
		for j, i := range p.classes {
			worth += y[i] * float64(p.counts[j])
		}
		for j, i := range p.classes {
			paid[i] += c.options[p.option].cost * y[i] * float64(p.counts[j]) / worth
			pods[i] += float64(p.counts[j])
		}
	}
	for i := range y {
		if pods[i] > 0 {
			y[i] = (y[i] + paid[i]/pods[i]) / 2
		}
	}
}

// ownPrices are what a pod of each class costs on the machine that serves its class best alone.
func (c *cover) ownPrices(left []int32) []float64 {
	y := make([]float64, len(c.classes))
	for i := range c.classes {
		if left[i] > 0 {
			p := c.alone(int32(i), left[i])
			y[i] = c.options[p.option].cost / float64(p.counts[0])
		}
	}
	return y
}

// greedy serves left, which it uses up, machine by machine, with the pattern that is worth most for its cost.
func (c *cover) greedy(f *filler, left []int32, y []float64) []pattern {
	options := f.candidates()
	scales := f.scales
	if len(c.classes) > rowsMax {
		scales = f.few()
	}
	orders := make([][]int32, len(scales))
	for k, scale := range scales {
		f.sortBy(y, left, scale)
		orders[k] = slices.Clone(f.order)
	}
	var solution []pattern
	for {
		best := found{}
		bestRatio := 0.0
		for k := range scales {
			orders[k] = slices.DeleteFunc(orders[k], func(i int32) bool { return left[i] == 0 })
			f.order = orders[k]
			least := f.leastNeeds()
			for _, o := range options {
				worth := f.fillOne(o, y, left, least)
				if ratio := worth / c.options[o].cost; ratio > bestRatio*(1+epsilon) {
					best, bestRatio = found{f.taking(o), worth}, ratio
				}
				f.clear()
			}
		}
		if bestRatio == 0 {
			return solution
		}
		solution = append(solution, c.repeat(best.pattern, left)...)
	}
}

// repeat takes a pattern as often as what is left allows.
func (c *cover) repeat(p pattern, left []int32) []pattern {
	times := int32(1 << 30)
	for k, i := range p.classes {
		times = min(times, left[i]/p.counts[k])
	}
	for k, i := range p.classes {
		left[i] -= p.counts[k] * times
	}
	out := make([]pattern, times)
	for t := range out {
		out[t] = pattern{p.option, p.classes, slices.Clone(p.counts)}
	}
	return out
}

// few are some of the directions: the prices themselves and the corners.
func (f *filler) few() [][]float64 {
	out := [][]float64{f.scales[0]}
	for k := 1; k < greedyScales && len(f.scales) > 1; k++ {
		out = append(out, f.scales[1+(len(f.scales)-2)*k/greedyScales])
	}
	return out
}

// candidates leaves out options that are hardly larger than another of the same kind and proportions; shrink
// finds them again.
func (f *filler) candidates() []int {
	order := make([]int, len(f.options))
	for o := range order {
		order[o] = o
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(f.options[a].cost, f.options[b].cost), cmp.Compare(a, b))
	})
	type family struct {
		kind int
		lean string
	}
	last := map[family]float64{}
	var out []int
	for _, o := range order {
		of := family{f.options[o].kind, f.proportions(o)}
		if at, known := last[of]; known && f.options[o].cost < at*sizeStep {
			continue
		}
		last[of] = f.options[o].cost
		out = append(out, o)
	}
	return out
}

// proportions spells how much of each scarce resource an option has for the first, roughly.
func (f *filler) proportions(o int) string {
	free := f.options[o].free
	var out []byte
	for _, d := range f.scarce {
		ratio := float64(free[d]+1) / float64(free[f.scarce[0]]+1)
		out = append(out, byte(int8(math.Round(math.Log(ratio)/math.Log(1.5)))))
	}
	return string(out)
}

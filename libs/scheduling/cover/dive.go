package cover

import (
	"cmp"
	"slices"
)

const (
	// roundsMax bounds the rounds of column generation of one relaxation.
	roundsMax = 60
	// columnsPerRound are the best patterns that a round keeps.
	columnsPerRound = 12
	// improvedPerRound are the best patterns that a round tries to make better.
	improvedPerRound = 12
	// closeEnough ends column generation when no pattern promises to lower the cost by more.
	closeEnough = 1.002
	// optionsPerRound bounds the options that one round prices; with more they take turns.
	optionsPerRound = 160
	// perturbation tells the demands of rows apart by a trace, in steps that come again after perturbations rows: equal rows
	// make the simplex method cycle (Charnes, 1952).
	perturbation, perturbations = 1e-7, 97
	// pivotShare is how many entries of the inverse a pivot changes in one step of effort.
	pivotShare = 8
	// unused is how often the relaxation must use a pattern at least for that to be no rounding error.
	unused = 1e-6
	// rowsPerMachine are the rows of a relaxation for which a dive fixes one machine that is used in part: small problems are
	// dived into one machine at a time, large ones, whose relaxation is dear, by more.
	rowsPerMachine = 24
)

// dive serves left, which it uses up. pool are patterns known to be good; it returns all that it knows in the end.
func (c *search) dive(f *pricer, left []int32, pool []Pattern) (solution, known []Pattern) {
	for step := 0; ; step++ {
		rows := remainingRows(left)
		if len(rows) == 0 {
			return solution, pool
		}
		if c.effort <= 0 {
			return append(solution, c.greedy(f, left, c.ownPrices(left))...), pool
		}
		var m *master
		m, pool = c.relax(f, left, rows, pool)
		if c.prices == nil {
			c.prices = make([]float64, len(c.Classes))
			for r, i := range rows {
				c.prices[i] = m.y[r]
			}
			if c.relaxed == 0 {
				c.relaxed = m.value()
			}
		}
		fixed := c.fix(m, rows, left, step)
		solution = append(solution, fixed...)
	}
}

func remainingRows(left []int32) []int32 {
	var rows []int32
	for i, n := range left {
		if n > 0 {
			rows = append(rows, int32(i))
		}
	}
	return rows
}

// relax solves the relaxation for the classes of rows, and returns it with all patterns it knows of.
func (c *search) relax(f *pricer, left, rows []int32, pool []Pattern) (*master, []Pattern) {
	row := make([]int32, len(c.Classes))
	demand := make([]float64, len(rows))
	var first []Pattern
	var costs []float64
	for r, i := range rows {
		row[i] = int32(r)
		demand[r] = float64(left[i]) * (1 + perturbation*float64(r%perturbations))
		p := c.alone(i, left[i])
		first = append(first, Pattern{p.Option, []int32{int32(r)}, p.Counts})
		costs = append(costs, c.Options[p.Option].Cost)
	}
	m := newMaster(demand, first, costs)
	for k := range pool {
		if p := clip(&pool[k], left, row); len(p.Classes) > 0 {
			m.add(p, c.Options[p.Option].Cost)
		}
	}
	y := make([]float64, len(c.Classes))
	all := make([]int, len(c.Options))
	for o := range all {
		all[o] = o
	}
	idle := 0
	for round := 0; round < roundsMax && c.effort > 0; round++ {
		c.effort -= m.optimise() * m.rows * m.rows / pivotShare
		for r, i := range rows {
			y[i] = m.y[r]
		}
		options := f.promising(y, left, turn(all, round))
		fresh := f.fill(y, left, options)
		ratio := func(k int) float64 { return fresh[k].worth / c.Options[options[k]].Cost }
		order := make([]int, len(fresh))
		for k := range order {
			order[k] = k
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(ratio(b), ratio(a)), cmp.Compare(a, b)) })
		for _, k := range order[:min(len(order), improvedPerRound)] {
			f.improve(&fresh[k], y, left)
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(ratio(b), ratio(a)), cmp.Compare(a, b)) })
		added := 0
		for _, k := range order[:min(len(order), columnsPerRound)] {
			if ratio(k) <= closeEnough {
				break
			}
			pool = append(pool, fresh[k].Pattern)
			m.add(clip(&fresh[k].Pattern, left, row), c.Options[options[k]].Cost)
			added++
		}
		if added > 0 {
			idle = 0
		} else if idle++; idle*optionsPerRound >= len(all) {
			break
		}
	}
	m.optimise()
	return m, pool
}

// turn is the options that a round prices.
func turn(all []int, round int) []int {
	turns := (len(all) + optionsPerRound - 1) / optionsPerRound
	if turns <= 1 {
		return all
	}
	var out []int
	for k := round % turns; k < len(all); k += turns {
		out = append(out, all[k])
	}
	return out
}

// clip is a pattern with no more items than are left, its classes named by row.
func clip(p *Pattern, left, row []int32) Pattern {
	out := Pattern{Option: p.Option}
	for k, i := range p.Classes {
		if n := min(p.Counts[k], left[i]); n > 0 {
			out.Classes = append(out.Classes, row[i])
			out.Counts = append(out.Counts, n)
		}
	}
	return out
}

// alone is the option that serves a class for the least a item by itself.
func (c *search) alone(i, left int32) Pattern {
	class := &c.Classes[i]
	best, bestCost := Pattern{}, 0.0
	for o := range c.Options {
		if !class.Fits[o] {
			continue
		}
		n := min(left, c.PerMachine(i, o))
		if cost := c.Options[o].Cost / float64(n); n > 0 && (best.Counts == nil || cost < bestCost) {
			best, bestCost = Pattern{o, []int32{i}, []int32{n}}, cost
		}
	}
	return best
}

// fix takes the patterns that the relaxation uses most into the solution: each as often as it is used in
// whole, and of the rest those used most, until a share of what was left is served.
func (c *search) fix(m *master, rows, left []int32, step int) []Pattern {
	type use struct {
		column int
		x      float64
	}
	var uses []use
	for r, column := range m.basis {
		if column >= 0 && m.x[r] > unused {
			uses = append(uses, use{column, m.x[r]})
		}
	}
	slices.SortFunc(uses, func(a, b use) int {
		return cmp.Or(cmp.Compare(frac(b.x), frac(a.x)), cmp.Compare(a.column, b.column))
	})
	var fixed []Pattern
	take := func(u use, times int32) {
		p := m.columns[u.column].Renamed(rows)
		for k, i := range p.Classes {
			times = min(times, left[i]/p.Counts[k])
		}
		for range times {
			fixed = append(fixed, p)
		}
		for k, i := range p.Classes {
			left[i] -= p.Counts[k] * times
		}
	}
	for _, u := range uses {
		if u.x >= 1 {
			take(u, int32(u.x+unused))
		}
	}
	whole := len(fixed)
	quota := max(1, len(rows)/rowsPerMachine)
	for _, u := range uses {
		if len(fixed)-whole >= quota || whole > 0 && step == 0 {
			break
		}
		if frac(u.x) > unused {
			take(u, 1)
		}
	}
	if len(fixed) == 0 { // every pattern asks for more than is left of something
		u := uses[0]
		p := m.columns[u.column].Renamed(rows)
		for k, i := range p.Classes {
			p.Counts[k] = min(p.Counts[k], left[i])
			left[i] -= p.Counts[k]
		}
		fixed = append(fixed, p)
	}
	return fixed
}

// frac is the part of a pattern's use that is no whole machine.
func frac(x float64) float64 { return x - float64(int32(x+unused)) }

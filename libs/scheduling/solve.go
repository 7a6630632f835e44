package scheduling

import (
	"cmp"
	"math"
	"slices"
)

const (
	// rowsMax are the classes up to which a relaxation of the whole is worth its effort.
	rowsMax = 140
	// roundsMax bounds the rounds of column generation of one relaxation.
	roundsMax = 60
	// columnsPerRound are the best patterns that a round keeps.
	columnsPerRound = 12
	// improvedPerRound are the best patterns that a round tries to make better.
	improvedPerRound = 24
	// closeEnough ends column generation when no pattern promises to lower the cost by more.
	closeEnough = 1.002
	// optionsPerRound bounds the options that one round prices; with more they take turns.
	optionsPerRound = 160
	// repairsMax bounds the rounds in which the worst machines of a solution are taken apart.
	repairsMax = 40
	// repairSize is how many machines are taken apart at a time.
	repairSize = 7
)

// solve returns the machines of a cheap cover: column generation, then diving (fixing the patterns that the
// relaxation uses most, and solving what is left), then taking apart the machines that are worth least.
// Classes that no option fits must not be in the problem.
func (c *cover) solve() []pattern {
	f := newFiller(c)
	var best []pattern
	if len(c.classes) > rowsMax {
		plain := c.options
		c.options = c.dearer(fewerNodes)
		best = c.correct(f, c.demand())
		c.options = plain
		c.shrink(best)
	} else {
		best = c.diveTwice(f)
	}
	return c.merge(c.repair(f, best))
}

// demand is the number of pods of each class.
func (c *cover) demand() []int32 {
	left := make([]int32, len(c.classes))
	for i := range c.classes {
		left[i] = c.classes[i].count
	}
	return left
}

// fewerNodes is a surcharge on each machine, as a share of the cheapest, that leads the second dive to fewer nodes. Of
// mixes that cost the same in the relaxation, those of fewer nodes often lose less when they are made whole.
const fewerNodes = 0.15

// dearer are the options with a surcharge on each, as a share of the cheapest.
func (c *cover) dearer(share float64) []machine {
	options := slices.Clone(c.options)
	least := slices.MinFunc(options, func(a, b machine) int { return cmp.Compare(a.cost, b.cost) }).cost
	for o := range options {
		options[o].cost += share * least
	}
	return options
}

// diveTwice dives with the costs as they are and then with a preference for fewer nodes, and returns what is cheaper.
func (c *cover) diveTwice(f *filler) []pattern {
	plain, options := c.options, c.dearer(fewerNodes)
	var best, pool []pattern
	var prices []float64
	third := c.effort / 3
	for _, costs := range [][]machine{plain, options} {
		if best != nil && c.effort < third {
			break // the rest is better spent on repairs
		}
		c.options, c.prices = costs, nil
		var solution []pattern
		solution, pool = c.dive(f, c.demand(), pool)
		c.options = plain
		c.shrink(solution)
		if best == nil || c.cost(solution) < c.cost(best) {
			best, prices = solution, c.prices
		}
	}
	c.prices = prices
	return best
}

// dive serves left, which it uses up. pool are patterns known to be good; it returns all that it knows in the end.
func (c *cover) dive(f *filler, left []int32, pool []pattern) (solution, known []pattern) {
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
			c.prices = make([]float64, len(c.classes))
			for r, i := range rows {
				c.prices[i] = m.y[r]
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
func (c *cover) relax(f *filler, left, rows []int32, pool []pattern) (*master, []pattern) {
	row := make([]int32, len(c.classes))
	demand := make([]float64, len(rows))
	var first []pattern
	var costs []float64
	for r, i := range rows {
		row[i] = int32(r)
		// A trace of difference between rows keeps equal ones from tying for ever.
		demand[r] = float64(left[i]) * (1 + 1e-7*float64(r%97))
		p := c.alone(i, left[i])
		first = append(first, pattern{p.option, []int32{int32(r)}, p.counts})
		costs = append(costs, c.options[p.option].cost)
	}
	m := newMaster(demand, first, costs)
	for k := range pool {
		if p := clip(&pool[k], left, row); len(p.classes) > 0 {
			m.add(p, c.options[p.option].cost)
		}
	}
	y := make([]float64, len(c.classes))
	all := make([]int, len(c.options))
	for o := range all {
		all[o] = o
	}
	idle := 0
	for round := 0; round < roundsMax && c.effort > 0; round++ {
		c.effort -= m.optimise() * m.rows * m.rows / 8
		for r, i := range rows {
			y[i] = m.y[r]
		}
		options := f.promising(y, left, turn(all, round))
		fresh := f.fill(y, left, options)
		ratio := func(k int) float64 { return fresh[k].worth / c.options[options[k]].cost }
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
			pool = append(pool, fresh[k].pattern)
			m.add(clip(&fresh[k].pattern, left, row), c.options[options[k]].cost)
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

// clip is a pattern with no more pods than are left, its classes named by row.
func clip(p *pattern, left, row []int32) pattern {
	out := pattern{option: p.option}
	for k, i := range p.classes {
		if n := min(p.counts[k], left[i]); n > 0 {
			out.classes = append(out.classes, row[i])
			out.counts = append(out.counts, n)
		}
	}
	return out
}

// alone is the option that serves a class for the least a pod by itself.
func (c *cover) alone(i, left int32) pattern {
	class := &c.classes[i]
	best, bestCost := pattern{}, 0.0
	for o := range c.options {
		if !class.fits[o] {
			continue
		}
		n := min(left, c.perMachine(i, o))
		if cost := c.options[o].cost / float64(n); n > 0 && (best.counts == nil || cost < bestCost) {
			best, bestCost = pattern{o, []int32{i}, []int32{n}}, cost
		}
	}
	return best
}

// perMachine is how many pods of a class one machine of an option takes.
func (c *cover) perMachine(i int32, o int) int32 {
	n := int64(math.MaxInt32)
	for d, need := range c.classes[i].needs {
		if need > 0 {
			n = min(n, c.options[o].free[d]/need)
		}
	}
	for _, g := range c.classes[i].caps {
		n = min(n, int64(c.caps[g]))
	}
	return int32(n)
}

// fix takes the patterns that the relaxation uses most into the solution: each as often as it is used in
// whole, and of the rest those used most, until a share of what was left is served.
func (c *cover) fix(m *master, rows, left []int32, step int) []pattern {
	type use struct {
		column int
		x      float64
	}
	var uses []use
	for r, column := range m.basis {
		if column >= 0 && m.x[r] > 1e-6 {
			uses = append(uses, use{column, m.x[r]})
		}
	}
	slices.SortFunc(uses, func(a, b use) int {
		return cmp.Or(cmp.Compare(frac(b.x), frac(a.x)), cmp.Compare(a.column, b.column))
	})
	var fixed []pattern
	take := func(u use, times int32) {
		p := named(&m.columns[u.column], rows)
		for k, i := range p.classes {
			times = min(times, left[i]/p.counts[k])
		}
		for range times {
			fixed = append(fixed, p)
		}
		for k, i := range p.classes {
			left[i] -= p.counts[k] * times
		}
	}
	for _, u := range uses {
		if u.x >= 1 {
			take(u, int32(u.x+1e-6))
		}
	}
	whole := len(fixed)
	// Small problems are dived into one machine at a time; large ones, whose relaxation is dear, by more.
	quota := max(1, len(rows)/24)
	for _, u := range uses {
		if len(fixed)-whole >= quota || whole > 0 && step == 0 {
			break
		}
		if frac(u.x) > 1e-6 {
			take(u, 1)
		}
	}
	if len(fixed) == 0 { // every pattern asks for more than is left of something
		u := uses[0]
		p := named(&m.columns[u.column], rows)
		for k, i := range p.classes {
			p.counts[k] = min(p.counts[k], left[i])
			left[i] -= p.counts[k]
		}
		fixed = append(fixed, p)
	}
	return fixed
}

func frac(x float64) float64 { return x - float64(int32(x+1e-6)) }

func named(p *pattern, rows []int32) pattern {
	out := pattern{p.option, make([]int32, len(p.classes)), slices.Clone(p.counts)}
	for k, r := range p.classes {
		out.classes[k] = rows[r]
	}
	return out
}

// shrink exchanges each machine for the cheapest that holds the same pods.
func (c *cover) shrink(solution []pattern) {
	order := make([]int, len(c.options))
	for o := range order {
		order[o] = o
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.options[a].cost, c.options[b].cost), cmp.Compare(a, b))
	})
	for k := range solution {
		p := &solution[k]
		for _, o := range order {
			if c.options[o].cost >= c.options[p.option].cost {
				break
			}
			if c.holds(o, p) {
				p.option = o
				break
			}
		}
	}
}

func (c *cover) cost(solution []pattern) float64 {
	sum := 0.0
	for k := range solution {
		sum += c.options[solution[k].option].cost
	}
	return sum
}

// repair takes the machines apart that cost most for what their pods could cost, a few at a time, and keeps
// what is cheaper, until nothing is won or the effort is spent.
func (c *cover) repair(f *filler, solution []pattern) []pattern {
	for round, start := 0, 0; round < repairsMax && c.effort > 0 && len(solution) > 1; round++ {
		slices.SortStableFunc(solution, func(a, b pattern) int { return cmp.Compare(c.waste(&b), c.waste(&a)) })
		if start >= len(solution) {
			break
		}
		// The window: the most wasteful machine from start on, and those that follow at growing distance.
		picked, rest := window(solution, start)
		left := make([]int32, len(c.classes))
		for _, p := range picked {
			for k, i := range p.classes {
				left[i] += p.counts[k]
			}
		}
		again, _ := c.dive(f, left, picked)
		c.shrink(again)
		if c.cost(again) < c.cost(picked)*(1-1e-9) {
			solution = append(rest, again...)
			start = 0
			continue
		}
		start += 3
	}
	return solution
}

func window(solution []pattern, start int) (picked, rest []pattern) {
	for k := range solution {
		if k >= start && len(picked) < repairSize {
			picked = append(picked, solution[k])
		} else {
			rest = append(rest, solution[k])
		}
	}
	return picked, rest
}

// price is what a pod of a class costs in the first relaxation; zero where none was solved.
func (c *cover) price(class int32) float64 {
	if c.prices == nil {
		return 0
	}
	return c.prices[class]
}

// Package bound proves what any plan costs at least.
//
// It drops every rule but those on resources, the number of pods on a node among them, and lets machines be launched
// in fractions. What remains is a linear program over all fillings of machines, solved by column generation (Gilmore
// and Gomory, 1961). Its prices need not be perfect for a proof: scaled until no filling is worth more than
// its machine costs, they bound every plan from below (Farley, 1990).
package bound

import (
	"math"

	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

const (
	// tolerance is the share of the bound that is given up so that most fillings need not be looked at, and closeness
	// the one at which looking for a better bound ends.
	tolerance = 2e-4
	closeness = 1e-3
	roundsMax = 400
	// Steps of one search: a round looks for a few good fillings, a proof for all of them.
	stepsRound = 500
	stepsProof = 300_000
)

// Lower is a price that no plan is below which serves all of the demands that fit on some option; the options may be
// launched without limit. It is 0 when there is nothing to serve.
func Lower(demands []packing.Demand, options []*packing.Option) money.Micros {
	exact := newInstance(demands, options, 1)
	if len(exact.classes) == 0 {
		return 0
	}
	best := max(exact.solveSums(), newSmallInstance(demands, options).solve())
	// Rounding down, with more to spare than the arithmetic loses.
	return money.Micros(math.Floor(best * (1 - epsilon)))
}

// solveSums is the bound for pods that could be cut up at will: machines are launched for sums of resources. It is weaker
// than solve where pods of few kinds leave gaps, and stronger where solve has to round.
func (in *instance) solveSums() float64 {
	sums := make([]float64, len(in.classes[0].needs))
	for i := range in.classes {
		for r, need := range in.classes[i].needs {
			sums[r] += float64(need) * float64(in.classes[i].count)
		}
	}
	first := make([]column, len(sums))
	for r := range sums {
		first[r] = in.forResource(r)
	}
	lp := newCovering(sums, first)
	for j := range in.machines {
		col := column{cost: in.machines[j].price}
		for r, room := range in.machines[j].room {
			col.rows, col.amount = append(col.rows, r), append(col.amount, max(float64(room), 0))
		}
		lp.columns = append(lp.columns, col)
	}
	lp.optimise()
	scale := 1.0
	for j := range in.machines {
		top := 0.0
		for r, room := range in.machines[j].room {
			top += max(lp.y[r], 0) * max(float64(room), 0)
		}
		if top > 0 {
			scale = min(scale, in.machines[j].price/top)
		}
	}
	return scale * worth(lp.y, sums)
}

// forResource is the machine with most of a resource for its price, as if it had nothing else.
func (in *instance) forResource(r int) column {
	best := column{cost: 1, rows: []int{r}, amount: []float64{epsilon}}
	for j := range in.machines {
		m := &in.machines[j]
		if room := float64(m.room[r]); room > 0 && m.price/room < best.cost/best.amount[0] {
			best.cost, best.amount[0] = m.price, room
		}
	}
	return best
}

// solve returns the best bound that it can prove.
func (in *instance) solve() float64 {
	demand := make([]float64, len(in.classes))
	first := make([]column, len(in.classes))
	for i := range in.classes {
		demand[i] = float64(in.classes[i].count)
		first[i] = in.alone(i)
	}
	lp := newCovering(demand, first)
	best, steps := 0.0, stepsRound
	for range roundsMax {
		lp.optimise()
		found, scale := in.price(lp.y, steps)
		best = max(best, scale*worth(lp.y, demand))
		if best >= lp.cost()*(1-closeness) {
			break
		}
		if len(found) == 0 {
			if steps == stepsProof {
				break
			}
			steps = stepsProof
			continue
		}
		lp.columns = append(lp.columns, found...)
	}
	return best
}

// alone is the cheapest way to serve one class by machines of its own.
func (in *instance) alone(i int) column {
	best := column{cost: math.Inf(1), rows: []int{i}, amount: []float64{1}}
	for j := range in.machines {
		m := &in.machines[j]
		if n := float64(m.fits(&in.classes[i])); n > 0 && m.price/n < best.cost/best.amount[0] {
			best.cost, best.amount[0] = m.price, n
		}
	}
	return best
}

// price looks for fillings that are worth more than their machine costs, and returns the scale at which, for certain,
// there are none.
func (in *instance) price(prices []float64, steps int) ([]column, float64) {
	var found []column
	scale := 1.0
	for j := range in.machines {
		m := &in.machines[j]
		k := newKnapsack(m, in.classes, prices)
		if top := k.search(1+tolerance, steps); top > 0 {
			scale = min(scale, 1/top)
		}
		if k.filling != nil {
			found = append(found, k.column(m))
		}
	}
	return found, scale
}

// column is the best filling as a column of the linear program.
func (k *knapsack) column(m *machine) column {
	col := column{cost: m.price}
	for i, n := range k.filling {
		if n > 0 {
			col.rows, col.amount = append(col.rows, k.items[i].class), append(col.amount, float64(n))
		}
	}
	return col
}

func worth(prices, demand []float64) float64 {
	sum := 0.0
	for i, d := range demand {
		sum += max(prices[i], 0) * d
	}
	return sum
}

package scheduling

import (
	"math"
	"math/rand/v2"
	"testing"
)

// drawn is a covering problem of a few classes, some of which are capped or share no machine with another.
func drawn(random *rand.Rand) *cover {
	c := &cover{effort: 300_000, caps: []int32{1, 3}}
	for size := range int64(4) {
		for _, ratio := range []int64{2, 8} {
			cores := int64(1000) << size
			c.options = append(c.options, machine{free: []int64{cores, cores * ratio, 110}, cost: float64(cores) * (10 + float64(ratio)) * (1 + random.Float64()/10)})
		}
	}
	for i := range 3 + random.IntN(12) {
		k := class{needs: []int64{50 + random.Int64N(900), 100 + random.Int64N(3000), 1}, count: 1 + random.Int32N(40), fits: make([]bool, len(c.options))}
		if g := random.Int32N(6); g < 2 {
			k.caps, k.count = []int32{g}, min(k.count, 6)
		}
		for o := range c.options {
			k.fits[o] = k.needs[0] <= c.options[o].free[0] && k.needs[1] <= c.options[o].free[1]
		}
		if foe := int32(i - 1); foe >= 0 && random.IntN(5) == 0 {
			k.foes = []int32{foe}
			c.classes[foe].foes = append(c.classes[foe].foes, int32(i))
		}
		c.classes = append(c.classes, k)
	}
	return c
}

// check reports what a solution does wrong: pods that are not served, and machines that are over-full, over a cap or shared
// by foes.
func check(t *testing.T, c *cover, solution []pattern) {
	t.Helper()
	served := make([]int32, len(c.classes))
	for k := range solution {
		p := &solution[k]
		if !c.holds(p.option, p) {
			t.Errorf("machine %d does not hold its pods: %+v", k, p)
		}
		capped := make([]int32, len(c.caps))
		for j, i := range p.classes {
			served[i] += p.counts[j]
			for _, g := range c.classes[i].caps {
				capped[g] += p.counts[j]
			}
			for _, foe := range c.classes[i].foes {
				for _, other := range p.classes {
					if other == foe {
						t.Errorf("machine %d has the foes %d and %d", k, i, foe)
					}
				}
			}
		}
		for g, n := range capped {
			if n > c.caps[g] {
				t.Errorf("machine %d has %d pods of group %d, which is capped at %d", k, n, g, c.caps[g])
			}
		}
	}
	for i, n := range served {
		if n != c.classes[i].count {
			t.Errorf("%d pods of class %d are served, want %d", n, i, c.classes[i].count)
		}
	}
}

func TestSolveServesAllWithinTheRules(t *testing.T) {
	for seed := range uint64(150) {
		c := drawn(rand.New(rand.NewPCG(seed, 1)))
		check(t, c, c.solve())
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestRepairAndMergeMakeNothingDearer(t *testing.T) {
	for seed := range uint64(100) {
		c := drawn(rand.New(rand.NewPCG(seed, 2)))
		f := newFiller(c)
		greedy := c.correct(f, c.demand())
		repaired := c.repair(f, append([]pattern(nil), greedy...))
		merged := c.merge(append([]pattern(nil), repaired...))
		check(t, c, merged)
		if c.cost(repaired) > c.cost(greedy)*(1+1e-9) || c.cost(merged) > c.cost(repaired)*(1+1e-9) {
			t.Fatalf("seed %d: greedily %v, repaired %v, merged %v", seed, c.cost(greedy), c.cost(repaired), c.cost(merged))
		}
	}
}

// At an optimum the mix serves the demand, no column has a negative reduced cost, and the duals are worth what the mix costs.
func TestSimplexEndsAtAnOptimum(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		rows := 2 + random.IntN(15)
		demand, costs := make([]float64, rows), make([]float64, rows)
		var first []pattern
		for i := range rows {
			demand[i], costs[i] = float64(1+random.IntN(50)), 1e8*(1+random.Float64())
			first = append(first, pattern{0, []int32{int32(i)}, []int32{1 + random.Int32N(4)}})
		}
		m := newMaster(demand, first, costs)
		for range 60 {
			p := pattern{}
			for i := range rows {
				if n := random.Int32N(4); n > 0 {
					p.classes, p.counts = append(p.classes, int32(i)), append(p.counts, n)
				}
			}
			m.add(p, 1e8*(1+3*random.Float64()))
		}
		m.optimise()
		served, dual := make([]float64, rows), 0.0
		for r, column := range m.basis {
			if column < 0 {
				continue
			}
			for _, e := range m.column(column) {
				served[e.row] += e.count * m.x[r]
			}
		}
		for i := range rows {
			dual += m.y[i] * demand[i]
			if served[i] < demand[i]-1e-6 || m.y[i] < -m.tolerance {
				t.Errorf("seed %d: row %d is served %v times of %v, at a dual of %v", seed, i, served[i], demand[i], m.y[i])
			}
		}
		for j := range m.columns {
			if r := m.reduced(j); r < -m.tolerance {
				t.Errorf("seed %d: column %d has a reduced cost of %v", seed, j, r)
			}
		}
		if math.Abs(dual-m.value()) > 1e-6*m.value() {
			t.Errorf("seed %d: the mix costs %v and the duals are worth %v", seed, m.value(), dual)
		}
	}
}

package cover

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// column serves counts of rows from the first on; those of zero are left out.
func column(counts ...int32) Pattern {
	var p Pattern
	for row, n := range counts {
		if n > 0 {
			p.Classes, p.Counts = append(p.Classes, int32(row)), append(p.Counts, n)
		}
	}
	return p
}

func TestDualsOfKnownPrograms(t *testing.T) {
	tests := map[string]struct {
		why     string
		demand  []float64
		columns []Pattern
		costs   []float64
		// value is what the cheapest mix costs, and duals what a unit of each row does; nil where they are not unique.
		value float64
		duals []float64
	}{
		"OneRow": {
			why: "three for six are cheaper than one for three", demand: []float64{10}, columns: []Pattern{column(1), column(3)}, costs: []float64{3, 6},
			value: 20, duals: []float64{2},
		},
		"TwoRows": {
			why:    "three of the first column and two of the second serve exactly what is asked for",
			demand: []float64{8, 9}, columns: []Pattern{column(2, 1), column(1, 3)}, costs: []float64{3, 4}, value: 17, duals: []float64{1, 1},
		},
		"SurplusIsFree": {
			why: "what serves the first row serves more of the second than is asked for", demand: []float64{5, 2}, columns: []Pattern{column(1, 1), column(0, 1)}, costs: []float64{1, 1},
			value: 5, duals: []float64{1, 0},
		},
		"Triangle": {
			why:    "half of each edge covers all corners, which no whole edges do for less than two",
			demand: []float64{1, 1, 1}, columns: []Pattern{column(1, 1, 0), column(0, 1, 1), column(1, 0, 1)}, costs: []float64{1, 1, 1}, value: 1.5, duals: []float64{0.5, 0.5, 0.5},
		},
		"DegenerateTie": {
			why:    "the column of both rows costs as much as those of one each, so a row leaves the basis at zero",
			demand: []float64{2, 2}, columns: []Pattern{column(1, 0), column(0, 1), column(1, 1)}, costs: []float64{1, 1, 2}, value: 4,
		},
		"SameColumnsTwice": {
			why: "nothing tells them apart", demand: []float64{3, 3}, columns: []Pattern{column(1, 1), column(1, 1), column(1, 1)}, costs: []float64{2, 2, 2}, value: 6,
		},
		"DominatedColumn": {
			why: "it never enters", demand: []float64{4}, columns: []Pattern{column(2), column(1)}, costs: []float64{2, 5}, value: 4, duals: []float64{1},
		},
		"NothingIsAskedFor": {},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			duals, err := Duals(tc.demand, tc.columns, tc.costs)
			if err != nil {
				t.Fatal(err)
			}
			value := 0.0
			for i, y := range duals {
				value += y * tc.demand[i]
				if y < -epsilon || tc.duals != nil && math.Abs(y-tc.duals[i]) > 1e-6 {
					t.Errorf("row %d has a dual of %v, want %v; %s", i, y, tc.duals[i], tc.why)
				}
			}
			if math.Abs(value-tc.value) > 1e-6 {
				t.Errorf("the duals %v are worth %v, want %v; %s", duals, value, tc.value, tc.why)
			}
			for j, cost := range tc.costs {
				for k, row := range tc.columns[j].Classes {
					cost -= duals[row] * float64(tc.columns[j].Counts[k])
				}
				if cost < -1e-6 {
					t.Errorf("column %d has a reduced cost of %v", j, cost)
				}
			}
		})
	}
}

// Every edge of a long odd cycle costs the same, and every vertex is asked for once: all bases are degenerate or nearly so.
func TestDegenerateProgramsEnd(t *testing.T) {
	const vertices = 101
	demand, costs := make([]float64, vertices), make([]float64, vertices)
	var edges []Pattern
	for i := range int32(vertices) {
		demand[i], costs[i] = 1, 1
		edges = append(edges, Pattern{Classes: []int32{i, (i + 1) % vertices}, Counts: []int32{1, 1}})
	}
	duals, err := Duals(demand, edges, costs)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, y := range duals {
		sum += y
	}
	if math.Abs(sum-vertices/2.0) > 1e-6 {
		t.Errorf("the duals are worth %v, want half an edge a vertex, %v", sum, vertices/2.0)
	}
}

func TestADemandThatNoColumnServesIsInfeasible(t *testing.T) {
	for name, columns := range map[string][]Pattern{"NoColumns": nil, "OneRowIsMissing": {column(1, 0, 2), column(3)}} {
		t.Run(name, func(t *testing.T) {
			if duals, err := Duals([]float64{1, 2, 3}, columns, []float64{1, 1}); !errors.Is(err, ErrInfeasible) {
				t.Errorf("the duals are %v and the error is %v, want %v", duals, err, ErrInfeasible)
			}
		})
	}
}

// At an optimum the mix serves the demand, no column has a negative reduced cost, and complementary slackness holds: a column
// in use has a reduced cost of zero, and a row that is served beyond its demand a dual of zero.
func TestSimplexEndsAtAnOptimum(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		rows := 2 + random.IntN(15)
		demand, costs := make([]float64, rows), make([]float64, rows)
		var first []Pattern
		for i := range rows {
			demand[i], costs[i] = float64(1+random.IntN(50)), 1e8*(1+random.Float64())
			first = append(first, Pattern{0, []int32{int32(i)}, []int32{1 + random.Int32N(4)}})
		}
		m := newMaster(demand, first, costs)
		for range 60 {
			p := Pattern{}
			for i := range rows {
				if n := random.Int32N(4); n > 0 {
					p.Classes, p.Counts = append(p.Classes, int32(i)), append(p.Counts, n)
				}
			}
			m.add(p, 1e8*(1+3*random.Float64()))
		}
		m.optimise()
		// Costs are about 1e8, and their sums lose as much.
		const lost = 1
		served, dual := make([]float64, rows), 0.0
		for r, column := range m.basis {
			if m.x[r] < 0 {
				t.Errorf("seed %d: column %d is used %v times", seed, column, m.x[r])
			}
			if column < 0 {
				continue
			}
			if r := m.reduced(column); math.Abs(r) > lost {
				t.Errorf("seed %d: column %d is in use at a reduced cost of %v", seed, column, r)
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
			if served[i] > demand[i]+1e-6 && m.y[i] > lost {
				t.Errorf("seed %d: row %d is served %v times of %v, and its dual is %v", seed, i, served[i], demand[i], m.y[i])
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

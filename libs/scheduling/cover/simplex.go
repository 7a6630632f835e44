package cover

import (
	"errors"
	"slices"
)

// master is the restricted master problem: the linear relaxation of a covering problem over the patterns found so far, that
// is the cheapest fractional mix of patterns that serves every row. It is solved by the revised simplex method with an
// explicit inverse (Dantzig, "Linear Programming and Extensions", 1963, ch. 9); the caller prices columns with its duals and adds
// them, which is Gilmore and Gomory's column generation (1961). Costs above zero bound it from below, and it starts from
// columns that serve one row each, so it always has an optimum.
type master struct {
	rows int
	// columns are patterns whose classes are rows.
	columns []Pattern
	costs   []float64
	// basis names, for each row, a column, or the surplus of row i as -1-i.
	basis []int
	// inverse of the basis, row by row; x are the basic columns' values and y the duals.
	inverse []float64
	x, y    []float64
	// tolerance is how far below zero a reduced cost may be for lack of precision.
	tolerance float64
	// direction is scratch.
	direction []float64
	// entries are the columns' rows and counts, one column after the other, and ends where each ends.
	entries []entry
	ends    []int
	// candidates are columns that were worth entering when all were last looked at.
	candidates []int
	keys       []float64 // their reduced costs
	lowest     float64   // the lowest of all columns then
}

// entry is what a column serves of a row.
type entry struct {
	row   int32
	count float64
}

const (
	// epsilon is what counts as zero.
	epsilon = 1e-9
	// precision is that of reduced costs, as a share of the dearest column's cost.
	precision = 1e-10
	// candidatesMax are the columns that are kept in mind from one look at all of them.
	candidatesMax = 24
	// staleShare is the part, as one in so many, of the lowest reduced cost that a candidate must have to enter without a look at
	// all columns.
	staleShare = 2
	// pivotsPerRow bounds one optimisation; degenerate problems stop there with what they have.
	pivotsPerRow = 12
)

// ErrInfeasible is the answer to a demand that no column serves.
var ErrInfeasible = errors.New("no column serves a row that is in demand")

// Duals solves the linear program of the cheapest fractional mix of columns that meets a demand, and returns what one more unit
// of each row would cost in it. Column j costs costs[j], which is above zero, and serves Counts of the rows that its Classes name;
// its Option says nothing. It returns ErrInfeasible where no column serves a row; every demand must be above zero.
//
// Many pivots that win nothing in a row may end it before the optimum; the duals then are those of the last mix.
func Duals(demand []float64, columns []Pattern, costs []float64) ([]float64, error) {
	first, firstCosts := make([]Pattern, len(demand)), make([]float64, len(demand))
	for j := range columns {
		for k, row := range columns[j].Classes {
			count, best := columns[j].Counts[k], &first[row]
			if best.Counts == nil || float64(count)*firstCosts[row] > float64(best.Counts[0])*costs[j] {
				*best, firstCosts[row] = Pattern{columns[j].Option, []int32{row}, []int32{count}}, costs[j]
			}
		}
	}
	if len(demand) == 0 {
		return nil, nil
	}
	if slices.ContainsFunc(first, func(p Pattern) bool { return p.Counts == nil }) {
		return nil, ErrInfeasible
	}
	m := newMaster(demand, first, firstCosts)
	for j := range columns {
		m.add(columns[j], costs[j])
	}
	m.optimise()
	return m.y, nil
}

// newMaster starts from one pattern a row that serves that row alone, and the demand of each row.
func newMaster(demand []float64, first []Pattern, costs []float64) *master {
	n := len(demand)
	m := &master{
		rows: n, columns: first, costs: costs, basis: make([]int, n), inverse: make([]float64, n*n),
		x: make([]float64, n), y: make([]float64, n), direction: make([]float64, n),
		tolerance: precision * slices.Max(costs),
	}
	for i := range n {
		m.index(&first[i])
		per := float64(first[i].Counts[0])
		m.basis[i] = i
		m.inverse[i*n+i] = 1 / per
		m.x[i] = demand[i] / per
		m.y[i] = costs[i] / per
	}
	return m
}

// add takes a column in, which enters the basis once its reduced cost is below zero.
func (m *master) add(p Pattern, cost float64) {
	m.columns = append(m.columns, p)
	m.costs = append(m.costs, cost)
	m.index(&p)
}

// index files what a column serves.
func (m *master) index(p *Pattern) {
	for k, row := range p.Classes {
		m.entries = append(m.entries, entry{row, float64(p.Counts[k])})
	}
	m.ends = append(m.ends, len(m.entries))
}

// column is what a column serves.
func (m *master) column(j int) []entry {
	from := 0
	if j > 0 {
		from = m.ends[j-1]
	}
	return m.entries[from:m.ends[j]]
}

// optimise pivots until no known pattern lowers the cost, and returns how many pivots that took.
func (m *master) optimise() int {
	limit := pivotsPerRow*m.rows + len(m.columns)
	for pivots := range limit {
		entering, reduced := m.entering()
		if reduced > -m.tolerance || !m.pivot(entering, reduced) {
			return pivots
		}
	}
	return limit
}

// value is what the mix costs.
func (m *master) value() float64 {
	sum := 0.0
	for r, column := range m.basis {
		if column >= 0 {
			sum += m.x[r] * m.costs[column]
		}
	}
	return sum
}

// entering finds a column of low reduced cost: among those that were worth entering before, and else the lowest of all.
func (m *master) entering() (column int, reduced float64) {
	for _, j := range m.candidates {
		if r := m.reduced(j); r < reduced {
			column, reduced = j, r
		}
	}
	if reduced < m.lowest/staleShare {
		return column, reduced
	}
	column, reduced = 0, 0
	m.candidates = m.candidates[:0]
	worst := 0.0 // of the candidates
	for j := range m.costs {
		r := m.reduced(j)
		if r >= -m.tolerance || len(m.candidates) == candidatesMax && r >= worst {
			continue
		}
		if r < reduced {
			column, reduced = j, r
		}
		worst = m.remember(j, r)
	}
	for i, y := range m.y {
		if y < reduced {
			column, reduced = -1-i, y
		}
	}
	m.lowest = min(reduced, -staleShare*m.tolerance)
	return column, reduced
}

// remember makes a column a candidate, in the place of the worst where there are enough, and returns the reduced cost of the
// worst.
func (m *master) remember(column int, reduced float64) (worst float64) {
	at := len(m.candidates)
	for at > 0 && m.keys[at-1] > reduced {
		at--
	}
	m.keys = slices.Insert(m.keys[:len(m.candidates)], at, reduced)
	m.candidates = slices.Insert(m.candidates, at, column)
	if len(m.candidates) > candidatesMax {
		m.candidates = m.candidates[:candidatesMax]
	}
	m.keys = m.keys[:len(m.candidates)]
	return m.keys[len(m.keys)-1]
}

// reduced is the reduced cost of a column at the present duals.
func (m *master) reduced(j int) float64 {
	r := m.costs[j]
	for _, e := range m.column(j) {
		r -= m.y[e.row] * e.count
	}
	return r
}

// pivot brings a column into the basis for the one that reaches zero first, and reports false where none does.
func (m *master) pivot(entering int, reduced float64) bool {
	m.solve(entering)
	leaving, best := -1, 0.0
	for i, d := range m.direction {
		if d <= epsilon {
			continue
		}
		if ratio := m.x[i] / d; leaving < 0 || ratio < best-epsilon || ratio < best+epsilon && m.basis[i] > m.basis[leaving] {
			leaving, best = i, ratio
		}
	}
	if leaving < 0 {
		return false
	}
	n := m.rows
	row := m.inverse[leaving*n : leaving*n+n]
	scale := 1 / m.direction[leaving]
	for k := range row {
		row[k] *= scale
	}
	for i, d := range m.direction {
		if i == leaving || d == 0 {
			continue
		}
		m.x[i] = max(m.x[i]-d*best, 0)
		target := m.inverse[i*n : i*n+n]
		for k, v := range row {
			if v != 0 {
				target[k] -= d * v
			}
		}
	}
	m.x[leaving] = best
	m.basis[leaving] = entering
	for k, v := range row {
		m.y[k] += reduced * v
	}
	return true
}

// solve writes the entering column in terms of the basis into direction.
func (m *master) solve(entering int) {
	n := m.rows
	if entering < 0 {
		i := -1 - entering
		for r := range n {
			m.direction[r] = -m.inverse[r*n+i]
		}
		return
	}
	column := m.column(entering)
	for r := range n {
		sum, row := 0.0, m.inverse[r*n:r*n+n]
		for _, e := range column {
			sum += row[e.row] * e.count
		}
		m.direction[r] = sum
	}
}

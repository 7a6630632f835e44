package scheduling

// master is the linear relaxation of a covering problem over the patterns found so far: the cheapest
// fractional mix of patterns that serves every class. It is solved by the revised simplex method with an
// explicit inverse (Dantzig, "Linear Programming and Extensions", 1963, ch. 9); patterns are added by
// whoever prices them with its duals, which is Gilmore and Gomory's column generation (1961).
type master struct {
	rows    int
	columns []pattern
	costs   []float64
	// basis names, for each row, a column, or the surplus of row i as -1-i.
	basis []int
	// inverse of the basis, row by row; x are the basic columns' values and y the duals.
	inverse []float64
	x, y    []float64
	// direction is scratch.
	direction []float64
}

// pattern is one way to fill a machine of an option: how many pods of which classes.
type pattern struct {
	option  int
	classes []int32
	counts  []int32
}

const (
	epsilon = 1e-9
	// pivotsPerRow bounds one optimisation; degenerate problems stop there with what they have.
	pivotsPerRow = 12
)

// newMaster starts from one pattern a row that serves that row alone, and the demand of each row.
func newMaster(demand []float64, first []pattern, costs []float64) *master {
	n := len(demand)
	m := &master{
		rows: n, columns: first, costs: costs, basis: make([]int, n), inverse: make([]float64, n*n),
		x: make([]float64, n), y: make([]float64, n), direction: make([]float64, n),
	}
	for i := range n {
		per := float64(first[i].counts[0])
		m.basis[i] = i
		m.inverse[i*n+i] = 1 / per
		m.x[i] = demand[i] / per
		m.y[i] = costs[i] / per
	}
	return m
}

func (m *master) add(p pattern, cost float64) {
	m.columns = append(m.columns, p)
	m.costs = append(m.costs, cost)
}

// optimise pivots until no known pattern lowers the cost, and returns how many pivots that took.
func (m *master) optimise() int {
	limit := pivotsPerRow*m.rows + len(m.columns)
	for pivots := range limit {
		entering, reduced := m.entering()
		if reduced > -1e-7 || !m.pivot(entering, reduced) {
			return pivots
		}
	}
	return limit
}

// entering finds the column with the lowest reduced cost.
func (m *master) entering() (column int, reduced float64) {
	for j := range m.columns {
		r := m.costs[j]
		p := &m.columns[j]
		for k, class := range p.classes {
			r -= m.y[class] * float64(p.counts[k])
		}
		if r < reduced {
			column, reduced = j, r
		}
	}
	for i, y := range m.y {
		if y < reduced {
			column, reduced = -1-i, y
		}
	}
	return column, reduced
}

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
	p := &m.columns[entering]
	for r := range n {
		sum, row := 0.0, m.inverse[r*n:r*n+n]
		for k, class := range p.classes {
			sum += row[class] * float64(p.counts[k])
		}
		m.direction[r] = sum
	}
}

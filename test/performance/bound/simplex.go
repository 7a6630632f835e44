package bound

// covering is the linear program: the least cost of amounts of columns that add up to at least what each row asks for.
// It is solved by the revised simplex method with an explicit inverse; columns can be added in between.
type covering struct {
	rows    int
	columns []column
	// basis names, for each row, a column, or the surplus of row i as -1-i.
	basis   []int
	inverse []float64
	// x are the amounts of the basic columns, y the prices of the rows.
	x, y      []float64
	direction []float64
}

// column serves rows by amounts.
type column struct {
	cost   float64
	rows   []int
	amount []float64
}

const (
	epsilon = 1e-9
	// pivotsPerRow bounds one optimisation. What it leaves undone makes the bound weaker and never wrong.
	pivotsPerRow = 50
)

// newCovering starts from one column a row that serves that row alone.
func newCovering(demand []float64, first []column) *covering {
	n := len(demand)
	c := &covering{
		rows: n, columns: first, basis: make([]int, n), inverse: make([]float64, n*n),
		x: make([]float64, n), y: make([]float64, n), direction: make([]float64, n),
	}
	for i := range n {
		per := first[i].amount[0]
		c.basis[i] = i
		c.inverse[i*n+i] = 1 / per
		c.x[i] = demand[i] / per
		c.y[i] = first[i].cost / per
	}
	return c
}

func (c *covering) cost() float64 {
	sum := 0.0
	for i, b := range c.basis {
		if b >= 0 {
			sum += c.x[i] * c.columns[b].cost
		}
	}
	return sum
}

// optimise pivots until no column lowers the cost.
func (c *covering) optimise() {
	for range pivotsPerRow*c.rows + len(c.columns) {
		entering, reduced := c.entering()
		if reduced > -epsilon || !c.pivot(entering, reduced) {
			return
		}
	}
}

// entering finds the column that lowers the cost most by each unit.
func (c *covering) entering() (entering int, reduced float64) {
	for j := range c.columns {
		col := &c.columns[j]
		r := col.cost
		for k, row := range col.rows {
			r -= c.y[row] * col.amount[k]
		}
		if r < reduced {
			entering, reduced = j, r
		}
	}
	for i, y := range c.y {
		if y < reduced {
			entering, reduced = -1-i, y
		}
	}
	return entering, reduced
}

func (c *covering) pivot(entering int, reduced float64) bool {
	c.direct(entering)
	leaving, best := -1, 0.0
	for i, d := range c.direction {
		if d <= epsilon {
			continue
		}
		if ratio := c.x[i] / d; leaving < 0 || ratio < best-epsilon || ratio < best+epsilon && c.basis[i] > c.basis[leaving] {
			leaving, best = i, ratio
		}
	}
	if leaving < 0 {
		return false
	}
	c.exchange(leaving, best)
	c.basis[leaving] = entering
	for k, v := range c.inverse[leaving*c.rows : (leaving+1)*c.rows] {
		c.y[k] += reduced * v
	}
	return true
}

// exchange brings the column of direction into the basis in place of the one at leaving.
func (c *covering) exchange(leaving int, amount float64) {
	n := c.rows
	row := c.inverse[leaving*n : (leaving+1)*n]
	scale := 1 / c.direction[leaving]
	for k := range row {
		row[k] *= scale
	}
	for i, d := range c.direction {
		if i == leaving || d == 0 {
			continue
		}
		c.x[i] = max(c.x[i]-d*amount, 0)
		target := c.inverse[i*n : (i+1)*n]
		for k, v := range row {
			target[k] -= d * v
		}
	}
	c.x[leaving] = amount
}

// direct writes the entering column in terms of the basis into direction.
func (c *covering) direct(entering int) {
	n := c.rows
	for r := range n {
		row := c.inverse[r*n : (r+1)*n]
		if entering < 0 {
			c.direction[r] = -row[-1-entering]
			continue
		}
		sum := 0.0
		for k, i := range c.columns[entering].rows {
			sum += row[i] * c.columns[entering].amount[k]
		}
		c.direction[r] = sum
	}
}

package cover

import (
	"cmp"
	"math"
	"slices"
)

// pricer solves the pricing problem of column generation: which pattern of an option is worth most at given duals. That is a
// knapsack problem of several resources, caps and conflicts, so it is solved by filling greedily, in order of worth for size,
// with sizes compared in many directions.
type pricer struct {
	*search
	// scales are the directions in which sizes are compared, one weight a resource.
	scales [][]float64
	// scarce are the resources that fill machines.
	scarce []int
	// needs are those of the classes, one after the other, so that they are read in a row.
	needs []int64
	// fits says of each option which classes it takes one item of.
	fits  [][]bool
	order []int32
	// density is what the classes of the order are worth for their size.
	density []float64
	left    []int64
	capped  []int32
	taken   []int32
	// spare and spareCaps are what a pattern that is being improved leaves; added are the classes that an exchange
	// brought, and replaced those of the pattern before it.
	spare           []int64
	spareCaps       []int32
	added, replaced []int32
}

// newPricer looks at what the demand asks for and chooses the directions: each scarce resource weighs
// what its cheapest unit costs, then a third and three times of that.
func newPricer(c *search) *pricer {
	dims := len(c.Options[0].Free)
	f := &pricer{
		search: c, fits: make([][]bool, len(c.Options)), left: make([]int64, dims), capped: make([]int32, len(c.Caps)), taken: make([]int32, len(c.Classes)),
		spare: make([]int64, dims), spareCaps: make([]int32, len(c.Caps)),
	}
	for i := range c.Classes {
		f.needs = append(f.needs, c.Classes[i].Needs...)
	}
	for o := range f.fits {
		f.fits[o] = make([]bool, len(c.Classes))
		for i := range c.Classes {
			f.fits[o][i] = c.Classes[i].Fits[o]
		}
	}
	unit := make([]float64, dims)
	for d := range dims {
		unit[d] = math.Inf(1)
		for i := range c.Options {
			if o := &c.Options[i]; o.Free[d] > 0 {
				unit[d] = min(unit[d], o.Cost/float64(o.Free[d]))
			}
		}
		if math.IsInf(unit[d], 1) {
			unit[d] = 0
		}
	}
	asked, most := make([]float64, dims), 0.0
	for i := range c.Classes {
		for d, need := range c.Classes[i].Needs {
			asked[d] += float64(need) * float64(c.Classes[i].Count) * unit[d]
			most = max(most, asked[d])
		}
	}
	for d := range dims {
		if asked[d] >= most/scarceShare {
			f.scarce = append(f.scarce, d)
		}
	}
	f.scales = append(f.scales, unit)
	for k, a := range f.scarce {
		for _, b := range f.scarce[k+1:] {
			for step := range angles + 1 {
				scale := make([]float64, dims)
				for d := range dims {
					scale[d] = unit[d] / otherWeight
				}
				scale[a] = unit[a] * float64(step) / angles
				scale[b] = unit[b] * float64(angles-step) / angles
				f.scales = append(f.scales, scale)
			}
		}
	}
	return f
}

const (
	// angles is how finely the trade-off between two scarce resources is searched.
	angles = 12
	// scarceShare is the part, as one in so many, of what the demand for the dearest resource is worth that the demand for
	// another must be worth for that to be scarce: one that is asked for less never fills a machine first.
	scarceShare = 5
	// otherWeight is the part, as one in so many, of their price that other resources weigh where two are traded off: enough to
	// break ties.
	otherWeight = 100
)

// found is a pattern and what its items are worth at the prices it was made for.
type found struct {
	Pattern
	worth float64
}

// fill makes, for each option, the pattern that is worth most at the prices y, of at most left items a class.
func (f *pricer) fill(y []float64, left []int32, options []int) []found {
	best := make([]found, len(options))
	for _, scale := range f.scales {
		f.sortBy(y, left, scale)
		least := f.leastNeeds()
		for k, o := range options {
			worth := f.fillOne(o, y, left, least)
			if worth > best[k].worth {
				best[k] = found{f.taking(o), worth}
			}
			f.clear()
		}
	}
	return best
}

// sortBy orders the classes by what they are worth for their size.
func (f *pricer) sortBy(y []float64, left []int32, scale []float64) {
	f.order = f.order[:0]
	if f.density == nil {
		f.density = make([]float64, len(f.Classes))
	}
	density := f.density
	for i := range f.Classes {
		if left[i] <= 0 || y[i] <= 0 {
			continue
		}
		size := epsilon
		for d, need := range f.needsOf(int32(i)) {
			size += float64(need) * scale[d]
		}
		density[i] = y[i] / size
		f.order = append(f.order, int32(i))
	}
	slices.SortFunc(f.order, func(a, b int32) int {
		switch x, y := density[a], density[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return int(a - b)
	})
}

// leastNeeds are the smallest needs, resource by resource, among the classes in order: a machine that has less
// is full.
func (f *pricer) leastNeeds() []int64 {
	least := make([]int64, len(f.left))
	for d := range least {
		least[d] = math.MaxInt64
		for _, i := range f.order {
			least[d] = min(least[d], f.Classes[i].Needs[d])
		}
	}
	return least
}

// fillOne fills one machine in the present order, and leaves what it took in taken.
func (f *pricer) fillOne(o int, y []float64, left []int32, least []int64) float64 {
	copy(f.left, f.Options[o].Free)
	copy(f.capped, f.Caps)
	worth, fits := 0.0, f.fits[o]
	for _, i := range f.order {
		f.effort--
		if !fits[i] {
			continue
		}
		n := f.most(i, left[i])
		if n <= 0 || f.conflicts(&f.Classes[i]) {
			continue
		}
		worth += float64(n) * y[i]
		if f.lay(i, n, least) {
			break
		}
	}
	return worth
}

// lay puts items of a class into the machine, and reports whether that fills it.
func (f *pricer) lay(i, n int32, least []int64) (full bool) {
	for d, need := range f.needsOf(i) {
		f.left[d] -= need * int64(n)
		full = full || f.left[d] < least[d]
	}
	for _, g := range f.Classes[i].Caps {
		f.capped[g] -= n
	}
	f.taken[i] += n
	return full
}

// needsOf are what one item of a class takes of each resource.
func (f *pricer) needsOf(i int32) []int64 {
	dims := len(f.left)
	return f.needs[int(i)*dims : int(i)*dims+dims]
}

// most is how many items of a class still go in, at most n.
func (f *pricer) most(i, n int32) int32 {
	needs, free := f.needsOf(i), f.left
	for d := range needs {
		if needs[d] > free[d] {
			return 0
		}
	}
	for _, g := range f.Classes[i].Caps {
		n = min(n, f.capped[g])
	}
	for d, need := range needs {
		if have := free[d]; have < need*int64(n) {
			n = int32(have / need)
		}
	}
	return n
}

func (f *pricer) conflicts(c *Class) bool {
	for _, foe := range c.Conflicts {
		if f.taken[foe] > 0 {
			return true
		}
	}
	return false
}

// taking is what fillOne took, as a pattern.
func (f *pricer) taking(o int) Pattern {
	p := Pattern{Option: o}
	for _, i := range f.order {
		if n := f.taken[i]; n > 0 {
			p.Classes = append(p.Classes, i)
			p.Counts = append(p.Counts, n)
		}
	}
	sortPattern(&p)
	return p
}

func sortPattern(p *Pattern) {
	index := make([]int, len(p.Classes))
	for i := range index {
		index[i] = i
	}
	slices.SortFunc(index, func(a, b int) int { return cmp.Compare(p.Classes[a], p.Classes[b]) })
	classes, counts := make([]int32, len(index)), make([]int32, len(index))
	for k, i := range index {
		classes[k], counts[k] = p.Classes[i], p.Counts[i]
	}
	p.Classes, p.Counts = classes, counts
}

func (f *pricer) clear() {
	for _, i := range f.order {
		f.taken[i] = 0
	}
}

package scheduling

import (
	"cmp"
	"math"
	"slices"
)

// cover is the problem of buying machines for classes of pods: the cheapest set of machines, each filled
// by one pattern, that serves all. Nothing in it knows of pods or nodes any more.
type cover struct {
	classes []class
	options []machine
	// caps bound the pods of each group of classes on one machine.
	caps []int32
	// effort is what may still be spent, in steps of a pattern's fill or of a pivot's row.
	effort int
	// prices are what a pod of each class costs in the first relaxation.
	prices []float64
	// relaxed is what the first relaxation costs.
	relaxed float64
}

// class is pods that are alike for everything that a machine to buy looks at.
type class struct {
	needs []int64
	count int32
	// caps index the groups that bound the class on one machine.
	caps []int32
	// foes are the classes that share no machine with it.
	foes []int32
	// fits says which options take one pod of the class.
	fits []bool
}

// machine is an option as a cover sees it.
type machine struct {
	free []int64
	cost float64
	// kind tells options apart that serve different pods whatever their size.
	kind int
}

// filler makes patterns for prices of classes.
type filler struct {
	*cover
	// scales are the directions in which sizes are compared, one weight a resource.
	scales [][]float64
	// scarce are the resources that fill machines.
	scarce []int
	// needs are those of the classes, one after the other, so that they are read in a row.
	needs []int64
	// fits says of each option which classes it takes one pod of.
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

// newFiller looks at what the demand asks for and chooses the directions: each scarce resource weighs
// what its cheapest unit costs, then a third and three times of that.
func newFiller(c *cover) *filler {
	dims := len(c.options[0].free)
	f := &filler{
		cover: c, fits: make([][]bool, len(c.options)), left: make([]int64, dims), capped: make([]int32, len(c.caps)), taken: make([]int32, len(c.classes)),
		spare: make([]int64, dims), spareCaps: make([]int32, len(c.caps)),
	}
	for i := range c.classes {
		f.needs = append(f.needs, c.classes[i].needs...)
	}
	for o := range f.fits {
		f.fits[o] = make([]bool, len(c.classes))
		for i := range c.classes {
			f.fits[o][i] = c.classes[i].fits[o]
		}
	}
	unit := make([]float64, dims)
	for d := range dims {
		unit[d] = math.Inf(1)
		for i := range c.options {
			if o := &c.options[i]; o.free[d] > 0 {
				unit[d] = min(unit[d], o.cost/float64(o.free[d]))
			}
		}
		if math.IsInf(unit[d], 1) {
			unit[d] = 0
		}
	}
	asked, most := make([]float64, dims), 0.0
	for i := range c.classes {
		for d, need := range c.classes[i].needs {
			asked[d] += float64(need) * float64(c.classes[i].count) * unit[d]
			most = max(most, asked[d])
		}
	}
	for d := range dims {
		if asked[d] >= most/5 { // others never fill a machine first
			f.scarce = append(f.scarce, d)
		}
	}
	f.scales = append(f.scales, unit)
	for k, a := range f.scarce {
		for _, b := range f.scarce[k+1:] {
			for step := range angles + 1 {
				scale := make([]float64, dims)
				for d := range dims {
					scale[d] = unit[d] / 100
				}
				scale[a] = unit[a] * float64(step) / angles
				scale[b] = unit[b] * float64(angles-step) / angles
				f.scales = append(f.scales, scale)
			}
		}
	}
	return f
}

// angles is how finely the trade-off between two scarce resources is searched.
const angles = 12

// found is a pattern and what its pods are worth at the prices it was made for.
type found struct {
	pattern
	worth float64
}

// fill makes, for each option, the pattern that is worth most at the prices y, of at most left pods a class.
func (f *filler) fill(y []float64, left []int32, options []int) []found {
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
func (f *filler) sortBy(y []float64, left []int32, scale []float64) {
	f.order = f.order[:0]
	if f.density == nil {
		f.density = make([]float64, len(f.classes))
	}
	density := f.density
	for i := range f.classes {
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
func (f *filler) leastNeeds() []int64 {
	least := make([]int64, len(f.left))
	for d := range least {
		least[d] = math.MaxInt64
		for _, i := range f.order {
			least[d] = min(least[d], f.classes[i].needs[d])
		}
	}
	return least
}

// fillOne fills one machine in the present order, and leaves what it took in taken.
func (f *filler) fillOne(o int, y []float64, left []int32, least []int64) float64 {
	machine := &f.options[o]
	copy(f.left, machine.free)
	copy(f.capped, f.caps)
	worth, fits := 0.0, f.fits[o]
	for _, i := range f.order {
		f.effort--
		if !fits[i] {
			continue
		}
		n := f.most(i, left[i])
		if n <= 0 || f.hasFoe(&f.classes[i]) {
			continue
		}
		worth += float64(n) * y[i]
		if f.lay(i, n, least) {
			break
		}
	}
	return worth
}

// lay puts pods of a class into the machine, and reports whether that fills it.
func (f *filler) lay(i, n int32, least []int64) (full bool) {
	for d, need := range f.needsOf(i) {
		f.left[d] -= need * int64(n)
		full = full || f.left[d] < least[d]
	}
	for _, g := range f.classes[i].caps {
		f.capped[g] -= n
	}
	f.taken[i] += n
	return full
}

// needsOf are what one pod of a class takes of each resource.
func (f *filler) needsOf(i int32) []int64 {
	dims := len(f.left)
	return f.needs[int(i)*dims : int(i)*dims+dims]
}

// most is how many pods of a class still go in, at most n.
func (f *filler) most(i, n int32) int32 {
	needs, free := f.needsOf(i), f.left
	for d := range needs {
		if needs[d] > free[d] {
			return 0
		}
	}
	for _, g := range f.classes[i].caps {
		n = min(n, f.capped[g])
	}
	for d, need := range needs {
		if have := free[d]; have < need*int64(n) {
			n = int32(have / need)
		}
	}
	return n
}

func (f *filler) hasFoe(c *class) bool {
	for _, foe := range c.foes {
		if f.taken[foe] > 0 {
			return true
		}
	}
	return false
}

// taking is what fillOne took, as a pattern.
func (f *filler) taking(o int) pattern {
	p := pattern{option: o}
	for _, i := range f.order {
		if n := f.taken[i]; n > 0 {
			p.classes = append(p.classes, i)
			p.counts = append(p.counts, n)
		}
	}
	sortPattern(&p)
	return p
}

func sortPattern(p *pattern) {
	index := make([]int, len(p.classes))
	for i := range index {
		index[i] = i
	}
	slices.SortFunc(index, func(a, b int) int { return cmp.Compare(p.classes[a], p.classes[b]) })
	classes, counts := make([]int32, len(index)), make([]int32, len(index))
	for k, i := range index {
		classes[k], counts[k] = p.classes[i], p.counts[i]
	}
	p.classes, p.counts = classes, counts
}

func (f *filler) clear() {
	for _, i := range f.order {
		f.taken[i] = 0
	}
}

// holds reports whether a machine of an option takes a pattern.
func (c *cover) holds(o int, p *pattern) bool {
	for d, have := range c.options[o].free {
		for k, i := range p.classes {
			have -= c.classes[i].needs[d] * int64(p.counts[k])
		}
		if have < 0 {
			return false
		}
	}
	for _, i := range p.classes {
		if !c.classes[i].fits[o] {
			return false
		}
	}
	return true
}

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
	// fits says of each option which classes it takes one pod of.
	fits   [][]bool
	order  []int32
	left   []int64
	capped []int32
	taken  []int32
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
	density := make([]float64, len(f.classes))
	for i := range f.classes {
		if left[i] <= 0 || y[i] <= 0 {
			continue
		}
		size := epsilon
		for d, need := range f.classes[i].needs {
			size += float64(need) * scale[d]
		}
		density[i] = y[i] / size
		f.order = append(f.order, int32(i))
	}
	slices.SortFunc(f.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(density[b], density[a]), cmp.Compare(a, b))
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
		c := &f.classes[i]
		n := f.most(c, left[i])
		if n <= 0 || f.hasFoe(c) {
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
	c := &f.classes[i]
	for d, need := range c.needs {
		f.left[d] -= need * int64(n)
		full = full || f.left[d] < least[d]
	}
	for _, g := range c.caps {
		f.capped[g] -= n
	}
	f.taken[i] += n
	return full
}

// most is how many pods of a class still go in.
func (f *filler) most(c *class, n int32) int32 {
	for _, g := range c.caps {
		n = min(n, f.capped[g])
	}
	for d, need := range c.needs {
		if need == 0 {
			continue
		}
		if have := f.left[d]; have < need*int64(n) {
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

// improve exchanges pods of a pattern for others while that makes it worth more: one or a few of a class
// go, and what is worth most for its size comes in their place.
func (f *filler) improve(best *found, y []float64, left []int32) {
	for _, scale := range f.scales[:min(len(f.scales), 2)] {
		f.sortBy(y, left, scale)
		least := f.leastNeeds()
		for improved := true; improved; {
			improved = false
			f.begin(best)
			for k := 0; !improved && k < len(best.classes); k++ {
				for out := int32(1); !improved && out <= min(best.counts[k], 3); out++ {
					if worth := best.worth + f.exchange(best, k, out, y, left, least); worth > best.worth+epsilon {
						*best = found{f.takingAll(best), worth}
						improved = true
					}
					f.undo(best)
				}
			}
			f.clearAll(best)
		}
	}
}

// begin lays a pattern's pods into the machine: spare is what they leave, and taken what they are.
func (f *filler) begin(p *found) {
	copy(f.spare, f.options[p.option].free)
	copy(f.spareCaps, f.caps)
	for j, i := range p.classes {
		for d, need := range f.classes[i].needs {
			f.spare[d] -= need * int64(p.counts[j])
		}
		for _, g := range f.classes[i].caps {
			f.spareCaps[g] -= p.counts[j]
		}
		f.taken[i] = p.counts[j]
	}
}

// exchange takes some pods of a pattern's k-th class out and fills the room in the present order without that class. It
// returns what that wins.
func (f *filler) exchange(p *found, k int, out int32, y []float64, left []int32, least []int64) float64 {
	copy(f.left, f.spare)
	copy(f.capped, f.spareCaps)
	gone := p.classes[k]
	c := &f.classes[gone]
	for d, need := range c.needs {
		f.left[d] += need * int64(out)
	}
	for _, g := range c.caps {
		f.capped[g] += out
	}
	f.taken[gone] -= out
	f.added = f.added[:0]
	won := -float64(out) * y[gone]
	fits := f.fits[p.option]
	for _, i := range f.order {
		f.effort--
		if i == gone || !fits[i] {
			continue
		}
		c := &f.classes[i]
		n := f.most(c, left[i]-f.taken[i])
		if n <= 0 || f.hasFoe(c) {
			continue
		}
		f.added = append(f.added, i)
		won += float64(n) * y[i]
		if f.lay(i, n, least) {
			break
		}
	}
	return won
}

// takingAll is what begin and exchange left in the machine, as a pattern.
func (f *filler) takingAll(p *found) pattern {
	out := pattern{option: p.option}
	classes := slices.Concat(p.classes, f.added)
	slices.Sort(classes)
	for _, i := range slices.Compact(classes) {
		if n := f.taken[i]; n > 0 {
			out.classes = append(out.classes, i)
			out.counts = append(out.counts, n)
		}
	}
	f.replaced = p.classes
	return out
}

// undo takes back what exchange changed in taken; after an exchange that was kept there is nothing to keep, since begin
// starts anew.
func (f *filler) undo(p *found) {
	for _, i := range f.added {
		f.taken[i] = 0
	}
	for _, i := range f.replaced {
		f.taken[i] = 0
	}
	f.replaced = nil
	for j, i := range p.classes {
		f.taken[i] = p.counts[j]
	}
}

func (f *filler) clearAll(p *found) {
	for _, i := range p.classes {
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

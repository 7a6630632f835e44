package bound

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// knapsack asks for the pods that are worth most together on one machine, whose price counts as 1.
type knapsack struct {
	room  []int64
	items []knapsackItem
	// worth of each resource's whole room, in a linear relaxation.
	worth []float64
	// top is what the relaxation is worth: no filling is worth more.
	top float64
	// rest is how much of each resource the items from some index on can take at most.
	rest [][]int64

	best    float64
	filling []int
	// counts and free are, item by item, what the search has settled and the room that it had before.
	counts []int
	free   [][]int64
	steps  int
}

type knapsackItem struct {
	class int
	needs []int64
	most  int
	value float64
	// excess is what a pod is worth over the resources that it takes.
	excess float64
	// likely is how many pods the linear relaxation takes, rounded.
	likely int
}

// newKnapsack values each class by prices and the machine by its own price.
func newKnapsack(m *machine, classes []class, prices []float64) *knapsack {
	k := &knapsack{room: m.room}
	for i := range classes {
		if most := m.fits(&classes[i]); most > 0 && prices[i] > 0 {
			k.items = append(k.items, knapsackItem{class: i, needs: classes[i].needs, most: most, value: prices[i] / m.price})
		}
	}
	k.relax()
	return k
}

// relax values the resources so that pods are worth little more than what they take. Whatever the values, top
// stays a bound; the linear program's make it the lowest.
func (k *knapsack) relax() {
	k.worth = make([]float64, len(k.room))
	if len(k.items) == 0 {
		return
	}
	demand := make([]float64, len(k.items))
	columns := make([]column, len(k.items), len(k.items)+len(k.room))
	for i, it := range k.items {
		demand[i] = it.value
		columns[i] = column{cost: float64(it.most), rows: []int{i}, amount: []float64{1}}
	}
	for r := range k.room {
		columns = append(columns, k.resourceColumn(r))
	}
	c := newCovering(demand, columns)
	c.optimise()
	for i, b := range c.basis {
		if r := b - len(k.items); r >= 0 {
			k.worth[r] = max(c.x[i], 0)
		}
	}
	for r, worth := range k.worth {
		k.top += worth
		for i := range k.items {
			k.items[i].excess -= worth * k.share(i, r)
		}
	}
	for i := range k.items {
		it := &k.items[i]
		it.excess += it.value
		it.likely = int(math.Round(c.y[i]))
		k.top += max(it.excess, 0) * float64(it.most)
	}
}

// resourceColumn is a resource, the whole of whose room costs 1.
func (k *knapsack) resourceColumn(r int) column {
	col := column{cost: 1}
	for i := range k.items {
		if share := k.share(i, r); share > 0 {
			col.rows, col.amount = append(col.rows, i), append(col.amount, share)
		}
	}
	return col
}

// share is how much of a resource's room a pod of an item takes.
func (k *knapsack) share(item, resource int) float64 {
	if k.room[resource] <= 0 {
		return 0
	}
	return float64(k.items[item].needs[resource]) / float64(k.room[resource])
}

// search looks for a filling worth more than threshold, for so many steps at most. It returns a bound on what any
// filling is worth that is at least threshold, and leaves the best one found, if any, in filling.
//
// It looks for nearly perfect fillings first, since the closer to the bound a filling must be, the fewer there are to look at;
// each time that none is found the bound itself gets lower.
func (k *knapsack) search(threshold float64, steps int) float64 {
	if k.top <= threshold {
		return threshold
	}
	k.arrange(k.top - threshold)
	gap := k.top - threshold
	proven, open := k.top, false
	for part := 1.0 / 64; part <= 1; part *= 2 {
		k.best, k.steps, k.counts = k.top-gap*part, steps, make([]int, len(k.items))
		k.descend(0, k.top)
		if k.steps > 0 && !open {
			proven = k.best
		} else {
			open = true
		}
		if k.filling != nil {
			break
		}
	}
	return proven
}

// arrange orders the items for a search.
func (k *knapsack) arrange(gap float64) {
	slices.SortStableFunc(k.items, func(a, b knapsackItem) int {
		return cmp.Or(cmp.Compare(k.rank(&b, gap), k.rank(&a, gap)), cmp.Compare(k.size(&b), k.size(&a)), cmp.Compare(a.class, b.class))
	})
	k.rest = make([][]int64, len(k.items)+1)
	k.rest[len(k.items)] = make([]int64, len(k.room))
	k.free = make([][]int64, len(k.items)+1)
	for i := range k.free {
		k.free[i] = slices.Clone(k.room)
	}
	for i := len(k.items) - 1; i >= 0; i-- {
		k.rest[i] = slices.Clone(k.rest[i+1])
		for r, need := range k.items[i].needs {
			k.rest[i][r] += need * int64(k.items[i].most)
		}
	}
}

// rank puts items first whose count the bound all but settles: one pod more or less costs more than the gap.
func (k *knapsack) rank(it *knapsackItem, gap float64) int {
	if math.Abs(it.excess) > gap {
		return 1
	}
	return 0
}

// size is the largest share of a resource that a pod takes, so that small ones fill what large ones leave.
func (k *knapsack) size(it *knapsackItem) float64 {
	size := 0.0
	for r, need := range it.needs {
		if k.room[r] > 0 {
			size = max(size, float64(need)/float64(k.room[r]))
		}
	}
	return size
}

// descend settles the items from one on, given a bound on the worth of all that can come of it.
func (k *knapsack) descend(item int, limit float64) {
	free := k.free[item]
	if k.steps--; k.steps <= 0 || limit-k.idle(item, free) <= k.best+epsilon {
		return
	}
	if item == len(k.items) {
		k.best = limit - k.idle(item, free)
		k.filling = slices.Clone(k.counts)
		return
	}
	it := &k.items[item]
	least, most := k.span(it, free, limit)
	for n := range outward(it.likely, least, most) {
		loss := max(it.excess, 0)*float64(it.most) - it.excess*float64(n)
		for r, need := range it.needs {
			k.free[item+1][r] = free[r] - need*int64(n)
		}
		k.counts[item] = n
		if k.descend(item+1, limit-loss); k.steps <= 0 {
			break
		}
	}
	k.counts[item] = 0
}

// span is how few and how many pods of an item may lead to something better than the best.
func (k *knapsack) span(it *knapsackItem, free []int64, limit float64) (least, most int) {
	most = it.most
	for r, need := range it.needs {
		if need > 0 {
			most = min(most, int(free[r]/need))
		}
	}
	spare := limit - k.best - epsilon
	if it.excess > 0 {
		least = max(0, it.most-int(min(spare/it.excess, float64(it.most))))
	} else if it.excess < 0 {
		most = min(most, int(min(spare/-it.excess, float64(most))))
	}
	return least, most
}

// outward goes through the numbers from least to most, the nearest to start first.
func outward(start, least, most int) iter.Seq[int] {
	return func(yield func(int) bool) {
		start = min(max(start, least), most)
		for d := 0; start-d >= least || start+d <= most; d++ {
			if start-d >= least && start-d <= most && !yield(start-d) {
				return
			}
			if d > 0 && start+d >= least && start+d <= most && !yield(start+d) {
				return
			}
		}
	}
}

// idle is the worth of the room that the items from one on cannot take.
func (k *knapsack) idle(item int, free []int64) float64 {
	idle := 0.0
	for r, worth := range k.worth {
		if unused := free[r] - k.rest[item][r]; unused > 0 && worth > 0 {
			idle += worth * float64(unused) / float64(k.room[r])
		}
	}
	return idle
}

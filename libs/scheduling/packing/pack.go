package packing

import (
	"cmp"
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Demand is a number of waiting pods of one shape.
type Demand struct {
	Item  *scheduling.Item
	Count int
}

// Option is one kind of machine that may be launched.
type Option struct {
	// Group is the NodeGroup in namespace/name form.
	Group        string
	Offering     int64
	OfferingName string
	// Weight ranks groups before price; higher first.
	Weight       int32
	MonthlyPrice money.Micros
	// MilliCPU and MemoryBytes are the machine's size, which limits count.
	MilliCPU, MemoryBytes int64
	// Empty is the node that launching one would bring; its name is the stem of theirs.
	Empty *scheduling.Node
}

// Amounts are what one machine adds to its group.
func (o *Option) Amounts() bounds.Amounts {
	return bounds.Amounts{Nodes: 1, MilliCPU: o.MilliCPU, MemoryBytes: o.MemoryBytes, MonthlyPrice: o.MonthlyPrice}
}

// Problem is what Pack solves.
type Problem struct {
	// State holds the nodes that are there; pods can go to those of Existing.
	State    *scheduling.State
	Existing []int
	// Launching are the nodes on their way. kube-scheduler does not know of them yet, so they join the state once
	// the existing nodes have taken what they can.
	Launching []*scheduling.Node
	Demands   []Demand
	Options   []*Option
	// Limits are the bounds of each group; a group without an entry launches nothing.
	Limits map[string]bounds.Limit
	// SoftShare is how much more, in percent, a plan may cost for granting what pods only prefer.
	SoftShare int
}

// effortDefault is the search that a plan is worth, in steps of some 20 ns: about a tenth of a second. One of more than podsMany
// pods is worth half as much again, effortMany. It is no time, so that the same input always gives the same plan.
const (
	effortDefault = 4_000_000
	effortMany    = effortDefault + effortDefault/2
	podsMany      = 2_000
)

// effortShares bounds the search of a whole plan, with all its tiers of weights and its wishes, in searches of one;
// effortLeast is what each still gets once that is spent.
const (
	effortShares = 3
	effortLeast  = 200_000
)

// SoftShareDefault is how much more a plan may cost for preferences, in percent.
const SoftShareDefault = 5

// Launch is one machine to launch and what it is for.
type Launch struct {
	Option *Option
	// Node is the machine's index in the state.
	Node int
	// Pods counts the pods, by shape, that the plan puts on it, and Planned the same by Item.Placement.
	Pods    map[scheduling.ShapeID]int
	Planned map[string]int
}

// Placement puts pods on a node. Placements are in an order in which kube-scheduler could bind the pods.
type Placement struct {
	Item  *scheduling.Item
	Node  int
	Count int
	// After is how many of the launches are there when it is made.
	After int
}

// Plan is the answer to a batch of demands.
type Plan struct {
	// Launches are the machines to launch.
	Launches   []Launch
	Placements []Placement
	// OnExisting and OnLaunching count pods, by shape, that nodes already there or on their way serve.
	OnExisting, OnLaunching map[scheduling.ShapeID]int
	// Served counts pods, by shape, that the launches serve.
	Served map[scheduling.ShapeID]int
	// Left counts pods, by shape, that nothing serves.
	Left map[scheduling.ShapeID]int
}

// MonthlyPrice is the price of all launches together.
func (p *Plan) MonthlyPrice() money.Micros {
	sum := money.Micros(0)
	for i := range p.Launches {
		sum += p.Launches[i].Option.MonthlyPrice
	}
	return sum
}

// Pack finds room for every demand: on existing nodes first, then on those being launched, then on the
// cheapest machines to launch within limits. The state is left as it is once all of that has happened.
//
// Groups of a higher weight launch first: what a group of a lower weight serves, none of a higher one could in
// the same plan. Launches are planned for the whole batch at once: pods
// that are alike for machines are packed as counts by column generation (see cover), topology domains being
// chosen before; every placement is then made by kube-scheduler's rules, and what those refuse is packed
// machine by machine. The result depends on the arguments alone, not on the order of demands or options.
func Pack(p Problem) Plan {
	k := newPacker(p)
	k.servePlanned(p.Existing, k.result.OnExisting)
	k.serve(p.Existing, k.result.OnExisting)
	for _, n := range p.Launching {
		k.launching = append(k.launching, p.State.AddNode(n))
	}
	k.servePlanned(k.launching, k.result.OnLaunching)
	k.serve(k.launching, k.result.OnLaunching)
	if plan := k.launch(byPreference(p.Options)); plan != nil {
		k.commit(plan)
	}
	for _, d := range k.demands {
		if d.count > 0 {
			k.result.Left[d.item.ID] += d.count
		}
	}
	return k.result
}

// demand is pods of one item that still wait.
type demand struct {
	item *scheduling.Item
	is   *scheduling.Subject
	// wishes are the kinds of soft constraints of the item.
	wishes []wish
	count  int
}

type packer struct {
	Problem
	state     *scheduling.State
	launching []int
	demands   []*demand
	limits    map[string]bounds.Limit
	// effort bounds the search for a cheaper plan, and left is what the whole plan may still spend on its search.
	effort, left int
	result       Plan
}

// newPacker starts on a problem.
func newPacker(p Problem) *packer {
	k := &packer{Problem: p, state: p.State, limits: maps.Clone(p.Limits), result: Plan{
		OnExisting: map[scheduling.ShapeID]int{}, OnLaunching: map[scheduling.ShapeID]int{}, Served: map[scheduling.ShapeID]int{}, Left: map[scheduling.ShapeID]int{},
	}}
	for _, d := range p.Demands {
		if d.Count > 0 {
			k.demands = append(k.demands, &demand{item: d.Item, is: p.State.Subject(d.Item), count: d.Count, wishes: wishesOf(d.Item.Shape)})
		}
	}
	if k.effort = effortDefault; k.waiting() > podsMany {
		k.effort = effortMany
	}
	k.left = k.effort * effortShares
	slices.SortStableFunc(k.demands, func(a, b *demand) int { return scheduling.ByDecreasingSize(a.item, b.item) })
	return k
}

// byPreference sorts options by weight, the highest first, and those of one weight by price.
func byPreference(options []*Option) []*Option {
	sorted := slices.Clone(options)
	slices.SortStableFunc(sorted, func(a, b *Option) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.MonthlyPrice, b.MonthlyPrice),
			cmp.Compare(a.Group, b.Group), cmp.Compare(a.Offering, b.Offering), cmp.Compare(a.Empty.Name, b.Empty.Name))
	})
	return sorted
}

// serve places demands on nodes, where their wishes are granted first and on the rest then.
func (k *packer) serve(nodes []int, placed map[scheduling.ShapeID]int) {
	if len(nodes) == 0 {
		return
	}
	for again := true; again; {
		again = false
		for _, d := range k.demands {
			before := d.count
			for _, set := range d.wishSets() {
				k.serveOne(d, k.insist(d, set), nodes, placed)
			}
			k.serveOne(d, d.is, nodes, placed)
			// Where one pod of an affinity is, others may follow.
			again = again || d.count < before && k.hasAffine()
		}
	}
}

func (k *packer) hasAffine() bool {
	return slices.ContainsFunc(k.demands, func(d *demand) bool { return d.count > 0 && len(d.item.AffinityKeys()) > 0 })
}

// servePlanned places pods on the nodes that were launched for them, in as many passes as their rules ask for.
// Without it a plan that is carried out would not be found again, and more would be launched.
func (k *packer) servePlanned(nodes []int, placed map[scheduling.ShapeID]int) {
	left := map[int]map[string]int{}
	var planned []int
	for _, node := range nodes {
		if p := k.state.Node(node).Planned; len(p) > 0 {
			left[node] = maps.Clone(p)
			for there, count := range k.state.PodsOn(node) {
				left[node][there.Placement] -= count
			}
			planned = append(planned, node)
		}
	}
	for progress := true; progress; {
		progress = false
		for _, d := range k.demands {
			for _, node := range planned {
				n := min(left[node][d.item.Placement], d.count)
				if n <= 0 {
					continue
				}
				put := k.state.Fill(d.is, node, n)
				if put == 0 {
					continue
				}
				k.result.Placements = append(k.result.Placements, Placement{Item: d.item, Node: node, Count: put})
				placed[d.item.ID] += put
				left[node][d.item.Placement] -= put
				d.count -= put
				progress = true
			}
		}
	}
}

// lastResorts orders the nodes so that those with a PreferNoSchedule taint that the item does not tolerate come last.
func (k *packer) lastResorts(item *scheduling.Item, nodes []int) []int {
	avoids := func(node int) bool { return k.state.Avoids(item, node) }
	if !slices.ContainsFunc(nodes, avoids) {
		return nodes
	}
	out := slices.Clone(nodes)
	slices.SortStableFunc(out, func(a, b int) int {
		switch x, y := avoids(a), avoids(b); {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	})
	return out
}

// serveOne places a demand by the rules of a variant of its item.
func (k *packer) serveOne(d *demand, variant *scheduling.Subject, nodes []int, placed map[scheduling.ShapeID]int) {
	var found []Placement
	nodes = k.lastResorts(d.item, nodes)
	k.state.Try(func() bool {
		k.state.FillInTurn(variant, nodes, d.count, func(node, count int) {
			found = append(found, Placement{Item: d.item, Node: node, Count: count})
		})
		return variant == d.is
	})
	for _, p := range found {
		if variant != d.is {
			k.state.Put(d.is, p.Node, int32(p.Count))
		}
		k.result.Placements = append(k.result.Placements, p)
		placed[d.item.ID] += p.Count
		d.count -= p.Count
	}
}

// commit makes a draft's launches and placements for good.
func (k *packer) commit(d *draft) {
	first := k.state.Len()
	for _, m := range d.machines {
		node := k.state.AddNode(m.node)
		k.result.Launches = append(k.result.Launches, Launch{Option: m.option, Node: node, Pods: map[scheduling.ShapeID]int{}, Planned: map[string]int{}})
		k.limits[m.option.Group] = k.limits[m.option.Group].Less(m.option.Amounts())
	}
	of := make(map[int]int, len(d.machines))
	for i, m := range d.machines {
		of[m.index] = first + i
	}
	base := len(k.result.Launches) - len(d.machines)
	for _, p := range d.placements {
		node, launched := of[p.node]
		if !launched {
			node = p.node
		}
		k.state.Put(p.demand.is, node, int32(p.count))
		k.result.Placements = append(k.result.Placements, Placement{p.demand.item, node, p.count, len(k.result.Launches)})
		p.demand.count -= p.count
		if launched {
			launch := &k.result.Launches[base+node-first]
			launch.Pods[p.demand.item.ID] += p.count
			launch.Planned[p.demand.item.Placement] += p.count
			k.result.Served[p.demand.item.ID] += p.count
		} else {
			k.result.OnExisting[p.demand.item.ID] += p.count
		}
	}
}

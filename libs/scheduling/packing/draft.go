package packing

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// draft is a plan for launches that was tried out in the state and taken back.
type draft struct {
	machines   []draftMachine
	placements []draftPlacement
	// cost is a month's, in millionths of a dollar.
	cost   float64
	served int
	// spread says that pods which are spread over nodes decide the number of machines.
	spread bool
	// bands are the sets for which a site was chosen, in an order that only depends on what waits.
	bands []bandChoice
}

type draftMachine struct {
	option *Option
	node   *scheduling.Node
	// index is the machine's node while the draft was tried out.
	index int
	pods  int
}

type draftPlacement struct {
	demand *demand
	node   int
	count  int
}

// target is what a draft still has to place of a demand, by the rules of a variant of its item.
type target struct {
	*demand
	variant *scheduling.Subject
	left    int
	// sited are the pods under the rules that speak of sites alone; nil until they are needed.
	sited *scheduling.Subject
	// sites is how many pods go to each site; nil means any.
	sites []int
	// places are what each site offers to a pod, while sites are chosen, and mates the other targets that want to be with
	// the pods or with which they want to be.
	places []place
	mates  []*target
	// apart says that the pods cannot be packed as counts: they want to be with others on one node.
	apart bool
	// order is when the pods are placed.
	order int
	// leads says that others want to be with the pods on their node.
	leads bool
	// whole says that all that is left goes on one node or none of it.
	whole bool
}

// drafting is the work on one draft.
type drafting struct {
	*packer
	options []*Option
	// empties are the options' nodes as the state sees them, and site the site of each.
	empties []*scheduling.Prospect
	site    []int
	targets []*target
	// limits are what the machines of the present pass leave over.
	limits   map[string]bounds.Limit
	old      []int
	draft    draft
	launched map[int]int
	choices
	// bands are the sets for which a site was chosen.
	bands []bandChoice
}

// draft plans what waits on the options, with a set of wishes made into requirements. It returns nil when no option may be
// launched.
func (k *packer) draft(options []*Option, set wishSet) *draft {
	first := k.draftOnce(options, set, choices{})
	if first == nil || set != 0 {
		return first
	}
	best := k.tryOtherSites(options, first)
	if !best.spread {
		return best
	}
	// Spread pods alone decide how many machines there are. Evenly on fewer, larger machines may be cheaper.
	if level := k.draftOnce(options, set, choices{level: true}); level.cost < best.cost && level.servesNoLess(best) {
		return level
	}
	return best
}

// choices are what a draft does not decide by itself.
type choices struct {
	// level lets pods that are spread over nodes be several on each, as long as they are evenly so.
	level bool
	// sites are those of bands by their number.
	sites map[int]int
}

func (k *packer) draftOnce(options []*Option, set wishSet, c choices) *draft {
	d := k.newDrafting(options, set, c)
	if d == nil {
		return nil
	}
	d.carryOut(d.plan())
	d.draft.spread, d.draft.bands = d.isDrivenBySpread(), d.bands
	return &d.draft
}

// newDrafting starts on a draft; it returns nil when no option may be launched.
func (k *packer) newDrafting(options []*Option, set wishSet, c choices) *drafting {
	d := &drafting{packer: k, choices: c}
	d.begin()
	for _, o := range options {
		avoided := set.has(wishTaint) && slices.ContainsFunc(o.Empty.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectPreferNoSchedule })
		if limit, open := d.limits[o.Group]; open && limit.Allows(o.Amounts()) && !avoided {
			d.options = append(d.options, o)
		}
	}
	if len(d.options) == 0 {
		return nil
	}
	for _, dem := range k.demands {
		if dem.count > 0 {
			variant := k.insist(dem, set)
			d.targets = append(d.targets, &target{demand: dem, variant: variant, left: dem.count, apart: slices.Contains(variant.AffinityKeys(), corev1.LabelHostname)})
		}
	}
	for _, o := range d.options {
		d.empties = append(d.empties, k.state.Prospect(o.Empty))
	}
	d.findFollowers()
	for _, t := range d.targets {
		t.order = orderOf(t)
	}
	d.old = slices.Concat(k.Existing, k.launching)
	return d
}

// findFollowers says of the pods that share nodes by rule which lead, and which cannot be divided.
func (d *drafting) findFollowers() {
	for _, set := range d.linkedTargets(onNode) {
		for _, t := range set {
			t.leads = !t.apart
			t.whole = t.apart && len(set) == 1 && slices.ContainsFunc(d.options, func(o *Option) bool { return d.holdsAll(o, t) })
		}
	}
}

// settleMax bounds the passes in which a draft is tried out again with all of its machines there from the start.
const settleMax = 4

// carryOut tries out machines that were planned for counts of pods, with what each is to get. The rules judge every placement; this
// is the repair of those that they refuse: such pods go wherever there is room by now, and else on more machines. A machine that
// had to be added for what was left changes what rules about topology allow, and so does one that is left out since it got no pod:
// the whole is tried again with those that are launched there from the start.
func (d *drafting) carryOut(options []*Option, shares []*share) {
	for pass := range settleMax {
		d.begin()
		opened := false
		d.state.Try(func() bool {
			for _, o := range options {
				d.add(o)
			}
			d.placeShares(shares)
			d.placeLeft()
			opened = d.open()
			if d.divide() {
				d.placeLeft()
				opened = d.open() || opened
			}
			return false
		})
		freed := d.collect() && slices.ContainsFunc(d.targets, func(t *target) bool { return t.left > 0 })
		if !opened && !freed || pass == settleMax-1 {
			return
		}
		options, shares = d.replay(&d.draft)
	}
}

// divide lets what was to be on one node be on several after all where that found no room; it reports whether there is any.
func (d *drafting) divide() bool {
	some := false
	for _, t := range d.targets {
		if t.whole && t.left > 0 {
			t.whole, some = false, true
		}
	}
	return some
}

// begin forgets an earlier pass.
func (d *drafting) begin() {
	d.draft, d.launched, d.limits = draft{}, map[int]int{}, maps.Clone(d.packer.limits)
	for _, t := range d.targets {
		t.left = t.count
	}
}

// collect drops the machines that got no pod, and reports whether there were any.
func (d *drafting) collect() bool {
	all := len(d.draft.machines)
	machines := d.draft.machines[:0]
	for _, m := range d.draft.machines {
		if m.pods > 0 {
			machines = append(machines, m)
			d.draft.cost += float64(m.option.MonthlyPrice)
		}
	}
	d.draft.machines = machines
	return len(machines) < all
}

// replay is what a draft did, for another pass to do with all of its machines.
func (d *drafting) replay(done *draft) ([]*Option, []*share) {
	var options []*Option
	number := map[int]int{}
	for _, m := range done.machines {
		number[m.index] = len(options)
		options = append(options, m.option)
	}
	shares := make([]*share, len(d.targets))
	of := map[*demand]*share{}
	for i, t := range d.targets {
		shares[i] = &share{target: t}
		of[t.demand] = shares[i]
	}
	for _, p := range done.placements {
		if machine, launched := number[p.node]; launched {
			of[p.demand].parts = append(of[p.demand].parts, part{machine, p.count})
		}
	}
	return options, shares
}

// add puts a machine of an option into the state.
func (d *drafting) add(o *Option) int {
	n := *o.Empty
	n.Name = fmt.Sprintf("%s-%d", o.Empty.Name, d.state.Len())
	n.Labels = maps.Clone(o.Empty.Labels)
	if _, found := n.Labels[corev1.LabelHostname]; found {
		n.Labels[corev1.LabelHostname] = n.Name
	}
	index := d.state.AddNode(&n)
	d.launched[index] = len(d.draft.machines)
	d.draft.machines = append(d.draft.machines, draftMachine{option: o, node: &n, index: index})
	d.limits[o.Group] = d.limits[o.Group].Less(o.Amounts())
	return index
}

// fill puts up to n pods of a target on a node.
func (d *drafting) fill(t *target, node, n int) int {
	put := d.state.Fill(t.variant, node, min(n, t.left))
	if put > 0 {
		d.note(t, node, put)
	}
	return put
}

func (d *drafting) note(t *target, node, put int) {
	t.left -= put
	d.draft.served += put
	d.draft.placements = append(d.draft.placements, draftPlacement{t.demand, node, put})
	if i, launched := d.launched[node]; launched {
		d.draft.machines[i].pods += put
	}
}

// placeLeft puts what the packing of counts did not place wherever there is room by now.
func (d *drafting) placeLeft() bool {
	placed := false
	nodes := slices.Clone(d.old)
	for _, m := range d.draft.machines {
		nodes = append(nodes, m.index)
	}
	for again := true; again; {
		again = false
		for _, t := range d.targets {
			if t.left == 0 {
				continue
			}
			d.state.FillInTurn(t.variant, d.wholeNodes(t, nodes), t.left, func(node, count int) {
				d.note(t, node, count)
				placed, again = true, again || d.hasAffine()
			})
		}
	}
	return placed
}

// takes reports whether an empty machine takes one pod of a target, as far as the machine says.
func (d *drafting) takes(option int, t *target) bool { return d.empties[option].Takes(t.variant) }

// placeShares places pods on the machines that were planned for them, each by the rules.
func (d *drafting) placeShares(shares []*share) {
	for order := range ordersCount {
		d.placeSharesOf(shares, func(t *target) bool { return t.order == order })
	}
	d.placeSharesOf(shares, func(t *target) bool { return t.apart }) // whom they follow may have come later
}

func (d *drafting) placeSharesOf(shares []*share, of func(*target) bool) {
	for progress := true; progress; {
		progress = false
		for _, share := range shares {
			if of(share.target) {
				progress = d.placeShare(share) || progress
			}
		}
	}
}

func (d *drafting) placeShare(s *share) bool {
	placed := false
	for i := range s.parts {
		part := &s.parts[i]
		if part.count > 0 {
			put := d.fill(s.target, d.draft.machines[part.machine].index, part.count)
			part.count -= put
			placed = placed || put > 0
		}
	}
	return placed
}

// The order in which pods are placed: those first whose rules count others that have no such rules and can wait. A rule about
// one node is the easiest to break, then one about a larger topology.
const (
	orderHost = iota
	orderSite
	orderFree
	ordersCount
)

// orderOf is a target's place in that order.
func orderOf(t *target) int {
	switch {
	case t.leads:
		return orderHost
	case t.variant.IsFree():
		return orderFree
	case len(t.variant.TopologyKeys()) > 0:
		return orderSite
	}
	return orderHost
}

package scheduling

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// Demand is a number of waiting pods of one shape.
type Demand struct {
	Item  *Item
	Count int
}

// Option is one kind of machine that may be bought.
type Option struct {
	// Group is the NodeGroup in namespace/name form.
	Group        string
	Offering     int64
	OfferingName string
	// Weight ranks groups before price; higher first.
	Weight       int32
	MonthlyPrice money.Micros
	// Empty is the node that buying one would bring.
	Empty *Bin
}

// Purchase is one machine to buy and what it is for.
type Purchase struct {
	Option *Option
	Bin    *Bin
}

// Packing is the answer to a batch of demands.
type Packing struct {
	// Purchases are the machines to buy, in the order in which they were chosen.
	Purchases []Purchase
	// OnExisting and OnLaunching count pods, by shape, that nodes already there or on their way serve.
	OnExisting, OnLaunching map[ShapeID]int
	// Served counts pods, by shape, that the purchases serve.
	Served map[ShapeID]int
	// Left counts pods, by shape, that nothing serves.
	Left map[ShapeID]int
}

// Pack finds room for every demand: on existing nodes first, then on those being launched, then
// on the cheapest machines to buy within limits, which bound the purchases of each group. Existing
// and launching bins are changed; options are not.
//
// Purchases are chosen greedily: of all options of the highest weight that serve anything, the one
// with the lowest price for the share of it that first-fit-decreasing fills; a choice is repeated
// while the demand for the same pattern lasts. Each machine is then exchanged for the cheapest one
// that holds the same pods.
func Pack(demands []Demand, existing, launching []*Bin, options []*Option, limits map[string]int) Packing {
	p := packer{options: options, limits: map[string]int{}, result: Packing{
		OnExisting: map[ShapeID]int{}, OnLaunching: map[ShapeID]int{}, Served: map[ShapeID]int{}, Left: map[ShapeID]int{},
	}}
	for group, limit := range limits {
		p.limits[group] = limit
	}
	p.demands = slices.Clone(demands)
	slices.SortStableFunc(p.demands, byDecreasingSize)
	p.fill(existing, p.result.OnExisting)
	p.fill(launching, p.result.OnLaunching)
	p.buy()
	for _, d := range p.demands {
		if d.Count > 0 {
			p.result.Left[d.Item.ID] += d.Count
		}
	}
	return p.result
}

// byDecreasingSize orders by priority, then by size at a price ratio of four GiB to one core,
// then by id so that the order is total.
func byDecreasingSize(a, b Demand) int {
	return cmp.Or(
		cmp.Compare(b.Item.Shape.Priority, a.Item.Shape.Priority),
		cmp.Compare(weigh(b.Item.Shape.Requests), weigh(a.Item.Shape.Requests)),
		cmp.Compare(a.Item.ID, b.Item.ID),
	)
}

// weigh is the size of a set of resources in thousandths of a core, a GiB of memory counting for
// a third of one: the ratio at which VPSie's sizes are priced.
func weigh(r Resources) int64 {
	return r[corev1.ResourceCPU] + r[corev1.ResourceMemory]*1000/(3<<30)
}

type packer struct {
	demands []Demand
	options []*Option
	limits  map[string]int
	result  Packing
}

func (p *packer) fill(bins []*Bin, placed map[ShapeID]int) {
	for i := range p.demands {
		d := &p.demands[i]
		for _, bin := range bins {
			if d.Count == 0 {
				break
			}
			if bin.Room(d.Item.Shape) == 0 || !bin.Admits(d.Item).OK() {
				continue
			}
			n := bin.Place(d.Item, d.Count)
			d.Count -= n
			placed[d.Item.ID] += n
		}
	}
}

func (p *packer) buy() {
	tiers := map[int32][]*Option{}
	var weights []int32
	for _, option := range p.options {
		if len(tiers[option.Weight]) == 0 {
			weights = append(weights, option.Weight)
		}
		tiers[option.Weight] = append(tiers[option.Weight], option)
	}
	slices.SortFunc(weights, func(a, b int32) int { return cmp.Compare(b, a) })
	for _, weight := range weights {
		tier := tiers[weight]
		slices.SortFunc(tier, func(a, b *Option) int {
			return cmp.Or(cmp.Compare(a.MonthlyPrice, b.MonthlyPrice), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Offering, b.Offering))
		})
		for p.buyPattern(tier) {
		}
	}
}

// buyPattern buys the best machine of a tier as often as the demand for its pattern lasts. It
// reports whether anything was bought, so every call but the last lowers the demand.
func (p *packer) buyPattern(tier []*Option) bool {
	var best *Option
	var bestBin *Bin
	var bestScore float64
	for _, option := range tier {
		if p.limits[option.Group] <= 0 {
			continue
		}
		bin := p.pattern(option)
		if len(bin.Placed) == 0 {
			continue
		}
		var value int64
		for _, d := range p.demands {
			if n := bin.Placed[d.Item.ID]; n > 0 {
				value += int64(n) * max(weigh(d.Item.Shape.Requests), 1)
			}
		}
		score := float64(option.MonthlyPrice) / float64(value)
		if best == nil || score < bestScore {
			best, bestBin, bestScore = option, bin, score
		}
	}
	if best == nil {
		return false
	}
	times := p.limits[best.Group]
	for _, d := range p.demands {
		if n := bestBin.Placed[d.Item.ID]; n > 0 {
			times = min(times, d.Count/n)
		}
	}
	for range times {
		option, bin := p.cheapestFor(tier, best, bestBin)
		p.result.Purchases = append(p.result.Purchases, Purchase{Option: option, Bin: bin})
		p.limits[option.Group]--
	}
	for i := range p.demands {
		d := &p.demands[i]
		if n := bestBin.Placed[d.Item.ID] * times; n > 0 {
			d.Count -= n
			p.result.Served[d.Item.ID] += n
		}
	}
	return times > 0
}

// pattern fills one new machine by first-fit-decreasing.
func (p *packer) pattern(option *Option) *Bin {
	bin := option.Empty.Clone()
	for _, d := range p.demands {
		if d.Count > 0 && bin.Room(d.Item.Shape) > 0 && bin.Admits(d.Item).OK() {
			bin.Place(d.Item, d.Count)
		}
	}
	return bin
}

// cheapestFor returns the cheapest option that holds the pods of bin. tier is ordered by price.
func (p *packer) cheapestFor(tier []*Option, chosen *Option, bin *Bin) (*Option, *Bin) {
	for _, option := range tier {
		if option.MonthlyPrice >= chosen.MonthlyPrice {
			break
		}
		if p.limits[option.Group] <= 0 {
			continue
		}
		smaller := option.Empty.Clone()
		fits := true
		for _, d := range p.demands {
			if n := bin.Placed[d.Item.ID]; n > 0 && (!smaller.Admits(d.Item).OK() || smaller.Place(d.Item, n) < n) {
				fits = false
				break
			}
		}
		if fits {
			return option, smaller
		}
	}
	return chosen, bin.Clone()
}

// Judge says why an empty machine of an option does not take one pod of a shape. The zero
// Verdict means that it does.
func Judge(item *Item, option *Option) Verdict {
	if item.Shape.Unjudged != "" {
		return Verdict{item.Shape.Unjudged, "the pod has a constraint that is not evaluated yet, so no machine is bought on a guess"}
	}
	if v := option.Empty.Admits(item); !v.OK() {
		return v
	}
	if v := option.Empty.Missing(item.Shape); !v.OK() {
		v.Message = fmt.Sprintf("a new %s is %s", option.OfferingName, v.Message)
		return v
	}
	return Verdict{}
}

// mismatches are the refusals by which a machine would not take the pod, the nearest to success
// first. Every other refusal is nearer: the machine would do, and something else forbids it.
var mismatches = []reason.Code{reason.NoScaleUpResources, reason.NoScaleUpSelector, reason.NoScaleUpTaint}

// Nearest returns the refusal that is nearest to success, so that the most helpful one of many can
// be shown; of equals the first.
func Nearest(verdicts []Verdict) Verdict {
	best, bestRank := Verdict{}, len(mismatches)
	for _, v := range verdicts {
		if rank := slices.Index(mismatches, v.Code); rank < bestRank {
			best, bestRank = v, rank
		}
	}
	return best
}

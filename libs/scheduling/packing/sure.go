package packing

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/cover"
)

const (
	// sureShare is the part of a machine's price that the requests on it must be worth for the machine to be sure.
	sureShare = 0.985
	// sureSpare is how many times as many machines as a plan launches of a group the group must allow besides, before one that is not
	// of its largest size is sure: a bound of nodes is kept by larger machines.
	sureSpare = 3
	// skewed is by how much, in percent, demands in the proportions of the options differ from these: where all options have the same
	// proportions, exactly these would leave it open which resource has a price.
	skewed = 5
	// unitsPerCapacity is how finely a resource of the largest option is counted.
	unitsPerCapacity = 1_000_000
)

// Sure says of each launch whether a plan for more pods of the same kinds would contain such a machine as well: whether it is
// full, and of a size that stays right. It is where what its pods request is worth its price at the prices of resources at which no
// option of its group is a bargain: the duals of the relaxation that covers the requests by whole options (Gilmore and Gomory, 1961),
// which do not depend on how many pods there are. What follows may ask for resources in other proportions, so the prices for demands in
// those of the options themselves must be met as well: a machine whose memory is left over is not sure while pods that lack cpu may come.
func Sure(p Problem, got *Plan) []bool {
	used := usedBy(got)
	sure := make([]bool, len(got.Launches))
	groups := map[string][]int{}
	for i := range got.Launches {
		group := got.Launches[i].Option.Group
		groups[group] = append(groups[group], i)
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		launched := groups[group]
		options := slices.DeleteFunc(slices.Clone(p.Options), func(o *Option) bool { return o.Group != group })
		prices := []resourcePrices{pricesOf(options, total(launched, used))}
		if len(options) > 1 {
			prices = append(prices, pricesOf(options, capacityOf(options, 100+skewed)), pricesOf(options, capacityOf(options, 100-skewed)))
		}
		nodes := int(p.Limits[group].Nodes)
		spare := nodes < 0 || nodes-len(launched) >= sureSpare*len(launched)
		for _, i := range launched {
			o := got.Launches[i].Option
			sure[i] = spare || isLargest(o, options)
			for _, price := range prices {
				sure[i] = sure[i] && price.worth(used[i]) >= sureShare*float64(o.MonthlyPrice)
			}
		}
	}
	return sure
}

// usedBy is what the pods on each launch request.
func usedBy(got *Plan) []scheduling.Resources {
	used := make([]scheduling.Resources, len(got.Launches))
	of := make(map[int]int, len(got.Launches))
	for i := range got.Launches {
		used[i] = scheduling.Resources{}
		of[got.Launches[i].Node] = i
	}
	for _, placed := range got.Placements {
		if i, launched := of[placed.Node]; launched {
			used[i].Add(placed.Item.Shape.Requests, int64(placed.Count))
		}
	}
	return used
}

// room is what an empty machine has for pods.
func room(o *Option, name corev1.ResourceName) int64 {
	return o.Empty.Allocatable[name] - o.Empty.Reserved[name]
}

func isLargest(o *Option, options []*Option) bool {
	return !slices.ContainsFunc(options, func(other *Option) bool { return other.MonthlyPrice > o.MonthlyPrice })
}

func total(launched []int, used []scheduling.Resources) scheduling.Resources {
	sum := scheduling.Resources{}
	for _, i := range launched {
		sum.Add(used[i], 1)
	}
	return sum
}

// capacityOf is the cpu that one of each option has, and a part of the memory, in percent.
func capacityOf(options []*Option, percent int64) scheduling.Resources {
	sum := scheduling.Resources{}
	for _, o := range options {
		sum[corev1.ResourceCPU] += max(room(o, corev1.ResourceCPU), 0)
		sum[corev1.ResourceMemory] += max(room(o, corev1.ResourceMemory), 0) / 100 * percent
	}
	return sum
}

// resourcePrices is what a unit of each resource costs, in millionths of a dollar a month.
type resourcePrices map[corev1.ResourceName]float64

func (p resourcePrices) worth(used scheduling.Resources) float64 {
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(p)) {
		sum += p[name] * float64(used[name])
	}
	return sum
}

// pricesOf is what a unit of each resource costs in the cheapest mix of options that has what is asked for; nil where none has.
func pricesOf(options []*Option, asked scheduling.Resources) resourcePrices {
	var names []corev1.ResourceName
	var units, demand []float64
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		most := int64(0)
		for _, o := range options {
			most = max(most, room(o, name))
		}
		if asked[name] > 0 && most > 0 {
			unit := float64(most) / unitsPerCapacity
			names, units, demand = append(names, name), append(units, unit), append(demand, float64(asked[name])/unit)
		}
	}
	columns, costs := make([]cover.Pattern, len(options)), make([]float64, len(options))
	for i, o := range options {
		for row, name := range names {
			if count := int32(float64(room(o, name)) / units[row]); count > 0 {
				columns[i].Classes, columns[i].Counts = append(columns[i].Classes, int32(row)), append(columns[i].Counts, count)
			}
		}
		costs[i] = float64(o.MonthlyPrice)
	}
	duals, err := cover.Duals(demand, columns, costs)
	if err != nil {
		return nil
	}
	prices := make(resourcePrices, len(names))
	for row, name := range names {
		prices[name] = duals[row] / units[row]
	}
	return prices
}

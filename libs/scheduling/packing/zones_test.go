package packing_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

const everyZone = 0b111

// zonal draws a problem of sets with rules about zones, groups of several sizes and limits in three zones of which some are
// kept, and a full node in each zone.
func zonal(random *rand.Rand, keep int) packing.Problem {
	var demands []packing.Demand
	for i := range 1 + random.IntN(4) {
		name, of := fmt.Sprintf("s%d", i), fmt.Sprintf("s%d", random.IntN(i+1))
		milli, n := []int64{500, 1000, 2000, 3000, 6000}[random.IntN(5)], 1+random.IntN(8)
		rules := []func(*scheduling.Shape){
			func(*scheduling.Shape) {}, spread(zoneKey, corev1.DoNotSchedule, name), affinity(zoneKey, of), affinity(zoneKey, name), affinity(hostKey, of),
			antiAffinity(zoneKey, of), antiAffinity(hostKey, of), inZone("z2"),
		}
		change := []func(*scheduling.Shape){cores(milli)}
		for range 1 + random.IntN(2) {
			change = append(change, rules[random.IntN(len(rules))])
		}
		demands = append(demands, packing.Demand{Item: item(name, name, change...), Count: n})
	}
	var options []*packing.Option
	limits := map[string]int{}
	for z := range 3 {
		zone := fmt.Sprintf("z%d", z+1)
		g := "g" + zone
		for _, c := range []int64{2, 4, 8, 16} {
			price := int(c)*10 + random.IntN(int(c)*4)
			if random.IntN(2) == 0 && keep>>z&1 == 1 {
				options = append(options, option(g, zone, c, price))
			}
		}
		if r := random.IntN(8); r < 4 {
			limits[g] = r
		}
	}
	full := item("full", "full", cores(4000))
	var there []*scheduling.Node
	for _, z := range []string{"z1", "z2", "z3"} {
		there = append(there, node("there-"+z, z, holds(map[scheduling.ShapeID]int{full.ID: 1})))
	}
	p := problem(there, append(demands, packing.Demand{Item: full}), options...)
	for g, n := range limits {
		if l, ok := p.Limits[g]; ok {
			l.Nodes = int64(n)
			p.Limits[g] = l
		}
	}
	return p
}

// Who may launch in fewer zones makes no better plan. Sets are given zones one after the other, so a few plans miss the best.
func TestFewerZonesMakeNoBetterPlans(t *testing.T) {
	const seeds, fewerMax, dearerMax = 400, 4, 22
	fewer, dearer := 0, 0
	for seed := range uint64(seeds) {
		got := packing.Pack(zonal(rand.New(rand.NewPCG(seed, 3)), everyZone))
		left, cost := sum(got.Left), got.MonthlyPrice()
		leftLess, costLess := false, false
		for keep := 1; keep < everyZone; keep++ {
			some := packing.Pack(zonal(rand.New(rand.NewPCG(seed, 3)), keep))
			l, c := sum(some.Left), some.MonthlyPrice()
			leftLess, costLess = leftLess || l < left, costLess || l == left && c < cost-cost/30
		}
		if leftLess {
			fewer++
			t.Logf("seed %d leaves %d pods, and fewer with fewer zones", seed, left)
		} else if costLess {
			dearer++
		}
	}
	if fewer > fewerMax || dearer > dearerMax {
		t.Errorf("of %d plans %d serve fewer and %d cost more than with fewer zones, want at most %d and %d", seeds, fewer, dearer, fewerMax, dearerMax)
	}
	t.Logf("%d serve fewer, %d cost more", fewer, dearer)
}

package packing_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// TestMoreCapacityMakesPlansCheaper adds a node to random clusters of pods without rules about others. The search for
// the cheapest mix is bounded, so one plan in some hundreds comes out a little dearer for what is left; a tenth is
// the most that is let pass, and all plans together must be cheaper.
func TestMoreCapacityMakesPlansCheaper(t *testing.T) {
	const seeds, dearestShare = 400, 110
	var without, with money.Micros
	dearer := 0
	for seed := range uint64(seeds) {
		before := plainBatch(seed, node("a", "z1"))
		after := plainBatch(seed, node("a", "z1"), node("b", "z1"))
		without += before.MonthlyPrice()
		with += after.MonthlyPrice()
		if after.MonthlyPrice() <= before.MonthlyPrice() {
			continue
		}
		dearer++
		if after.MonthlyPrice()*100 > before.MonthlyPrice()*dearestShare {
			t.Errorf("seed %d: with one node more the plan costs %s instead of %s", seed, after.MonthlyPrice(), before.MonthlyPrice())
		}
	}
	if with >= without || dearer > seeds/50 {
		t.Errorf("with one node more all plans cost %s instead of %s, and %d of %d are dearer", with, without, dearer, seeds)
	}
}

// plainBatch packs a random batch on given nodes and a random catalogue.
func plainBatch(seed uint64, nodes ...*scheduling.Node) packing.Plan {
	random := rand.New(rand.NewPCG(seed, 3))
	var demands []packing.Demand
	for i := range 1 + random.IntN(8) {
		name := fmt.Sprintf("s%d", i)
		demands = append(demands, packing.Demand{Count: random.IntN(40), Item: item(name, name, func(s *scheduling.Shape) {
			s.Requests = size(random.Int64N(3000), random.Int64N(6000))
		})})
	}
	var options []*packing.Option
	for i := range 1 + random.IntN(6) {
		cores := 1 + random.Int64N(16)
		options = append(options, option(fmt.Sprintf("g%d", i%2), fmt.Sprintf("z%d", 1+i%3), cores, int(cores)*10+random.IntN(20)))
	}
	return packing.Pack(problem(nodes, demands, options...))
}

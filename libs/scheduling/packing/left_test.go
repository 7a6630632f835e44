package packing_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// mixed draws a problem of a few shapes with a rule or two each, which may speak of each other, groups of two weights, and
// nodes that have some room. It says what it drew.
func mixed(random *rand.Rand) (packing.Problem, string) {
	var demands []packing.Demand
	var said []string
	for i := range 1 + random.IntN(4) {
		name, of := fmt.Sprintf("s%d", i), fmt.Sprintf("s%d", random.IntN(i+1))
		milli, n := []int64{250, 500, 1000, 2000}[random.IntN(4)], 1+random.IntN(8)
		rules := []struct {
			name string
			set  func(*scheduling.Shape)
		}{
			{"plain", func(*scheduling.Shape) {}}, {"plain", func(*scheduling.Shape) {}},
			{"spread by zone", spread(zoneKey, corev1.DoNotSchedule, name)}, {"spread by node", spread(hostKey, corev1.DoNotSchedule, name)},
			{"in the zone of " + of, affinity(zoneKey, of)}, {"on the node of " + of, affinity(hostKey, of)},
			{"on other nodes than " + of, antiAffinity(hostKey, of)}, {"in other zones than " + of, antiAffinity(zoneKey, of)},
			{"in z2", inZone("z2")}, {"with a port", func(s *scheduling.Shape) {
				s.HostPorts = []scheduling.HostPort{{Protocol: corev1.ProtocolTCP, Port: 80}}
			}},
		}
		change := []func(*scheduling.Shape){cores(milli)}
		what := fmt.Sprintf("%d of %s of %dm", n, name, milli)
		for range 1 + random.IntN(2) {
			rule := rules[random.IntN(len(rules))]
			change, what = append(change, rule.set), what+", "+rule.name
		}
		demands, said = append(demands, packing.Demand{Item: item(name, name, change...), Count: n}), append(said, what)
	}
	heavy := func(o *packing.Option) { o.Weight = int32(random.IntN(3)) / 2 }
	filler := item("filler", "filler", cores(100))
	existing := []*scheduling.Node{}
	for i := range random.IntN(3) {
		existing = append(existing, node(fmt.Sprintf("n%d", i), fmt.Sprintf("z%d", 1+random.IntN(3)), holds(map[scheduling.ShapeID]int{filler.ID: 20 + random.IntN(20)})))
	}
	p := problem(existing, append(demands, packing.Demand{Item: filler}), option("g1", "z1", 4, 40, heavy), option("g2", "z2", 4, 41, heavy), option("g3", "z3", 8, 85, heavy))
	return p, strings.Join(said, "; ")
}

// bind makes a plan's placements, in order, on a state without them; the error names the first that the rules refuse.
func bind(s *scheduling.State, plan *packing.Plan) error {
	launched := 0
	for i, placed := range plan.Placements {
		for ; launched < placed.After; launched++ {
			n := *plan.Launches[launched].Option.Empty
			n.Name, n.Labels = fmt.Sprintf("new-%d", launched), maps.Clone(n.Labels)
			n.Labels[hostKey] = n.Name
			s.AddNode(&n)
		}
		if n := s.PlaceUpTo(placed.Item, placed.Node, placed.Count); n < placed.Count {
			return fmt.Errorf("placement %d: %d of %d of %s find no place on node %d", i, placed.Count-n, placed.Count, placed.Item.ID, placed.Node)
		}
	}
	return nil
}

// Without limits, what a plan leaves fits neither on a node of the plan nor on a new one.
func TestNothingThatFitsIsLeft(t *testing.T) {
	for seed := range uint64(3000) {
		p, said := mixed(rand.New(rand.NewPCG(seed, 1)))
		got := packing.Pack(p)
		again, _ := mixed(rand.New(rand.NewPCG(seed, 1)))
		if err := bind(again.State, &got); err != nil {
			t.Errorf("seed %d: %v (%s)", seed, err, said)
		}
		for _, d := range p.Demands {
			if got.Left[d.Item.ID] == 0 {
				continue
			}
			for n := range p.State.Len() {
				if p.State.Check(d.Item, n).OK() {
					t.Errorf("seed %d: %d of %s are left and fit on %s (%s)", seed, got.Left[d.Item.ID], d.Item.ID, p.State.NodeName(n), said)
					break
				}
			}
			for _, o := range p.Options {
				if p.State.CheckNew(d.Item, o.Empty).OK() {
					t.Errorf("seed %d: %d of %s are left and fit on a new %s (%s)", seed, got.Left[d.Item.ID], d.Item.ID, o.Empty.Name, said)
					break
				}
			}
		}
	}
}

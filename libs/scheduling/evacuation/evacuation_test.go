package evacuation_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/evacuation"
)

func TestEvacuation(t *testing.T) {
	half := item("half", "half", func(s *scheduling.Shape) { s.Requests = size(2000, 64) })
	apart := item("apart", "apart", antiAffinity(hostKey, "apart"))
	zonal := item("zonal", "zonal", spread(zoneKey, corev1.DoNotSchedule, "zonal"))
	items := []*scheduling.Item{half, apart, zonal}
	pods := func(item *scheduling.Item, n int) func(*scheduling.Node) {
		return holds(map[scheduling.ShapeID]int{item.ID: n})
	}
	tests := map[string]struct {
		why   string
		nodes []*scheduling.Node
		// goes lists the nodes that can go, each after those before it, and code says why the others cannot.
		goes []bool
		code reason.Code
	}{
		"EmptyNodesGo":      {"", []*scheduling.Node{node("a", "z1"), node("b", "z1")}, []bool{true, true}, ""},
		"OneFitsOnTheOther": {"the second has nowhere to go once the first is gone", []*scheduling.Node{node("a", "z1", pods(half, 1)), node("b", "z1", pods(half, 1))}, []bool{true, false}, ""},
		"NoRoom":            {"", []*scheduling.Node{node("a", "z1", pods(half, 2)), node("b", "z1", pods(half, 1))}, []bool{false, false}, reason.NoScaleUpResources},
		"RulesBindTheMove":  {"", []*scheduling.Node{node("a", "z1", pods(apart, 1)), node("b", "z1", pods(apart, 1))}, []bool{false, false}, reason.NoScaleUpPodAffinity},
		"AVanishedNodeIsNoDomain": {"zone z2 goes with its only node, so z1 may hold both", []*scheduling.Node{node("a", "z2", pods(zonal, 1)), node("b", "z1", pods(zonal, 1))},
			[]bool{true, false}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := cluster(items, tc.nodes...)
			targets := make([]int, len(tc.nodes))
			for i := range targets {
				targets[i] = i
			}
			e := evacuation.New(s, targets)
			for i, want := range tc.goes {
				stuck, ok := e.Remove(i, all)
				if ok != want {
					t.Errorf("node %d goes: %t, want %t (%s)", i, ok, want, tc.why)
				}
				if !ok && (stuck.Verdict.Message == "" || stuck.Count == 0 || tc.code != "" && stuck.Verdict.Code != tc.code) {
					t.Errorf("node %d stays because of %+v, want code %q", i, stuck, tc.code)
				}
			}
		})
	}
}

// FuzzEvacuation checks that a node that stays leaves no trace, that pods are neither lost nor doubled, and that
// cursors hide no place: what is said to fit nowhere fits nowhere.
func FuzzEvacuation(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 5))
		var items []*scheduling.Item
		for i := range 1 + random.IntN(6) {
			name := fmt.Sprintf("s%d", i)
			rule := []func(*scheduling.Shape){func(*scheduling.Shape) {}, func(*scheduling.Shape) {}, spread(zoneKey, corev1.DoNotSchedule, name), antiAffinity(hostKey, name), affinity(zoneKey, name)}[random.IntN(5)]
			items = append(items, item(name, name, rule, func(s *scheduling.Shape) { s.Requests = size(100+random.Int64N(2000), 64) }))
		}
		s := cluster(items)
		total := map[scheduling.ShapeID]int{}
		var targets []int
		for i := range 2 + random.IntN(12) {
			n := s.AddNode(node(fmt.Sprintf("n%d", i), fmt.Sprintf("z%d", 1+i%3)))
			targets = append(targets, n)
			for range random.IntN(4) {
				p := items[random.IntN(len(items))]
				total[p.ID] += s.PlaceUpTo(p, n, 1+random.IntN(2))
			}
		}
		e := evacuation.New(s, targets)
		gone := map[int]bool{}
		for _, n := range random.Perm(len(targets)) {
			stuck, ok := e.Remove(n, all)
			gone[n] = ok
			count := map[scheduling.ShapeID]int{}
			for _, other := range targets {
				for _, p := range items {
					count[p.ID] += s.Count(p, other)
				}
			}
			for _, p := range items {
				if count[p.ID] != total[p.ID] {
					t.Fatalf("seed %d: %d pods of %s became %d", seed, total[p.ID], p.ID, count[p.ID])
				}
			}
			if ok || len(stuck.Item.Shape.Spread) > 0 || stuck.Item.Shape.Affinity != nil {
				continue
			}
			pods := 0
			for _, p := range items {
				pods += s.Count(p, n)
			}
			for _, other := range targets { // with other pods, the room may be what they need
				if other != n && !gone[other] && pods == 1 && s.Check(stuck.Item, other).OK() {
					t.Errorf("seed %d: a pod of %s is said to fit nowhere and fits on node %d", seed, stuck.Item.ID, other)
				}
			}
		}
	})
}

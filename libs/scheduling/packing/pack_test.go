package packing_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// option is a machine of so many cores, with twice as many GiB, in a zone.
func option(group, zone string, cores int64, dollars int, change ...func(*packing.Option)) *packing.Option {
	o := &packing.Option{
		Group: group, Offering: cores, OfferingName: fmt.Sprintf("c%d", cores), MonthlyPrice: money.Micros(dollars) * 1_000_000, MilliCPU: cores * 1000, MemoryBytes: cores << 31,
		Empty: node(fmt.Sprintf("%s-%s-c%d", group, zone, cores), zone, func(n *scheduling.Node) {
			n.Allocatable = scheduling.Resources{corev1.ResourceCPU: cores * 1000, corev1.ResourceMemory: cores << 31, corev1.ResourcePods: 110}
		}),
	}
	for _, c := range change {
		c(o)
	}
	return o
}

func problem(existing []*scheduling.Node, demands []packing.Demand, options ...*packing.Option) packing.Problem {
	items := make([]*scheduling.Item, len(demands))
	for i := range demands {
		items[i] = demands[i].Item
	}
	p := packing.Problem{State: cluster(items, existing...), Demands: demands, Options: options, Limits: map[string]bounds.Limit{}, SoftShare: 5}
	for i := range existing {
		p.Existing = append(p.Existing, i)
	}
	for _, o := range options {
		p.Limits[o.Group] = bounds.Unlimited
	}
	return p
}

func sum(counts map[scheduling.ShapeID]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

func TestPack(t *testing.T) {
	const zone, host = zoneKey, hostKey
	plain := item("plain", "plain", func(s *scheduling.Shape) { s.Requests = size(1000, 512) })
	tests := map[string]struct {
		why      string
		existing []*scheduling.Node
		demands  []packing.Demand
		options  []*packing.Option
		limits   map[string]bounds.Limit
		nodes    int
		dollars  int
		left     int
	}{
		"ExistingFirst": {"", []*scheduling.Node{node("a", "z1")}, []packing.Demand{{Item: plain, Count: 4}}, []*packing.Option{option("g", "z1", 4, 40)}, nil, 0, 0, 0},
		"CheapestMix": {"16 cores are cheapest a core, and 4 hold the rest", nil, []packing.Demand{{Item: plain, Count: 20}},
			[]*packing.Option{option("g", "z1", 4, 40), option("g", "z1", 16, 150)}, nil, 2, 190, 0},
		"SmallerWhereCheaper": {"", nil, []packing.Demand{{Item: plain, Count: 16}}, []*packing.Option{option("g", "z1", 4, 40), option("g", "z1", 16, 170)}, nil, 4, 160, 0},
		"WeightBeforePrice": {"", nil, []packing.Demand{{Item: plain, Count: 4}},
			[]*packing.Option{option("cheap", "z1", 4, 10), option("heavy", "z1", 4, 40, func(o *packing.Option) { o.Weight = 1 })}, nil, 1, 40, 0},
		"NextGroupAtTheLimit": {"", nil, []packing.Demand{{Item: plain, Count: 8}}, []*packing.Option{option("a", "z1", 4, 40), option("b", "z1", 4, 50)},
			map[string]bounds.Limit{"a": {Nodes: 1, MilliCPU: -1, MemoryBytes: -1, MonthlyPrice: -1}, "b": bounds.Unlimited}, 2, 90, 0},
		"LargerNodesUnderALimitOfNodes": {"four small ones were cheaper", nil, []packing.Demand{{Item: plain, Count: 16}}, []*packing.Option{option("g", "z1", 4, 40), option("g", "z1", 16, 170)},
			map[string]bounds.Limit{"g": {Nodes: 1, MilliCPU: -1, MemoryBytes: -1, MonthlyPrice: -1}}, 1, 170, 0},
		"MoneyLimit": {"", nil, []packing.Demand{{Item: plain, Count: 8}}, []*packing.Option{option("g", "z1", 4, 40)},
			map[string]bounds.Limit{"g": {Nodes: -1, MilliCPU: -1, MemoryBytes: -1, MonthlyPrice: 79_999_999}}, 1, 40, 4},
		"CPULimit": {"", nil, []packing.Demand{{Item: plain, Count: 8}}, []*packing.Option{option("g", "z1", 4, 40)},
			map[string]bounds.Limit{"g": {Nodes: -1, MilliCPU: 4000, MemoryBytes: -1, MonthlyPrice: -1}}, 1, 40, 4},
		"SpreadOverZones": {"one node a zone in one plan", nil, []packing.Demand{{Item: item("w", "web", spread(zone, corev1.DoNotSchedule, "web")), Count: 9}},
			[]*packing.Option{option("g", "z1", 4, 40), option("g", "z2", 4, 40), option("g", "z3", 4, 40)}, nil, 3, 120, 0},
		"SpreadOverHosts": {"two on two machines and one on a third are even", nil, []packing.Demand{{Item: item("w", "web", spread(host, corev1.DoNotSchedule, "web")), Count: 5}}, []*packing.Option{option("g", "z1", 2, 20), option("g", "z1", 4, 40)}, nil, 3, 60, 0},
		"EvenlyOnFewNodes": {"three machines hold eleven each at most; one pod a node would be 32 machines", nil,
			[]packing.Demand{{Item: item("w", "web", spread(host, corev1.DoNotSchedule, "web"), func(s *scheduling.Shape) { s.Requests = size(1000, 64) }), Count: 32}},
			[]*packing.Option{option("g", "z1", 2, 30), option("g", "z1", 16, 150)}, nil, 3, 450, 0},
		"GroupsShareAHost": {"each group wants to be together, and eight groups fit on one machine", nil, groups(8, affinity), []*packing.Option{option("g", "z1", 2, 30), option("g", "z1", 8, 90)}, nil, 1, 90, 0},
		"GroupsAreNotDivided": {"what one machine takes first would leave a pod of each group without its like", nil, []packing.Demand{
			{Item: item("a", "a", affinity(host, "a"), func(s *scheduling.Shape) { s.Requests = size(700, 64) }), Count: 2},
			{Item: item("b", "b", affinity(host, "b"), func(s *scheduling.Shape) { s.Requests = size(900, 64) }), Count: 3},
		}, []*packing.Option{option("g", "z1", 4, 40), option("g", "z1", 8, 90)}, nil, 2, 80, 0},
		"PortsOfDifferentAddresses": {"", nil, portsOf("10.0.0.1", "10.0.0.2", "10.0.0.3"), []*packing.Option{option("g", "z1", 4, 40)}, nil, 1, 40, 0},
		"PortsOfEveryAddress":       {"", nil, portsOf("10.0.0.1", "10.0.0.2", ""), []*packing.Option{option("g", "z1", 4, 40)}, nil, 2, 80, 0},
		"TogetherInAZone":           {"", nil, []packing.Demand{{Item: item("w", "web", affinity(zone, "web")), Count: 32}}, []*packing.Option{option("g", "z1", 4, 40), option("g", "z2", 4, 40)}, nil, 2, 80, 0},
		"TogetherOnAHost":           {"", nil, []packing.Demand{{Item: item("w", "web", affinity(host, "web")), Count: 20}}, []*packing.Option{option("g", "z1", 4, 40), option("g", "z1", 8, 90)}, nil, 1, 90, 0},
		"Apart":                     {"", nil, []packing.Demand{{Item: item("w", "web", antiAffinity(host, "web")), Count: 3}}, []*packing.Option{option("g", "z1", 2, 20)}, nil, 3, 60, 0},
		"ApartFromAnother": {"", nil, []packing.Demand{{Item: item("w", "web", antiAffinity(host, "db")), Count: 2}, {Item: item("d", "db"), Count: 2}},
			[]*packing.Option{option("g", "z1", 2, 20)}, nil, 2, 40, 0},
		"SoftSpreadWhereItIsFree": {"two nodes are needed anyway", nil, []packing.Demand{{Item: plain, Count: 6}, {Item: item("w", "web", spread(host, corev1.ScheduleAnyway, "web")), Count: 2}},
			[]*packing.Option{option("g", "z1", 4, 40)}, nil, 2, 80, 0},
		"SoftSpreadIsNotLaunchedDearly": {"", nil, []packing.Demand{{Item: item("w", "web", spread(host, corev1.ScheduleAnyway, "web")), Count: 8}}, []*packing.Option{option("g", "z1", 2, 20)}, nil, 1, 20, 0},
		"TooLarge":                      {"", nil, []packing.Demand{{Item: item("p", "p", func(s *scheduling.Shape) { s.Requests = size(5000, 1) }), Count: 2}}, []*packing.Option{option("g", "z1", 4, 40)}, nil, 0, 0, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := problem(tc.existing, tc.demands, tc.options...)
			if tc.limits != nil {
				p.Limits = tc.limits
			}
			got := packing.Pack(p)
			if len(got.Launches) != tc.nodes || got.MonthlyPrice() != money.Micros(tc.dollars)*1_000_000 || sum(got.Left) != tc.left {
				t.Errorf("%d nodes for %s, %d pods left; want %d for %d dollars, %d left (%s)", len(got.Launches), got.MonthlyPrice(), sum(got.Left), tc.nodes, tc.dollars, tc.left, tc.why)
			}
		})
	}
}

// portsOf are pods that take port 80 of some addresses.
func portsOf(addresses ...string) []packing.Demand {
	var out []packing.Demand
	for i, ip := range addresses {
		name := fmt.Sprintf("p%d", i)
		out = append(out, packing.Demand{Count: 1, Item: item(name, name, func(s *scheduling.Shape) {
			s.HostPorts = []scheduling.HostPort{{IP: ip, Protocol: corev1.ProtocolTCP, Port: 80}}
		})})
	}
	return out
}

// groups are apps of four pods of a quarter of a core, each with a rule about itself on one node.
func groups(n int, rule func(key, of string) func(*scheduling.Shape)) []packing.Demand {
	var out []packing.Demand
	for i := range n {
		name := fmt.Sprintf("g%d", i)
		out = append(out, packing.Demand{Item: item(name, name, rule(hostKey, name)), Count: 4})
	}
	return out
}

func TestHighPriorityIsServedFirst(t *testing.T) {
	low := item("low", "low", func(s *scheduling.Shape) { s.Requests = size(2000, 64) })
	high := item("high", "high", func(s *scheduling.Shape) { s.Requests, s.Priority = size(1000, 64), 100 })
	p := problem(nil, []packing.Demand{{Item: low, Count: 4}, {Item: high, Count: 4}}, option("g", "z1", 4, 40))
	p.Limits["g"] = bounds.Unlimited.WithNodes(1)
	if got := packing.Pack(p); got.Served["high"] != 4 {
		t.Errorf("%d of 4 pods of high priority are served: %v", got.Served["high"], got.Served)
	}
}

func TestPreferencesThatAreFree(t *testing.T) {
	web := item("web", "web", func(s *scheduling.Shape) {
		s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
			{Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: zoneKey, Operator: corev1.NodeSelectorOpIn, Values: []string{"z2"}}}}},
		}}}
	})
	avoided := func(n *scheduling.Node) {
		n.Taints = []corev1.Taint{{Key: "old", Effect: corev1.TaintEffectPreferNoSchedule}}
	}
	tests := map[string]struct {
		why      string
		existing []*scheduling.Node
		options  []*packing.Option
		want     string // node or option
	}{
		"PreferredNode":           {"", []*scheduling.Node{node("a", "z1"), node("b", "z2")}, nil, "b"},
		"PreferredZoneIsLaunched": {"it costs 2 % more, and 5 % may", nil, []*packing.Option{option("g", "z1", 4, 100), option("h", "z2", 4, 102)}, "h-z2-c4"},
		"NotAtAnyPrice":           {"it costs 10 % more", nil, []*packing.Option{option("g", "z1", 4, 100), option("h", "z2", 4, 110)}, "g-z1-c4"},
		"AvoidedNodeIsLast":       {"", []*scheduling.Node{node("a", "z2", avoided), node("b", "z2")}, nil, "b"},
		"AvoidedBeforeLaunches":   {"", []*scheduling.Node{node("a", "z2", avoided)}, []*packing.Option{option("g", "z2", 4, 1)}, "a"},
		"AvoidedOptionIsLast":     {"", nil, []*packing.Option{option("g", "z2", 4, 100, func(o *packing.Option) { avoided(o.Empty) }), option("h", "z2", 4, 104)}, "h-z2-c4"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := problem(tc.existing, []packing.Demand{{Item: web, Count: 2}}, tc.options...)
			got := packing.Pack(p)
			if len(got.Placements) != 1 {
				t.Fatalf("placements %+v, want one", got.Placements)
			}
			where := p.State.NodeName(got.Placements[0].Node)
			if len(got.Launches) > 0 {
				where = got.Launches[0].Option.Empty.Name
			}
			if where != tc.want {
				t.Errorf("pods go to %s, want %s (%s)", where, tc.want, tc.why)
			}
		})
	}
}

func TestPlannedPodsGetTheirRoom(t *testing.T) {
	big, small := item("big", "big", func(s *scheduling.Shape) { s.Requests = size(3000, 64) }), item("small", "small", func(s *scheduling.Shape) { s.Requests = size(2000, 64) })
	first := node("a", "z1", func(n *scheduling.Node) { n.Planned = map[string]int{small.Placement: 2} })
	p := problem([]*scheduling.Node{first}, []packing.Demand{{Item: big, Count: 1}, {Item: small, Count: 2}}, option("g", "z1", 4, 40))
	if got := packing.Pack(p); got.OnExisting["small"] != 2 {
		t.Errorf("%d of 2 pods are on the machine that was launched for them", got.OnExisting["small"])
	}
}

// batch is a random problem: shapes with every kind of rule, nodes, options in three zones and limits.
func batch(seed uint64, shuffle bool) ([]*scheduling.Node, packing.Problem) {
	random := rand.New(rand.NewPCG(seed, 3))
	var demands []packing.Demand
	for i := range 1 + random.IntN(8) {
		name := fmt.Sprintf("s%d", i)
		of := fmt.Sprintf("s%d", random.IntN(i+1))
		rule := []func(*scheduling.Shape){
			func(*scheduling.Shape) {}, func(*scheduling.Shape) {}, spread(zoneKey, corev1.DoNotSchedule, name), spread(hostKey, corev1.DoNotSchedule, name),
			affinity(zoneKey, of), antiAffinity(hostKey, of), spread(hostKey, corev1.ScheduleAnyway, name), affinity(hostKey, name), antiAffinity(zoneKey, name),
			func(s *scheduling.Shape) { s.NodeSelector = map[string]string{zoneKey: "z2"} },
			func(s *scheduling.Shape) {
				s.HostPorts = []scheduling.HostPort{{Protocol: corev1.ProtocolTCP, Port: 80}}
			},
		}[random.IntN(11)]
		demands = append(demands, packing.Demand{Count: random.IntN(40), Item: item(name, name, rule, func(s *scheduling.Shape) {
			s.Requests, s.Priority = size(random.Int64N(3000), random.Int64N(6000)), int32(random.IntN(2))
		})})
	}
	var nodes []*scheduling.Node
	for i := range random.IntN(5) {
		nodes = append(nodes, node(fmt.Sprintf("n%d", i), fmt.Sprintf("z%d", 1+i%3)))
	}
	var options []*packing.Option
	for i := range random.IntN(6) {
		options = append(options, option(fmt.Sprintf("g%d", i%2), fmt.Sprintf("z%d", 1+i%3), 1+random.Int64N(16), 1+random.IntN(200), func(o *packing.Option) { o.Weight = int32(i % 2) }))
	}
	limits := map[string]bounds.Limit{}
	for _, g := range []string{"g0", "g1"} {
		limits[g] = bounds.Limit{Nodes: random.Int64N(12), MilliCPU: -1, MemoryBytes: -1, MonthlyPrice: money.Micros(random.IntN(2000)) * 1_000_000}
	}
	if shuffle {
		slices.Reverse(demands)
		slices.Reverse(options)
	}
	p := problem(nodes, demands, options...)
	p.Limits = limits
	return nodes, p
}

// FuzzPack checks the laws of packing on random batches: every pod is accounted for once, every placement can
// be made by the rules in the order given, no limit is exceeded, the order of the input does not matter, and a
// plan that is carried out is found again.
func FuzzPack(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		nodes, p := batch(seed, false)
		got := packing.Pack(p)
		machines := replay(t, seed, nodes, p, got)
		for _, d := range p.Demands {
			id := d.Item.ID
			if n := got.OnExisting[id] + got.Served[id] + got.Left[id]; n != d.Count {
				t.Errorf("seed %d: %d of %d pods of %s are accounted for", seed, n, d.Count, id)
			}
		}
		limits := maps.Clone(p.Limits)
		for _, launch := range got.Launches {
			if !limits[launch.Option.Group].Allows(launch.Option.Amounts()) {
				t.Errorf("seed %d: a machine %s goes over the limit of its group", seed, launch.Option.OfferingName)
			}
			limits[launch.Option.Group] = limits[launch.Option.Group].Less(launch.Option.Amounts())
		}
		_, shuffled := batch(seed, true)
		if diff := cmp.Diff(names(got), names(packing.Pack(shuffled))); diff != "" {
			t.Errorf("seed %d: the packing depends on the order of its input:\n%s", seed, diff)
		}
		_, next := batch(seed, false)
		for i := range next.Demands { // a budget or a protection that came meanwhile gives shapes new ids
			renamed := *next.Demands[i].Item.Shape
			renamed.Budgets = []string{"shop/new"}
			next.Demands[i].Item = scheduling.NewItem(next.Demands[i].Item.ID+"-new", &renamed)
		}
		carriedOut := problem(nodes, next.Demands, next.Options...)
		carriedOut.Launching, carriedOut.Limits = machines, limits
		if again := packing.Pack(carriedOut); len(again.Launches) > 0 && sum(got.Left) == 0 {
			t.Errorf("seed %d: once carried out, the plan %v is followed by %v", seed, names(got), names(again))
		}
	})
}

// replay makes the placements one by one on a fresh cluster, and returns the machines launched as nodes that
// remember what they are for.
func replay(t *testing.T, seed uint64, nodes []*scheduling.Node, p packing.Problem, got packing.Plan) []*scheduling.Node {
	fresh := problem(nodes, p.Demands, p.Options...).State
	var machines []*scheduling.Node
	launch := func(until int) {
		for i := len(machines); i < until; i++ {
			n := *got.Launches[i].Option.Empty
			n.Name = fmt.Sprintf("launched-%d", i)
			n.Labels = maps.Clone(n.Labels)
			n.Labels[hostKey] = n.Name
			n.Planned = got.Launches[i].Planned
			machines = append(machines, &n)
			if index := fresh.AddNode(&n); index != got.Launches[i].Node {
				t.Fatalf("seed %d: machine %d is node %d of the plan and %d of the replay", seed, i, got.Launches[i].Node, index)
			}
		}
	}
	for _, placed := range got.Placements {
		launch(placed.After)
		for range placed.Count {
			if v := fresh.Check(placed.Item, placed.Node); !v.OK() {
				t.Errorf("seed %d: %s does not go on node %s: %s", seed, placed.Item.ID, fresh.NodeName(placed.Node), v.Message)
			}
			fresh.Place(placed.Item, placed.Node, 1)
		}
	}
	launch(len(got.Launches))
	return machines
}

func names(p packing.Plan) []string {
	var out []string
	for _, launch := range p.Launches {
		out = append(out, fmt.Sprintf("%s/%d %v", launch.Option.Group, launch.Option.Offering, launch.Pods))
	}
	return out
}

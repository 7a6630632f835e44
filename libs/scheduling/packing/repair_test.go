package packing

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/schedulingtest"
)

// Whatever machines are planned, and whatever they are to get, a pod that a rule displaces finds its place: none is lost, none
// is placed twice, and kube-scheduler's rules allow every placement in its turn.
func TestDisplacedPodsFindTheirPlace(t *testing.T) {
	const zone, host = corev1.LabelTopologyZone, corev1.LabelHostname
	item, cores := schedulingtest.Item, schedulingtest.Cores
	port := func(s *scheduling.Shape) {
		s.HostPorts = []scheduling.HostPort{{Protocol: corev1.ProtocolTCP, Port: 80}}
	}
	tests := map[string]struct {
		why     string
		demands []Demand
		// planned are the zones of the machines of four cores that are planned, and shares, by demand, what each is to get.
		planned  []string
		shares   [][]int
		machines int
	}{
		"NothingIsDisplaced":     {"the plan keeps the rules", []Demand{{item("a", "a", cores(1000)), 8}}, []string{"z1", "z1"}, [][]int{{4, 4}}, 2},
		"MoreThanThereIsRoomFor": {"two of six have no room", []Demand{{item("a", "a", cores(1000)), 6}}, []string{"z1"}, [][]int{{6}}, 2},
		"ApartByNode":            {"each wants a node of its own", []Demand{{item("a", "a", cores(500), schedulingtest.AntiAffinity(host, "a")), 3}}, []string{"z1"}, [][]int{{3}}, 3},
		"SpreadOverZones": {"the third in z1 would be two more than in z2", []Demand{{item("a", "a", cores(500), schedulingtest.Spread(zone, corev1.DoNotSchedule, "a")), 4}},
			[]string{"z1", "z2"}, [][]int{{4, 0}}, 2},
		"PortIsTaken": {"the second demand takes the port of the first", []Demand{{item("a", "a", cores(500), port), 1}, {item("b", "b", cores(500), port), 1}},
			[]string{"z1", "z1"}, [][]int{{1, 0}, {1, 0}}, 2},
		"FollowerWithoutItsLeader": {"it goes to the leader's machine, and the one planned for it is not launched",
			[]Demand{{item("leader", "leader", cores(500)), 1}, {item("follower", "follower", cores(500), schedulingtest.Affinity(host, "leader")), 2}},
			[]string{"z1", "z1"}, [][]int{{1, 0}, {0, 2}}, 1},
		"PlannedTwice":  {"a plan that gives more than there is places what there is", []Demand{{item("a", "a", cores(500)), 3}}, []string{"z1", "z1"}, [][]int{{3, 3}}, 1},
		"NotPlanned":    {"nothing was planned for it", []Demand{{item("a", "a", cores(500)), 3}}, nil, [][]int{nil}, 1},
		"PlannedUnused": {"a machine without pods is not launched", []Demand{{item("a", "a", cores(500)), 3}}, []string{"z1", "z2"}, [][]int{{3, 0}}, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			options, items := map[string]*Option{}, []*scheduling.Item{}
			for _, d := range tc.demands {
				items = append(items, d.Item)
			}
			p := Problem{State: schedulingtest.Cluster(items), Demands: tc.demands, Limits: map[string]bounds.Limit{"g": bounds.Unlimited}}
			for i, z := range []string{"z1", "z2"} {
				options[z] = &Option{Group: "g", Offering: int64(i), MonthlyPrice: 40, Empty: schedulingtest.Node("new-"+z, z)}
				p.Options = append(p.Options, options[z])
			}
			k := newPacker(p)
			d := k.newDrafting(byPreference(p.Options), 0, choices{})
			var planned []*Option
			for _, z := range tc.planned {
				planned = append(planned, options[z])
			}
			var shares []*share
			for _, target := range d.targets { // in another order than the demands
				s := &share{target: target}
				for i := range tc.demands {
					for machine, n := range tc.shares[i] {
						if tc.demands[i].Item == target.item && n > 0 {
							s.parts = append(s.parts, part{machine, n})
						}
					}
				}
				shares = append(shares, s)
			}
			d.carryOut(planned, shares)
			k.commit(&d.draft)
			if got := len(k.result.Launches); got != tc.machines {
				t.Errorf("%d machines are launched, want %d: %s", got, tc.machines, tc.why)
			}
			fresh, placed := schedulingtest.Cluster(items), map[*scheduling.Item]int{}
			for i := range k.result.Launches {
				fresh.AddNode(k.state.Node(k.result.Launches[i].Node))
			}
			for _, at := range k.result.Placements {
				for range at.Count {
					if v := fresh.Check(at.Item, at.Node); !v.OK() {
						t.Errorf("%s does not go on %s: %s", at.Item.ID, fresh.NodeName(at.Node), v.Message)
					}
					fresh.Place(at.Item, at.Node, 1)
				}
				placed[at.Item] += at.Count
			}
			for _, demand := range tc.demands {
				if placed[demand.Item] != demand.Count {
					t.Errorf("%d of %d pods of %s have a place: %s", placed[demand.Item], demand.Count, demand.Item.ID, tc.why)
				}
			}
		})
	}
}

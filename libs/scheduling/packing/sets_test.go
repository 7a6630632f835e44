package packing_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

func weight(n int32) func(*packing.Option) {
	return func(o *packing.Option) { o.Weight = n }
}

// setCase is a problem whose answer is known: what it costs and how many pods it leaves.
type setCase struct {
	why     string
	demands []packing.Demand
	options []*packing.Option
	// nodesMax is the limit of each group that has one.
	nodesMax map[string]int
	dollars  int
	left     int
}

func (tc *setCase) check(t *testing.T) {
	t.Helper()
	// Full nodes in each zone make the zones known to spreads.
	full := item("full", "full", cores(4000))
	var existing []*scheduling.Node
	for _, zone := range []string{"z1", "z2", "z3"} {
		existing = append(existing, node("there-"+zone, zone, holds(map[scheduling.ShapeID]int{full.ID: 1})))
	}
	p := problem(existing, append(tc.demands, packing.Demand{Item: full}), tc.options...)
	for group, n := range tc.nodesMax {
		limit := bounds.Unlimited
		limit.Nodes = int64(n)
		p.Limits[group] = limit
	}
	got := packing.Pack(p)
	if left := sum(got.Left); left != tc.left || got.MonthlyPrice() != money.Micros(tc.dollars)*1_000_000 {
		t.Errorf("the plan costs %s and leaves %d (%v), want %d dollars and %d left: %s", got.MonthlyPrice(), left, got.Left, tc.dollars, tc.left, tc.why)
		for _, b := range got.Launches {
			t.Logf("%s %s for %v", b.Option.Group, b.Option.OfferingName, b.Pods)
		}
	}
}

// Zones are chosen for sets of pods, with everything in mind that decides what a zone serves of them and what that costs.
func TestZonesOfSets(t *testing.T) {
	type d = []packing.Demand
	type o = []*packing.Option
	together := affinity(zoneKey, "set")
	set := item("set", "set", cores(1000), together)
	tied := func(id, zone string, milli int64, change ...func(*scheduling.Shape)) *scheduling.Item {
		return item(id, "set", append(change, cores(milli), inZone(zone))...)
	}
	bySpread := spread(zoneKey, corev1.DoNotSchedule, "set")
	tests := map[string]setCase{
		"PriceOfAll": {"one large machine of z2 holds what six of z1 do", d{{Item: set, Count: 12}}, o{option("a", "z1", 2, 20), option("b", "z2", 12, 90)}, nil, 90, 0},
		"LimitOfAGroup": {"z1 is cheaper and may have two machines", d{{Item: set, Count: 12}},
			o{option("a", "z1", 4, 40), option("b", "z2", 4, 45)}, map[string]int{"a": 2}, 135, 0},
		"LimitOfEveryGroup":     {"z2 may have one more than z1", d{{Item: set, Count: 20}}, o{option("a", "z1", 4, 40), option("b", "z2", 4, 45)}, map[string]int{"a": 2, "b": 3}, 135, 8},
		"LimitSharedByTwoSets":  {"each zone has room for one of the sets", d{{Item: set, Count: 8}, {Item: item("other", "other", cores(1000), affinity(zoneKey, "other")), Count: 8}}, o{option("a", "z1", 4, 40), option("b", "z2", 4, 45)}, map[string]int{"a": 3, "b": 2}, 170, 0},
		"WeightBeforePrice":     {"z2 is dearer and of higher weight", d{{Item: set, Count: 4}}, o{option("a", "z1", 4, 40), option("b", "z2", 4, 60, weight(1))}, nil, 60, 0},
		"WeightThatIsNotEnough": {"the group of higher weight may have one machine, and all must be in one zone", d{{Item: set, Count: 8}}, o{option("a", "z1", 4, 40), option("b", "z2", 4, 30, weight(1))}, map[string]int{"b": 1}, 80, 0},
		"MemberTiedToAZone":     {"the one with the volume decides for all", d{{Item: set, Count: 6}, {Item: tied("tied", "z3", 500, together), Count: 1}}, o{option("a", "z1", 8, 40), option("c", "z3", 8, 90)}, nil, 90, 0},
		"LeaderOfATiedFollower": {"the leader may be anywhere, and its follower only in z3", d{
			{Item: item("lead", "lead", cores(3000)), Count: 1}, {Item: item("follow", "follow", cores(500), affinity(zoneKey, "lead"), inZone("z3")), Count: 2}},
			o{option("a", "z1", 4, 40), option("c", "z3", 4, 50)}, nil, 50, 0},
		"FollowerThatNeedsALargeMachine": {"z1 has no machine for the follower", d{
			{Item: item("lead", "lead", cores(1000)), Count: 1}, {Item: item("follow", "follow", cores(6000), affinity(zoneKey, "lead")), Count: 1}},
			o{option("a", "z1", 4, 20), option("b", "z2", 8, 70)}, nil, 70, 0},
		"SpreadWithTiedMembers": {"the free ones leave z2 to those that are tied to it", d{
			{Item: item("free", "set", cores(3000), bySpread), Count: 4}, {Item: tied("tied", "z2", 2500, bySpread), Count: 2}},
			o{option("a", "z1", 4, 40), option("b", "z2", 4, 41), option("c", "z3", 4, 42)}, nil, 246, 0},
		"SpreadOverWeights": {"each zone gets four in one plan, whatever its weight", d{{Item: item("web", "set", cores(3000), bySpread), Count: 12}},
			o{option("a", "z1", 4, 40, weight(2)), option("b", "z2", 4, 41, weight(1)), option("c", "z3", 4, 42)}, nil, 492, 0},
		"ApartOverWeights": {"one a zone, of three weights", d{{Item: item("web", "set", cores(3000), antiAffinity(zoneKey, "set")), Count: 3}},
			o{option("a", "z1", 4, 40, weight(2)), option("b", "z2", 4, 41, weight(1)), option("c", "z3", 4, 42)}, nil, 123, 0},
		"ApartWhereOneFits": {"a pod alone in its zone goes where the machine for it is cheapest", d{{Item: item("web", "set", cores(6000), antiAffinity(zoneKey, "set")), Count: 2}},
			o{option("a", "z1", 4, 10), option("a", "z1", 16, 200), option("b", "z2", 8, 80), option("c", "z3", 8, 81)}, nil, 161, 0},
		"TwoThatRepel": {"each needs a zone for itself", d{
			{Item: item("red", "red", cores(3000), antiAffinity(zoneKey, "blue")), Count: 5}, {Item: item("blue", "blue", cores(2500)), Count: 5}},
			o{option("a", "z1", 4, 40), option("b", "z2", 4, 41)}, nil, 405, 0},
		"ThreeThatRepel": {"three zones for three sets, of which the largest fits into one only", d{
			{Item: item("red", "red", cores(3000), antiAffinity(zoneKey, "blue")), Count: 3}, {Item: item("blue", "blue", cores(3000), antiAffinity(zoneKey, "green")), Count: 2}, {Item: item("green", "green", cores(3000), antiAffinity(zoneKey, "red")), Count: 1}},
			o{option("a", "z1", 4, 40), option("b", "z2", 4, 41), option("c", "z3", 4, 42)}, map[string]int{"a": 1, "b": 2}, 248, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) { tc.check(t) })
	}
}

// Machines are chosen for leaders together with those that follow them to their node.
func TestFollowersAndLeaders(t *testing.T) {
	type d = []packing.Demand
	type o = []*packing.Option
	lead, lonely := item("lead", "lead", cores(1000)), item("lead", "lead", cores(1000), antiAffinity(hostKey, "lead"))
	follow := func(milli int64, change ...func(*scheduling.Shape)) *scheduling.Item {
		return item("follow", "follow", append(change, cores(milli), affinity(hostKey, "lead"))...)
	}
	four, eight := option("a", "z1", 4, 40), option("a", "z1", 8, 90)
	tests := map[string]setCase{
		"RoomIsKept":           {"two leaders on one machine leave no room for five followers", d{{Item: lead, Count: 2}, {Item: follow(1000), Count: 5}}, o{four}, nil, 80, 0},
		"NotGluedTogether":     {"seven followers are on three machines", d{{Item: lonely, Count: 3}, {Item: follow(1000), Count: 7}}, o{four}, nil, 120, 0},
		"SizeForTheFollowers":  {"one leader, and only the large size holds all", d{{Item: lead, Count: 1}, {Item: follow(1000), Count: 5}}, o{four, eight}, nil, 90, 0},
		"OneMachineOfThree":    {"the followers are larger than the small size, and fit on one large machine beside one leader", d{{Item: lonely, Count: 3}, {Item: follow(3500), Count: 2}}, o{four, eight}, nil, 170, 0},
		"MoreThanFit":          {"three machines hold nine followers", d{{Item: lonely, Count: 3}, {Item: follow(1000), Count: 11}}, o{four}, nil, 120, 2},
		"FollowersOfFollowers": {"a chain of three", d{{Item: lead, Count: 2}, {Item: item("mid", "mid", cores(1000), affinity(hostKey, "lead")), Count: 2}, {Item: item("end", "end", cores(1000), affinity(hostKey, "mid")), Count: 4}}, o{four}, nil, 80, 0},
		"GroupOnOneMachine":    {"five that must be on one node", d{{Item: item("group", "group", cores(1500), affinity(hostKey, "group")), Count: 5}}, o{four, eight}, nil, 90, 0},
		"GroupBesideOthers":    {"the machine of the group has room for the plain pods", d{{Item: item("group", "group", cores(1500), affinity(hostKey, "group")), Count: 3}, {Item: item("plain", "plain", cores(500)), Count: 7}}, o{four, eight}, nil, 90, 0},
		"InZonesOfTheirLeaders": {"leaders are spread over zones and take followers along", d{{Item: item("lead", "lead", cores(1000), spread(zoneKey, corev1.DoNotSchedule, "lead")), Count: 3}, {Item: follow(1000), Count: 9}},
			o{option("a", "z1", 4, 40), option("b", "z2", 4, 41), option("c", "z3", 4, 42)}, nil, 123, 0},
		"ApartAmongThemselves": {"one leader and one follower a machine", d{{Item: lead, Count: 3}, {Item: follow(1000, func(s *scheduling.Shape) {
			s.HostPorts = []scheduling.HostPort{{Protocol: corev1.ProtocolTCP, Port: 80}}
		}), Count: 3}}, o{four}, nil, 120, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) { tc.check(t) })
	}
}

package inventory_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/inventory"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func listing(ids ...string) []launch.Listed {
	var out []launch.Listed
	for _, id := range ids {
		out = append(out, launch.Listed{Identifier: id, Hostname: "host-" + id})
	}
	return out
}

func known(n int) []inventory.Known {
	var out []inventory.Known
	for i := range n {
		out = append(out, inventory.Known{Intent: fmt.Sprintf("default/n%d", i), Identifier: fmt.Sprintf("m%d", i)})
	}
	return out
}

func ids(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("m%d", i))
	}
	return out
}

func TestMissing(t *testing.T) {
	type look struct {
		after  time.Duration
		listed []string
	}
	tests := map[string]struct {
		why     string
		known   []inventory.Known
		looks   []look
		lasted  []string
		suspect bool
	}{
		"ListedAllAlong": {known: known(3), looks: []look{{0, ids(0, 3)}, {time.Hour, ids(0, 3)}}},
		"OneListing":     {why: "one listing proves nothing", known: known(3), looks: []look{{0, ids(1, 3)}}},
		"TwoListingsTooClose": {
			why: "a listing may lag for ten minutes", known: known(3), looks: []look{{0, ids(1, 3)}, {10 * time.Minute, ids(1, 3)}},
		},
		"AbsentForLongEnough": {known: known(3), looks: []look{{0, ids(1, 3)}, {11 * time.Minute, ids(1, 3)}}, lasted: []string{"m0"}},
		"BackInBetween":       {known: known(3), looks: []look{{0, ids(1, 3)}, {5 * time.Minute, ids(0, 3)}, {11 * time.Minute, ids(1, 3)}}},
		"DeletionWasAsked": {
			known: []inventory.Known{{Identifier: "m0", Leaving: true}}, looks: []look{{0, nil}, {11 * time.Minute, nil}},
		},
		"ManyAtOnceAreNotBelieved": {
			why: "a list that lost a fifth of the machines is more likely wrong than true", known: known(10),
			looks: []look{{0, ids(3, 10)}, {11 * time.Minute, ids(3, 10)}, {50 * time.Minute, ids(3, 10)}}, suspect: true,
		},
		"SuddenlyEmpty":        {known: known(2), looks: []look{{0, nil}, {11 * time.Minute, nil}}, suspect: true},
		"OneOfOneIsNotMany":    {known: known(1), looks: []look{{0, nil}, {11 * time.Minute, nil}}, lasted: []string{"m0"}},
		"TwoOfTenAreNotMany":   {known: known(10), looks: []look{{0, ids(2, 10)}, {11 * time.Minute, ids(2, 10)}}, lasted: []string{"m0", "m1"}},
		"SuspectIsNoSighting":  {known: known(10), looks: []look{{0, ids(1, 10)}, {11 * time.Minute, nil}}, suspect: true},
		"SuspectBreaksNoChain": {known: known(10), looks: []look{{0, ids(1, 10)}, {5 * time.Minute, nil}, {11 * time.Minute, ids(1, 10)}}, lasted: []string{"m0"}},
		"ManyForAnHourAreBelieved": {
			why: "somebody deleted them by hand, and their objects must not stay for ever", known: known(4),
			looks:  []look{{0, ids(2, 4)}, {time.Hour, ids(2, 4)}, {71 * time.Minute, ids(2, 4)}},
			lasted: []string{"m0", "m1"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var m inventory.Memory
			var f inventory.Findings
			for _, l := range tc.looks {
				m, f = m.Look(listing(l.listed...), tc.known, noon.Add(l.after))
			}
			var lasted []string
			for id, s := range f.Missing {
				if s.Lasted(10*time.Minute + 30*time.Second) {
					lasted = append(lasted, id)
				}
			}
			slices.Sort(lasted)
			if diff := cmp.Diff(tc.lasted, lasted); diff != "" || f.Suspect != tc.suspect {
				t.Errorf("missing (-want +got):\n%s, suspect %v, want %v (%s)", diff, f.Suspect, tc.suspect, tc.why)
			}
		})
	}
}

func TestStrangers(t *testing.T) {
	var m inventory.Memory
	var settled bool
	lasted := func(after time.Duration, listed ...string) map[string]bool {
		var f inventory.Findings
		m, f = m.Look(listing(listed...), known(1), noon.Add(after))
		settled = f.Settled
		out := map[string]bool{}
		for _, s := range f.Unclaimed {
			out[s.Identifier+fmt.Sprint(s.WasThere)] = s.Lasted(inventory.UnclaimedFor)
		}
		return out
	}
	for _, step := range []struct {
		after  time.Duration
		listed []string
		want   map[string]bool
		why    string
	}{
		{0, []string{"m0", "old"}, map[string]bool{"oldtrue": false}, "it was there from the beginning"},
		{15 * time.Second, []string{"m0", "old", "left-out"}, map[string]bool{"oldtrue": false, "left-outtrue": false}, "the first listing may have left it out"},
		{time.Minute, []string{"m0", "old", "new"}, map[string]bool{"oldtrue": false, "newfalse": false}, "it came later"},
		{6 * time.Minute, []string{"m0", "old", "new"}, map[string]bool{"oldtrue": true, "newfalse": true}, "five minutes each"},
		{7 * time.Minute, []string{"m0"}, map[string]bool{}, "neither is listed"},
		{8 * time.Minute, []string{"m0", "old", "new"}, map[string]bool{"oldtrue": false, "newfalse": false}, "the row was broken"},
	} {
		if diff := cmp.Diff(step.want, lasted(step.after, step.listed...)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s%s", step.after, diff, step.why)
		}
		if settled != (step.after > 0) {
			t.Errorf("after %s: settled is %v", step.after, settled)
		}
	}
	lasted(9*time.Minute, "m0")
	if got := m.Unclaimed(); !slices.Equal(got, []string{"left-out", "new", "old"}) {
		t.Errorf("unclaimed %v, want those that a listing lacks remembered", got)
	}
	lasted(3*time.Hour, "m0")
	if got := m.Unclaimed(); len(got) > 0 {
		t.Errorf("unclaimed %v, want them forgotten", got)
	}
}

package outage_test

import (
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/outage"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// fleet makes machines of a group, the first of which fail.
func fleet(group string, machines, failing int) []outage.Machine {
	out := make([]outage.Machine, machines)
	for i := range out {
		out[i] = outage.Machine{Group: group, Failing: i < failing}
	}
	return out
}

func join(fleets ...[]outage.Machine) []outage.Machine {
	var out []outage.Machine
	for _, f := range fleets {
		out = append(out, f...)
	}
	return out
}

func TestStops(t *testing.T) {
	tests := map[string]struct {
		why      string
		machines []outage.Machine
		stops    bool
	}{
		"NothingFails":             {machines: fleet("g", 10, 0)},
		"TheOnlyMachineFails":      {why: "a group of one must be repaired too", machines: fleet("g", 1, 1)},
		"OneOfTwo":                 {machines: fleet("g", 2, 1)},
		"BothOfTwo":                {machines: fleet("g", 2, 2), stops: true},
		"TwoOfTen":                 {why: "20 % of ten", machines: fleet("g", 10, 2)},
		"ThreeOfTen":               {machines: fleet("g", 10, 3), stops: true},
		"ThreeOfEleven":            {why: "20 % of eleven, rounded up", machines: fleet("g", 11, 3)},
		"AnotherGroupFails":        {machines: join(fleet("g", 20, 1), fleet("h", 4, 3))},
		"ThreeGroupsLoseOneEach":   {machines: join(fleet("g", 1, 1), fleet("h", 1, 1), fleet("i", 1, 1))},
		"FourOfFourInTheCluster":   {why: "four are more than three and than 45 %", machines: join(fleet("g", 1, 1), fleet("h", 3, 3)), stops: true},
		"FortyFivePercent":         {machines: join(fleet("g", 20, 1), fleet("h", 80, 44))},
		"MoreThanFortyFivePercent": {machines: join(fleet("g", 20, 1), fleet("h", 80, 45)), stops: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := outage.Stops(tc.machines, "g"); (got != "") != tc.stops {
				t.Errorf("Stops = %q, want it to stop: %v (%s)", got, tc.stops, tc.why)
			}
		})
	}
}

func TestBreakerClosesAfterWatchedCalm(t *testing.T) {
	failing, calm := fleet("g", 10, 3), fleet("g", 10, 1)
	var w outage.Watch
	open := func(machines []outage.Machine, after time.Duration) bool {
		t.Helper()
		w = w.Look(machines, noon.Add(after))
		why, _ := w.Open(machines, "g", noon.Add(after))
		return why != ""
	}
	for _, step := range []struct {
		machines []outage.Machine
		after    time.Duration
		want     bool
		why      string
	}{
		{calm, 0, true, "nobody knows what was before"},
		{calm, outage.CoolDown, false, "calm was watched for the cool-down"},
		{failing, 6 * time.Minute, true, "too many fail"},
		{calm, 7 * time.Minute, true, "the cool-down has begun"},
		{failing, 8 * time.Minute, true, "too many fail again"},
		{calm, 9 * time.Minute, true, "the cool-down begins anew"},
		{calm, 14*time.Minute - time.Second, true, "not yet"},
		{calm, 14 * time.Minute, false, "calm again"},
	} {
		if got := open(step.machines, step.after); got != step.want {
			t.Errorf("after %s open is %v, want %v: %s", step.after, got, step.want, step.why)
		}
	}
	w = outage.Watch{} // the feed was stale, or the process is new
	if !open(calm, time.Hour) {
		t.Error("time that was not watched closed the breaker")
	}
	if why, closes := w.Open(calm, "g", noon.Add(time.Hour)); why == "" || !closes.Equal(noon.Add(time.Hour+outage.CoolDown)) {
		t.Errorf("Open = %q, %s; want it to say when it closes", why, closes)
	}
}

func TestNewGroupIsWatchedFirst(t *testing.T) {
	w := outage.Watch{}.Look(fleet("h", 5, 0), noon)
	machines := join(fleet("h", 5, 0), fleet("g", 1, 1))
	w = w.Look(machines, noon.Add(time.Hour))
	if why, _ := w.Open(machines, "g", noon.Add(time.Hour)); why == "" {
		t.Error("a group that was seen for the first time is repaired at once")
	}
}

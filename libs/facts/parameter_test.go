package facts_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
)

// examples are a code and kind whose records carry a parameter of each type, with values of the type and others.
var examples = map[reason.Type]struct {
	code        reason.Code
	kind        reason.Kind
	good, wrong []string
}{
	reason.Count:          {reason.NoScaleUpGroupMaxSize, reason.Launch, []string{"0", "12", reason.CountOf(3)}, []string{"", "-1", "x", "1.5", "1 node"}},
	reason.Integer:        {reason.NoScaleUpLowPriority, reason.NoScaleUp, []string{"0", "-10", reason.IntegerOf(-2147483648)}, []string{"", "low", "0.5"}},
	reason.Micros:         {reason.NoScaleUpGroupLimit, reason.Launch, []string{"0", "40000000"}, []string{"", "-1", "40.00", "$40", "40m"}},
	reason.Percent:        {reason.NoScaleDownUtilization, reason.NoScaleDown, []string{"0", "60", "130"}, []string{"", "60%", "0.6", "-1"}},
	reason.Time:           {reason.NoScaleDownUnneededFor, reason.NoScaleDown, []string{reason.TimeOf(time.Now()), "2026-01-01T00:00:00Z"}, []string{"", "soon", "2026-01-01", "2026-01-01T00:00:00+02:00", "2026-01-01T00:00:00.5Z"}},
	reason.Duration:       {reason.LaunchExpired, reason.Launch, []string{"15m0s", "1h"}, []string{"", "15", "a while"}},
	reason.Name:           {reason.HoldReplacement, reason.Hold, []string{"group-1", "Frankfurt 1"}, []string{"", " ", "a,b", "a\n", " a", strings.Repeat("x", reason.ValueBytesMax+1)}},
	reason.NameList:       {reason.HoldLaunchUnclear, reason.Hold, []string{"m1", "m1,m2", "m1,+3", reason.NamesOf(many(1000))}, []string{"", "m1,", ",m1", "m1,+x", "m1, m2", strings.Join(many(1000), ",")}},
	reason.NamespacedName: {reason.HoldPodTerminating, reason.Hold, []string{"default/web-1"}, []string{"", "web-1", "default/", "/web-1", "a/b/c", "pod default/web-1"}},
	reason.Machine:        {reason.HoldPauseUnreadable, reason.Hold, []string{"", "m1"}, []string{"m1,m2", " ", strings.Repeat("x", reason.ValueBytesMax+1)}},
}

func many(n int) []string { return slices.Repeat([]string{"machine"}, n) }

// TestCheckTypes has records with a parameter that is, and one that is not, of the type that the registry asks for.
func TestCheckTypes(t *testing.T) {
	used := map[reason.Type]bool{}
	for _, e := range reason.Entries {
		for _, kind := range e.Kinds {
			for _, p := range reason.ParametersOf(kind, "VPSieNode", e.Code) {
				used[p.Type] = true
			}
		}
	}
	for typ := range used {
		if _, has := examples[typ]; !has {
			t.Errorf("type %s has no example", typ)
		}
	}
	for typ, example := range examples {
		t.Run(strings.ReplaceAll(string(typ), "/", " "), func(t *testing.T) {
			if !used[typ] {
				t.Error("no code or kind has a parameter of the type")
			}
			wanted := reason.ParametersOf(example.kind, "VPSieNode", example.code)
			i := slices.IndexFunc(wanted, func(p reason.Parameter) bool { return p.Type == typ })
			if i < 0 {
				t.Fatalf("records with %s of kind %s carry no %s", example.code, example.kind, typ)
			}
			check := func(value string) error {
				r := &busv1.DecisionRecord{
					Kind: facts.DecisionKind(example.kind), Reason: string(example.code), Message: "why", NodeGroup: "ns/g", Subject: &busv1.Subject{Kind: "VPSieNode"},
					Parameters: map[string]string{},
				}
				for _, p := range wanted {
					r.Parameters[p.Name] = examples[p.Type].good[0]
				}
				r.Parameters[wanted[i].Name] = value
				return facts.Check(r)
			}
			for _, value := range example.good {
				if err := check(value); err != nil {
					t.Errorf("%q is refused: %v", value, err)
				}
			}
			for _, value := range example.wrong {
				if check(value) == nil {
					t.Errorf("%q passes", value)
				}
			}
		})
	}
}

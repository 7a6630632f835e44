package disruption_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
)

var update = flag.Bool("update", false, "write the table of the guards into its page")

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

const (
	scaleDown    = v1beta1.RetireScaleDown
	replace      = v1beta1.RetireReplace
	repair       = v1beta1.RetireRepair
	launchFailed = v1beta1.RetireLaunchFailed
	orphan       = v1beta1.RetireOrphan
	manual       = v1beta1.RetireManual
)

// allowed is a view to which no guard of the kind objects.
func allowed(kind v1beta1.RetirementKind) *disruption.View {
	ready := kind != repair && kind != launchFailed
	return &disruption.View{
		Kind: kind, Now: noon, Group: &v1beta1.NodeGroup{}, Machine: &v1beta1.VPSieNode{}, Node: &disruption.Node{Name: "n1", IsReady: ready},
		UnneededSince: noon.Add(-time.Hour), UnreadySince: noon.Add(-time.Hour),
		Replacements: replacements(kind == replace),
		NoPlace:      func() string { return "" }, Together: func() (string, time.Time) { return "", time.Time{} },
	}
}

func replacements(ready bool) []disruption.Replacement {
	if !ready {
		return nil
	}
	return []disruption.Replacement{{Name: "r", IsReady: true, ReadyAt: noon.Add(-time.Minute)}}
}

// objections are what each guard objects to, by its code, and by more than its code where several guards have it.
var objections = map[string]struct {
	code   reason.Code
	change func(*disruption.View)
}{
	"Paused": {reason.HoldPaused, func(v *disruption.View) { v.Paused = "paused" }},
	"Closed": {reason.NoScaleUpUnauthorized, func(v *disruption.View) {
		v.Closed = disruption.Refusal{Code: reason.NoScaleUpUnauthorized, Message: "no"}
	}},
	"GroupGone":    {reason.NoScaleDownGroupGone, func(v *disruption.View) { v.Group = nil }},
	"GroupGoing":   {reason.NoScaleDownGroupGone, func(v *disruption.View) { v.Group.DeletionTimestamp = new(metav1.NewTime(noon)) }},
	"Mode":         {reason.NoScaleDownGroupPaused, func(v *disruption.View) { v.Group.Spec.Mode = v1beta1.ModePaused }},
	"ModeUnknown":  {reason.NoScaleDownGroupPaused, func(v *disruption.View) { v.Group.Spec.Mode = "Later" }},
	"Recommend":    {reason.NoScaleDownGroupRecommend, func(v *disruption.View) { v.Group.Spec.Mode = v1beta1.ModeRecommend }},
	"Disabled":     {reason.NoScaleDownDisabled, func(v *disruption.View) { v.Group.Spec.ScaleDown.Enabled = new(false) }},
	"Protected":    {reason.NoScaleDownNodeProtected, func(v *disruption.View) { v.Node.Protection = reason.NoScaleDownNodeProtected }},
	"ControlPlane": {reason.NoScaleDownControlPlane, func(v *disruption.View) { v.Node.Protection = reason.NoScaleDownControlPlane }},
	"BeingReplaced": {reason.NoScaleDownBeingReplaced, func(v *disruption.View) {
		v.Replacements = []disruption.Replacement{{Name: "r"}}
	}},
	"WasReplaced": {reason.NoScaleDownBeingReplaced, func(v *disruption.View) {
		v.Replacements = []disruption.Replacement{{Name: "r", IsReady: true, ReadyAt: noon.Add(-14 * time.Minute)}}
	}},
	"ReplacesOneThatLeaves": {reason.NoScaleDownReplacement, func(v *disruption.View) {
		v.Machine.Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Hour)))
		v.Replaced = []disruption.Replaced{{Name: "old", IsLeaving: true}}
	}},
	"ReplacesOneThatWillLeave": {reason.NoScaleDownReplacement, func(v *disruption.View) {
		v.Machine.Status.ReadyAt = new(metav1.NewTime(noon.Add(-14 * time.Minute)))
		v.Replaced = []disruption.Replaced{{Name: "old"}}
	}},
	"NoReplacement":      {reason.NoReplaceFailed, func(v *disruption.View) { v.Replacements = nil }},
	"ReplacementFailed":  {reason.NoReplaceFailed, func(v *disruption.View) { v.Replacements = []disruption.Replacement{{Name: "r", HasFailed: true}} }},
	"ReplacementIsAhead": {reason.HoldReplacement, func(v *disruption.View) { v.Replacements = []disruption.Replacement{{Name: "r"}} }},
	"OneOfTwoIsAhead": {reason.HoldReplacement, func(v *disruption.View) {
		v.Replacements = append(v.Replacements, disruption.Replacement{Name: "s"})
	}},
	"NodeNotReady": {reason.NoScaleDownNodeNotReady, func(v *disruption.View) { v.Node.IsReady = false }},
	"NoNode":       {reason.NoScaleDownNodeNotReady, func(v *disruption.View) { v.Node = nil }},
	"NodeReady":    {reason.NoRepairNodeReady, func(v *disruption.View) { v.Node.IsReady = true }},
	"Utilized": {reason.NoScaleDownUtilization, func(v *disruption.View) {
		v.Pods, v.Utilization = []disruption.Pod{{Name: "pod a/b"}}, 50
	}},
	"Awaited":     {reason.NoScaleDownPendingPods, func(v *disruption.View) { v.IsAwaited = true }},
	"Becoming":    {reason.NoScaleDownNodeNotReady, func(v *disruption.View) { v.Node.IsBecoming = true }},
	"DrainFailed": {reason.NoScaleDownDrainFailed, func(v *disruption.View) { v.DrainFailed = noon.Add(-4 * time.Minute) }},
	"UnreadyFor":  {reason.NoScaleDownNodeNotReady, func(v *disruption.View) { v.UnreadySince = noon.Add(-19 * time.Minute) }},
	"Sacred":      {reason.NoScaleDownPodProtected, pods(disruption.Pod{Protection: reason.NoScaleDownPodProtected})},
	"Sealed":      {reason.NoScaleDownPodProtected, pods(disruption.Pod{Protection: "noscaledown.pod.of_a_later_version"})},
	"Bare":        {reason.NoScaleDownPodBare, pods(disruption.Pod{Protection: reason.NoScaleDownPodBare})},
	"Local":       {reason.NoScaleDownPodLocalStorage, pods(disruption.Pod{Protection: reason.NoScaleDownPodLocalStorage})},
	"System":      {reason.NoScaleDownPodKubeSystem, pods(disruption.Pod{Protection: reason.NoScaleDownPodKubeSystem})},
	"Unjudged":    {reason.NoScaleDownPodUnjudged, pods(disruption.Pod{Unjudged: "claims"})},
	"Budget":      {reason.NoScaleDownPodBudget, pods(disruption.Pod{Budgets: []string{"a/b"}})},
	"TwoBudgets": {reason.NoScaleDownPodBudget, func(v *disruption.View) {
		v.Pods, v.Budgets = []disruption.Pod{{Budgets: []string{"a/b", "a/c"}}}, map[string]int{"a/b": 1, "a/c": 1}
	}},
	"MinSize":               {reason.NoScaleDownMinSize, func(v *disruption.View) { v.Group.Spec.MinNodes = 1 }},
	"NoPlace":               {reason.NoScaleDownPodNoPlace, func(v *disruption.View) { v.NoPlace = func() string { return "no place" } }},
	"NobodyLookedForAPlace": {reason.NoScaleDownPodNoPlace, func(v *disruption.View) { v.NoPlace = nil }},
	"UnneededFor":           {reason.NoScaleDownUnneededFor, func(v *disruption.View) { v.UnneededSince = noon.Add(-9 * time.Minute) }},
	"StepLimit":             {reason.NoScaleDownStepLimit, func(v *disruption.View) { v.Leaving = 5 }},
	"Together": {reason.NoRepairFailingTogether, func(v *disruption.View) {
		v.Together = func() (string, time.Time) { return "many fail", time.Time{} }
	}},
	"NobodyLookedForTheOthers": {reason.NoRepairFailingTogether, func(v *disruption.View) { v.Together = nil }},
	"Busy":                     {reason.NoRepairOneAtATime, func(v *disruption.View) { v.Busy = "another one" }},
	"Occupied":                 {reason.HoldOccupied, pods(disruption.Pod{Name: "pod a/b"})},
}

func pods(p disruption.Pod) func(*disruption.View) {
	return func(v *disruption.View) { v.Pods = []disruption.Pod{p} }
}

// TestGuards holds which guard objects to which kind, and where. What is not listed is allowed.
func TestGuards(t *testing.T) {
	type where = map[v1beta1.RetirementKind]disruption.Point
	const decide, act, del = disruption.Decide, disruption.Act, disruption.Delete
	everywhere := where{scaleDown: act, replace: act, repair: decide | act, launchFailed: decide | act, orphan: act, manual: act}
	planned := where{scaleDown: decide | act, replace: decide | act, repair: decide | act}
	gone := where{scaleDown: decide | act, replace: decide | act, repair: act}
	protected := where{scaleDown: decide | act, replace: decide | act, repair: decide | act, orphan: act}
	sacred := where{scaleDown: decide | act, replace: decide | act, repair: act, orphan: act}
	moved := where{scaleDown: decide | act, replace: decide | act, orphan: act}
	only := func(kind v1beta1.RetirementKind, at disruption.Point) where { return where{kind: at} }
	replaced := where{scaleDown: decide | act}
	wanted := map[string]where{
		"Paused": everywhere, "Closed": {scaleDown: decide, replace: decide, repair: decide}, "GroupGone": gone, "GroupGoing": gone,
		"ModeUnknown": {scaleDown: decide | act, replace: decide | act, repair: decide | act, launchFailed: decide},
		"Mode":        {scaleDown: decide | act, replace: decide | act, repair: decide | act, launchFailed: decide},
		"Recommend":   {scaleDown: act, replace: act, repair: act}, "Disabled": planned, "Protected": protected, "ControlPlane": protected,
		"BeingReplaced": only(scaleDown, decide), "WasReplaced": only(scaleDown, decide), "ReplacesOneThatLeaves": replaced, "ReplacesOneThatWillLeave": replaced,
		"NoReplacement": only(replace, act), "ReplacementFailed": only(replace, act), "ReplacementIsAhead": only(replace, act), "OneOfTwoIsAhead": only(replace, act),
		"NodeNotReady": {scaleDown: decide, replace: decide | act}, "NoNode": {scaleDown: decide, replace: decide | act}, "NodeReady": {repair: act, launchFailed: act},
		"Utilized": only(scaleDown, decide|act), "Awaited": only(scaleDown, decide), "Becoming": {scaleDown: decide, replace: decide},
		"DrainFailed": {scaleDown: decide, replace: decide, repair: decide}, "UnreadyFor": only(repair, decide),
		"Sacred": sacred, "Sealed": sacred, "Bare": moved, "Local": moved, "System": moved, "Unjudged": moved,
		"Budget": {scaleDown: decide, replace: decide}, "TwoBudgets": {scaleDown: decide, replace: decide}, "MinSize": {scaleDown: decide | act, replace: act},
		"NoPlace": only(scaleDown, decide), "NobodyLookedForAPlace": only(scaleDown, decide), "UnneededFor": only(scaleDown, decide), "StepLimit": only(scaleDown, decide),
		"Together": {repair: decide | act, launchFailed: decide}, "NobodyLookedForTheOthers": {repair: decide | act, launchFailed: decide},
		"Busy":     {repair: decide, launchFailed: decide},
		"Occupied": {scaleDown: del, replace: del, repair: del, launchFailed: del, orphan: del, manual: del},
	}
	for name, o := range objections {
		want, ok := wanted[name]
		if !ok {
			t.Errorf("where %s holds is not said", name)
		}
		for _, kind := range disruption.Kinds {
			for _, at := range []disruption.Point{decide, act, del} {
				v := allowed(kind)
				o.change(v)
				got := disruption.First(at, v)
				// A machine that is broken has no Ready Node whatever else is so, and one whose pods are protected is occupied.
				if forbidden := want[kind]&at != 0; forbidden != (got.Code == o.code) {
					t.Errorf("%s: %s at %d is refused with %+v, want it forbidden: %v", name, kind, at, got, forbidden)
				}
			}
		}
	}
}

// TestNothingElseIsRefused holds that a view without a flaw passes for every kind at every point.
func TestNothingElseIsRefused(t *testing.T) {
	for _, kind := range disruption.Kinds {
		for _, at := range []disruption.Point{disruption.Decide, disruption.Act, disruption.Delete} {
			if got := disruption.First(at, allowed(kind)); got.Message != "" {
				t.Errorf("%s at %d is refused: %+v", kind, at, got)
			}
		}
	}
}

// TestEveryGuardIsTried holds that each code of each guard has an objection, and that only those refuse.
func TestEveryGuardIsTried(t *testing.T) {
	tried := map[reason.Code]bool{reason.NoScaleUpGroupInvalid: true, reason.NoScaleUpAPIUnavailable: true, reason.NoScaleUpClusterUnknown: true} // as Closed
	for _, o := range objections {
		tried[o.code] = true
	}
	for _, g := range disruption.Guards {
		for _, code := range g.Codes {
			if !tried[code] {
				t.Errorf("nothing tries %s", code)
			}
		}
		if g.Why == "" || len(g.Holds) == 0 {
			t.Errorf("guard %v says too little", g.Codes)
		}
	}
}

func TestEnds(t *testing.T) {
	for name, want := range map[string]time.Time{
		"DrainFailed": noon.Add(time.Minute), "UnneededFor": noon.Add(time.Minute), "WasReplaced": noon.Add(time.Minute), "ReplacesOneThatWillLeave": noon.Add(time.Minute), "Sacred": {},
	} {
		v := allowed(scaleDown)
		objections[name].change(v)
		if got := disruption.First(disruption.Decide, v); !got.Until.Equal(want) {
			t.Errorf("%s ends at %s, want %s", name, got.Until, want)
		}
	}
	v := allowed(repair)
	v.DrainFailed = noon.Add(-4 * time.Minute)
	if got := disruption.First(disruption.Decide, v); !got.Until.Equal(noon.Add(16 * time.Minute)) {
		t.Errorf("a repair is tried again at %s, want it after unreadyFor", got.Until)
	}
}

func TestWhatEnds(t *testing.T) {
	for name, change := range map[string]func(*disruption.View){
		"ReplacementWasReadyLongAgo": func(v *disruption.View) {
			v.Replacements = []disruption.Replacement{{Name: "r", IsReady: true, ReadyAt: noon.Add(-disruption.ReplacementKept)}}
		},
		"ReplacementFailed": func(v *disruption.View) { v.Replacements = []disruption.Replacement{{Name: "r", HasFailed: true}} },
		"ReplacedStays": func(v *disruption.View) {
			v.Machine.Status.ReadyAt, v.Replaced = new(metav1.NewTime(noon.Add(-disruption.ReplacementKept))), []disruption.Replaced{{Name: "old"}}
		},
		"EvictionsBegan": func(v *disruption.View) {
			v.Pods, v.Utilization, v.IsEvicting = []disruption.Pod{{Name: "a"}}, 90, true
		},
		"EmptyNode": func(v *disruption.View) { v.Utilization = 90 },
	} {
		v := allowed(scaleDown)
		change(v)
		if got := disruption.First(disruption.Decide, v); got.Message != "" {
			t.Errorf("%s is refused: %+v", name, got)
		}
	}
}

// TestMachineThatVPSieDoesNotKnow holds that what is left of it goes without a group, and with scale-down switched off.
func TestMachineThatVPSieDoesNotKnow(t *testing.T) {
	for name, group := range map[string]*v1beta1.NodeGroup{"NoGroup": nil, "Disabled": {Spec: v1beta1.NodeGroupSpec{ScaleDown: v1beta1.ScaleDownPolicy{Enabled: new(false)}}}} {
		for _, missing := range []bool{false, true} {
			v := allowed(repair)
			v.Group, v.IsMissing = group, missing
			if got := disruption.First(disruption.Act, v); (got.Message == "") != missing {
				t.Errorf("%s, missing %v: %+v", name, missing, got)
			}
		}
	}
}

func TestUnknownKindIsRefused(t *testing.T) {
	for _, at := range []disruption.Point{disruption.Decide, disruption.Act} {
		v := allowed(replace)
		v.Kind, v.NoPlace, v.Together = "Whim", nil, nil
		if got := disruption.First(at, v); got.Message == "" {
			t.Errorf("a kind that nobody knows is allowed at %d", at)
		}
	}
}

func TestKindOf(t *testing.T) {
	n := &v1beta1.VPSieNode{}
	n.Spec.Retirement = &v1beta1.Retirement{Kind: replace}
	if got := disruption.KindOf(n); got != replace {
		t.Errorf("kind %q", got)
	}
	n.DeletionTimestamp = new(metav1.NewTime(noon))
	if got := disruption.KindOf(n); got != manual || !disruption.IsRetiredFor(n, replace) {
		t.Errorf("kind %q of a machine that a person deletes", got)
	}
}

// TestTableAgrees compares the list with its page; -update writes it.
func TestTableAgrees(t *testing.T) {
	const page, begin, end = "../../docs/disruption.md", "<!-- guards -->\n", "<!-- end of guards -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", page)
	}
	want := head + begin + table() + end + tail
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s is behind; run go test ./disruption -update in libs", page)
	}
}

// table writes the guards down, a row each.
func table() string {
	var b strings.Builder
	b.WriteString("| Code | Why it keeps the machine |")
	for _, kind := range disruption.Kinds {
		b.WriteString(" " + string(kind) + " |")
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(disruption.Kinds)) + "\n")
	for _, g := range disruption.Guards {
		var codes []string
		for _, code := range g.Codes {
			codes = append(codes, "`"+string(code)+"`")
		}
		why := g.Why
		if g.Waits {
			why += " (waits)"
		}
		b.WriteString("| " + strings.Join(codes, ", ") + " | " + why + " |")
		for _, kind := range disruption.Kinds {
			b.WriteString(" " + points(g.Holds[kind]) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func points(at disruption.Point) string {
	var words []string
	for _, p := range []struct {
		point disruption.Point
		word  string
	}{{disruption.Decide, "decide"}, {disruption.Act, "act"}, {disruption.Delete, "delete"}} {
		if at&p.point != 0 {
			words = append(words, p.word)
		}
	}
	return strings.Join(words, ", ")
}

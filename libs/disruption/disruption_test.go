package disruption_test

import (
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
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
	v := &disruption.View{Kind: kind, Now: noon, Machine: &v1beta1.VPSieNode{}}
	v.Paused, v.Closed, v.Group = disruption.Known(disruption.Refusal{}), disruption.Known(disruption.Refusal{}), disruption.Known(&v1beta1.NodeGroup{})
	v.Node = disruption.Known(nodeOf(kind))
	v.Pods, v.Utilization, v.IsAwaited = disruption.Known[[]disruption.Pod](nil), disruption.Known[int64](0), disruption.Known(false)
	v.Staying, v.Leaving = disruption.Known(0), disruption.Known(0)
	v.Replacements, v.Replaced = disruption.Known(replacements(kind == replace)), disruption.Known[[]disruption.Replaced](nil)
	v.UnneededSince, v.UnreadySince = disruption.Known(noon.Add(-time.Hour)), disruption.Known(noon.Add(-time.Hour))
	v.NoPlace, v.Together = disruption.Known(func() string { return "" }), disruption.Known(func() (string, time.Time) { return "", time.Time{} })
	v.Busy = disruption.Known("")
	return v
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
	"Paused": {reason.HoldPaused, func(v *disruption.View) { v.Paused = disruption.Known(disruption.Refusal{Message: "paused"}) }},
	"Closed": {reason.NoScaleUpUnauthorized, func(v *disruption.View) {
		v.Closed = disruption.Known(disruption.Refusal{Code: reason.NoScaleUpUnauthorized, Message: "no"})
	}},
	"GroupGone":    {reason.NoScaleDownGroupGone, func(v *disruption.View) { v.Group = disruption.Known[*v1beta1.NodeGroup](nil) }},
	"GroupGoing":   {reason.NoScaleDownGroupGone, group(func(g *v1beta1.NodeGroup) { g.DeletionTimestamp = new(metav1.NewTime(noon)) })},
	"Mode":         {reason.NoScaleDownGroupPaused, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused })},
	"ModeUnknown":  {reason.NoScaleDownGroupPaused, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = "Later" })},
	"Recommend":    {reason.NoScaleDownGroupRecommend, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModeRecommend })},
	"Disabled":     {reason.NoScaleDownDisabled, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.Enabled = new(false) })},
	"Protected":    {reason.NoScaleDownNodeProtected, node(func(n *disruption.NodeFacts) { n.Protection = disruption.Known(reason.NoScaleDownNodeProtected) })},
	"ControlPlane": {reason.NoScaleDownControlPlane, node(func(n *disruption.NodeFacts) { n.Protection = disruption.Known(reason.NoScaleDownControlPlane) })},
	"BeingReplaced": {reason.NoScaleDownBeingReplaced, func(v *disruption.View) {
		v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r"}})
	}},
	"WasReplaced": {reason.NoScaleDownBeingReplaced, func(v *disruption.View) {
		v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r", IsReady: true, ReadyAt: noon.Add(-14 * time.Minute)}})
	}},
	"ReplacesOneThatLeaves": {reason.NoScaleDownReplacement, func(v *disruption.View) {
		wasReady(v, time.Hour)
		v.Replaced = disruption.Known([]disruption.Replaced{{Name: "old"}})
	}},
	"ReplacesOneThatWillLeave": {reason.NoScaleDownReplacement, func(v *disruption.View) {
		wasReady(v, 14*time.Minute)
		v.Replaced = disruption.Known([]disruption.Replaced{{Name: "old", Stays: true}})
	}},
	"NoReplacement": {reason.NoReplaceFailed, func(v *disruption.View) { v.Replacements = disruption.Known[[]disruption.Replacement](nil) }},
	"ReplacementFailed": {reason.NoReplaceFailed, func(v *disruption.View) {
		v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r", HasFailed: true}})
	}},
	"ReplacementIsAhead": {reason.HoldReplacement, func(v *disruption.View) { v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r"}}) }},
	"ReplacementIsLate":  {reason.NoReplaceLate, late},
	"OneOfTwoIsAhead": {reason.HoldReplacement, func(v *disruption.View) {
		v.Replacements = disruption.Known(append(replacements(true), disruption.Replacement{Name: "s"}))
	}},
	"NodeNotReady": {reason.NoScaleDownNodeNotReady, node(func(n *disruption.NodeFacts) { n.IsReady = disruption.Known(false) })},
	"NoNode":       {reason.NoScaleDownNodeNotReady, func(v *disruption.View) { v.Node = disruption.Known[*disruption.NodeFacts](nil) }},
	"NodeReady":    {reason.NoRepairNodeReady, node(func(n *disruption.NodeFacts) { n.IsReady = disruption.Known(true) })},
	"Utilized": {reason.NoScaleDownUtilization, func(v *disruption.View) {
		v.Pods, v.Utilization = disruption.Known([]disruption.Pod{movable}), disruption.Known[int64](50)
	}},
	"Awaited":     {reason.NoScaleDownPendingPods, func(v *disruption.View) { v.IsAwaited = disruption.Known(true) }},
	"Becoming":    {reason.NoScaleDownNodeNotReady, node(func(n *disruption.NodeFacts) { n.IsBecoming = disruption.Known(true) })},
	"DrainFailed": {reason.NoScaleDownDrainFailed, drainFailed},
	"UnreadyFor":  {reason.NoScaleDownNodeNotReady, func(v *disruption.View) { v.UnreadySince = disruption.Known(noon.Add(-19 * time.Minute)) }},
	"Sacred":      {reason.NoScaleDownPodProtected, protectedPod(disruption.Known(reason.NoScaleDownPodProtected))},
	"Sealed":      {reason.NoScaleDownPodProtected, protectedPod(disruption.Known[reason.Code]("noscaledown.pod.of_a_later_version"))},
	"Bare":        {reason.NoScaleDownPodBare, protectedPod(disruption.Known(reason.NoScaleDownPodBare))},
	"Local":       {reason.NoScaleDownPodLocalStorage, protectedPod(disruption.Known(reason.NoScaleDownPodLocalStorage))},
	"System":      {reason.NoScaleDownPodKubeSystem, protectedPod(disruption.Known(reason.NoScaleDownPodKubeSystem))},
	"Unjudged":    {reason.NoScaleDownPodUnjudged, pods(func(p *disruption.Pod) { p.Unjudged = disruption.Known("claims") })},
	"Budget":      {reason.NoScaleDownPodBudget, pods(func(p *disruption.Pod) { p.Budgets = disruption.Known([]string{"a/b"}) })},
	"TwoBudgets": {reason.NoScaleDownPodBudget, func(v *disruption.View) {
		pods(func(p *disruption.Pod) { p.Budgets = disruption.Known([]string{"a/b", "a/c"}) })(v)
		v.Budgets = map[string]int{"a/b": 1, "a/c": 1}
	}},
	"MinSize":     {reason.NoScaleDownMinSize, group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 })},
	"NoPlace":     {reason.NoScaleDownPodNoPlace, func(v *disruption.View) { v.NoPlace = disruption.Known(func() string { return "no place" }) }},
	"UnneededFor": {reason.NoScaleDownUnneededFor, func(v *disruption.View) { v.UnneededSince = disruption.Known(noon.Add(-9 * time.Minute)) }},
	"StepLimit":   {reason.NoScaleDownStepLimit, func(v *disruption.View) { v.Leaving = disruption.Known(5) }},
	"Together": {reason.NoRepairFailingTogether, func(v *disruption.View) {
		v.Together = disruption.Known(func() (string, time.Time) { return "many fail", time.Time{} })
	}},
	"Busy":     {reason.NoRepairOneAtATime, func(v *disruption.View) { v.Busy = disruption.Known("another one") }},
	"Occupied": {reason.HoldOccupied, pods(func(p *disruption.Pod) { p.Name = "pod a/b" })},
}

// movable is a pod that nothing keeps.
var movable = disruption.Pod{Name: "pod a/b", Reference: "a/b", Protection: disruption.Known[reason.Code](""), Unjudged: disruption.Known(""), Budgets: disruption.Known[[]string](nil)}

// late is a retirement that has waited for a replacement for as long as the launch of that may take.
func late(v *disruption.View) {
	v.Machine.Spec.Retirement = &v1beta1.Retirement{Kind: replace, DecisionID: "d"}
	v.Machine.Status.ReplacementWait = &v1beta1.ReplacementWait{DecisionID: "d", Since: metav1.NewTime(noon.Add(-15 * time.Minute))}
	v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r", LaunchDeadline: 15 * time.Minute, DueAt: noon}})
}

func pods(change func(*disruption.Pod)) func(*disruption.View) {
	return func(v *disruption.View) {
		pod := movable
		change(&pod)
		v.Pods = disruption.Known([]disruption.Pod{pod})
	}
}

func protectedPod(by disruption.Fact[reason.Code]) func(*disruption.View) {
	return pods(func(p *disruption.Pod) { p.Protection = by })
}

func group(change func(*v1beta1.NodeGroup)) func(*disruption.View) {
	return func(v *disruption.View) {
		g := &v1beta1.NodeGroup{}
		change(g)
		v.Group = disruption.Known(g)
	}
}

// node changes the Node of a view that is allowed for a kind other than a repair.
func node(change func(*disruption.NodeFacts)) func(*disruption.View) {
	return func(v *disruption.View) {
		n := nodeOf(v.Kind)
		change(n)
		v.Node = disruption.Known(n)
	}
}

func nodeOf(kind v1beta1.RetirementKind) *disruption.NodeFacts {
	return &disruption.NodeFacts{
		Name: "n1", IsReady: disruption.Known(kind != repair && kind != launchFailed), IsBecoming: disruption.Known(false), Protection: disruption.Known[reason.Code](""),
	}
}

func wasReady(v *disruption.View, ago time.Duration) {
	v.Machine.Status.ReadyAt = new(metav1.NewTime(noon.Add(-ago)))
}

func drainFailed(v *disruption.View) {
	v.Machine.Status.DrainFailedAt, v.Machine.Status.DrainFailure = new(metav1.NewTime(noon.Add(-4*time.Minute))), "pod a/b has not terminated"
}

// TestGuards holds which guard objects to which kind, and where. What is not listed is allowed.
func TestGuards(t *testing.T) {
	type where = map[v1beta1.RetirementKind]disruption.Point
	const decide, act, del = disruption.Decide, disruption.Act, disruption.Delete
	everywhere := where{scaleDown: act, replace: act, repair: decide | act, launchFailed: decide | act, orphan: act, manual: act}
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
		"Recommend":   {scaleDown: act, replace: act, repair: act}, "Disabled": {scaleDown: decide | act, repair: decide | act}, "Protected": protected, "ControlPlane": protected,
		"BeingReplaced": only(scaleDown, decide), "WasReplaced": only(scaleDown, decide), "ReplacesOneThatLeaves": replaced, "ReplacesOneThatWillLeave": replaced,
		"NoReplacement": only(replace, act), "ReplacementFailed": only(replace, act), "ReplacementIsAhead": only(replace, act), "ReplacementIsLate": only(replace, act), "OneOfTwoIsAhead": only(replace, act),
		"NodeNotReady": {scaleDown: decide, replace: decide | act}, "NoNode": {scaleDown: decide, replace: decide | act}, "NodeReady": {repair: act, launchFailed: act},
		"Utilized": only(scaleDown, decide|act), "Awaited": only(scaleDown, decide), "Becoming": {scaleDown: decide, replace: decide},
		"DrainFailed": {scaleDown: decide, replace: decide, repair: decide}, "UnreadyFor": only(repair, decide),
		"Sacred": sacred, "Sealed": sacred, "Bare": moved, "Local": moved, "System": moved, "Unjudged": moved,
		"Budget": {scaleDown: decide, replace: decide}, "TwoBudgets": {scaleDown: decide, replace: decide}, "MinSize": {scaleDown: decide | act, replace: act},
		"NoPlace": only(scaleDown, decide), "UnneededFor": only(scaleDown, decide), "StepLimit": only(scaleDown, decide),
		"Together": {repair: decide | act, launchFailed: decide},
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

// TestRefusalsCarryParameters holds that what each guard says makes a complete record.
func TestRefusalsCarryParameters(t *testing.T) {
	for name, o := range objections {
		for _, kind := range disruption.Kinds {
			for _, at := range []disruption.Point{disruption.Decide, disruption.Act, disruption.Delete} {
				v := allowed(kind)
				o.change(v)
				refusal := disruption.First(at, v)
				if refusal.Code == "" {
					continue
				}
				e, _ := reason.Lookup(refusal.Code)
				of := reason.NoScaleDown
				if !slices.Contains(e.Kinds, of) {
					of = reason.Hold
				}
				r := &busv1.DecisionRecord{
					Kind: facts.DecisionKind(of), Reason: string(refusal.Code), Message: refusal.Message, NodeGroup: "ns/g", Subject: &busv1.Subject{Kind: "Node"},
					Parameters: maps.Clone(refusal.Parameters),
				}
				if of == reason.NoScaleDown {
					r.Parameters = reason.Values{reason.ParamNode: "node"}
					maps.Copy(r.Parameters, refusal.Parameters)
				}
				for _, p := range reason.ParametersOf(of, "Node", refusal.Code) {
					if p.Name == reason.ParamPod && refusal.Parameters[p.Name] != movable.Reference {
						t.Errorf("%s: %s at %d is refused with %s for pod %q, want %q", name, kind, at, refusal.Code, refusal.Parameters[p.Name], movable.Reference)
					}
				}
				if err := facts.Check(r); err != nil {
					t.Errorf("%s: %s at %d is refused with %s and the record is not complete: %v", name, kind, at, refusal.Code, err)
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
	drainFailed(v)
	if got := disruption.First(disruption.Decide, v); !got.Until.Equal(noon.Add(16 * time.Minute)) {
		t.Errorf("a repair is tried again at %s, want it after unreadyFor", got.Until)
	}
}

func TestWhatEnds(t *testing.T) {
	for name, change := range map[string]func(*disruption.View){
		"ReplacementWasReadyLongAgo": func(v *disruption.View) {
			v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r", IsReady: true, ReadyAt: noon.Add(-disruption.ReplacementKept)}})
		},
		"ReplacementFailed": func(v *disruption.View) {
			v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r", HasFailed: true}})
		},
		"ReplacedStays": func(v *disruption.View) {
			wasReady(v, disruption.ReplacementKept)
			v.Replaced = disruption.Known([]disruption.Replaced{{Name: "old", Stays: true}})
		},
		"EvictionsBegan": func(v *disruption.View) {
			v.Pods, v.Utilization, v.IsEvicting = disruption.Known([]disruption.Pod{movable}), disruption.Known[int64](90), true
		},
		"EmptyNode": func(v *disruption.View) { v.Utilization = disruption.Known[int64](90) },
	} {
		v := allowed(scaleDown)
		change(v)
		if got := disruption.First(disruption.Decide, v); got.Message != "" {
			t.Errorf("%s is refused: %+v", name, got)
		}
	}
}

// TestReplacementThatMayStillCome holds that the wait for a replacement goes on for as long as that may come, and for as long after it was
// first waited for.
func TestReplacementThatMayStillCome(t *testing.T) {
	for name, change := range map[string]func(*disruption.View){
		"IsNotDue": func(v *disruption.View) {
			v.Replacements = disruption.Known([]disruption.Replacement{{Name: "r", LaunchDeadline: 15 * time.Minute, DueAt: noon.Add(time.Second)}})
		},
		"IsIllSinceAMomentAgo": func(v *disruption.View) {
			v.Machine.Status.ReplacementWait.Since = metav1.NewTime(noon.Add(-14 * time.Minute))
		},
		"IsWaitedForByAnother":  func(v *disruption.View) { v.Machine.Status.ReplacementWait.DecisionID = "an earlier one" },
		"IsWaitedForSinceToday": func(v *disruption.View) { v.Machine.Status.ReplacementWait = nil },
	} {
		v := allowed(replace)
		late(v)
		change(v)
		if got := disruption.First(disruption.Act, v); got.Code != reason.HoldReplacement || !got.Waits {
			t.Errorf("%s: %+v, want it to wait", name, got)
		}
	}
}

// TestMachineThatVPSieDoesNotKnow holds that what is left of it goes without a group, and with scale-down switched off.
func TestMachineThatVPSieDoesNotKnow(t *testing.T) {
	for name, group := range map[string]*v1beta1.NodeGroup{"NoGroup": nil, "Disabled": {Spec: v1beta1.NodeGroupSpec{ScaleDown: v1beta1.ScaleDownPolicy{Enabled: new(false)}}}} {
		for _, missing := range []bool{false, true} {
			v := allowed(repair)
			v.Group, v.IsMissing = disruption.Known(group), missing
			if got := disruption.First(disruption.Act, v); (got.Message == "") != missing {
				t.Errorf("%s, missing %v: %+v", name, missing, got)
			}
		}
	}
}

// TestWhatIsUnknownIsRefused asks each guard alone about a view of which nothing is known, and then about views that lack one fact.
func TestWhatIsUnknownIsRefused(t *testing.T) {
	all := disruption.Guards
	defer func() { disruption.Guards = all }()
	for _, g := range all {
		disruption.Guards = []disruption.Guard{g}
		for kind, points := range g.Holds {
			if got := disruption.First(points, &disruption.View{Kind: kind}); got.Code != reason.NoScaleDownUnchecked || got.Message == "" || got.Waits != g.Waits {
				t.Errorf("%s for %s knows nothing and says %+v", g.Codes[0], kind, got)
			}
		}
	}
	disruption.Guards = all
	facts := map[string]bool{}
	for _, kind := range disruption.Kinds {
		for _, at := range []disruption.Point{disruption.Decide, disruption.Act, disruption.Delete} {
			for name, v := range lacking(kind) {
				if got := disruption.First(at, v); got.Code == reason.NoScaleDownUnchecked {
					facts[name] = true
				} else if got.Message != "" {
					t.Errorf("%s at %d is refused without %s: %+v, want no guard to need it or to say so", kind, at, name, got)
				}
			}
		}
	}
	for name := range lacking(scaleDown) {
		if !facts[name] {
			t.Errorf("no guard needs %s", name)
		}
	}
}

// lacking returns views that are allowed for a kind but for one unknown fact, by its name.
func lacking(kind v1beta1.RetirementKind) map[string]*disruption.View {
	out := map[string]*disruption.View{}
	view := reflect.TypeFor[disruption.View]()
	for i := range view.NumField() {
		if field := view.Field(i); strings.HasPrefix(field.Type.Name(), "Fact[") {
			v := allowed(kind)
			reflect.ValueOf(v).Elem().Field(i).SetZero()
			out[field.Name] = v
		}
	}
	for name, change := range map[string]func(*disruption.View){
		"Node.IsReady":    node(func(n *disruption.NodeFacts) { n.IsReady = disruption.Fact[bool]{} }),
		"Node.IsBecoming": node(func(n *disruption.NodeFacts) { n.IsBecoming = disruption.Fact[bool]{} }),
		"Node.Protection": node(func(n *disruption.NodeFacts) { n.Protection = disruption.Fact[reason.Code]{} }),
	} {
		out[name] = allowed(kind)
		change(out[name])
	}
	return out
}

// TestPodsOfWhichTooLittleIsKnown holds the same for what is known of a pod.
func TestPodsOfWhichTooLittleIsKnown(t *testing.T) {
	for name, change := range map[string]func(*disruption.Pod){
		"Protection": func(p *disruption.Pod) { p.Protection = disruption.Fact[reason.Code]{} },
		"Unjudged":   func(p *disruption.Pod) { p.Unjudged = disruption.Fact[string]{} },
		"Budgets":    func(p *disruption.Pod) { p.Budgets = disruption.Fact[[]string]{} },
	} {
		for _, kind := range []v1beta1.RetirementKind{scaleDown, replace} {
			v := allowed(kind)
			pods(change)(v)
			if got := disruption.First(disruption.Decide, v); got.Code != reason.NoScaleDownUnchecked {
				t.Errorf("%s with a pod of unknown %s: %+v", kind, name, got)
			}
		}
	}
}

func TestUnknownKindIsRefused(t *testing.T) {
	for _, at := range []disruption.Point{disruption.Decide, disruption.Act} {
		v := allowed(replace)
		v.Kind, v.NoPlace = "Whim", disruption.Known(func() string { return "no place" })
		v.Together = disruption.Known(func() (string, time.Time) { return "many fail", time.Time{} })
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

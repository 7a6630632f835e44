package machine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

var (
	noon  = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	later = noon.Add(20 * time.Minute)
)

func object(change ...func(*v1beta1.VPSieNode)) *v1beta1.VPSieNode {
	n := &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", CreationTimestamp: metav1.NewTime(noon)},
		Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", LaunchDeadline: metav1.Duration{Duration: 15 * time.Minute}},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

// launches makes a ledger of one entry for each outcome.
func launches(outcomes ...v1beta1.LaunchOutcome) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) {
		for i, outcome := range outcomes {
			a := v1beta1.LaunchAttempt{Number: int32(i + 1), RequestedAt: metav1.NewTime(noon), Outcome: outcome}
			if outcome == v1beta1.LaunchAnswered {
				a.Machine = "m1"
			}
			n.Status.Launches = append(n.Status.Launches, a)
		}
	}
}

func at() *metav1.Time { return new(metav1.NewTime(noon)) }

func listed(n *v1beta1.VPSieNode)   { n.Status.Identifier, n.Status.Hostname = "m1", "Host-1" }
func ready(n *v1beta1.VPSieNode)    { listed(n); n.Status.ReadyAt = at() }
func draining(n *v1beta1.VPSieNode) { listed(n); n.Status.DrainStartedAt = at() }
func deleting(n *v1beta1.VPSieNode) { draining(n); n.Status.DeleteRequestedAt = at() }
func absent(n *v1beta1.VPSieNode)   { deleting(n); n.Status.AbsentSightings = fleet.AbsenceSightings }
func retired(n *v1beta1.VPSieNode) {
	n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireScaleDown}
}
func adopted(n *v1beta1.VPSieNode) { n.Spec.Origin = v1beta1.OriginAdoption }

// objects are some in every state, with what else the changes look at.
func objects() map[string]*v1beta1.VPSieNode {
	unconfirmed := slices.Repeat([]v1beta1.LaunchOutcome{v1beta1.LaunchUnconfirmed}, machine.AttemptsMax)
	return map[string]*v1beta1.VPSieNode{
		"New":                object(),
		"Adoption":           object(adopted),
		"NotMade":            object(launches(v1beta1.LaunchNotMade)),
		"Unconfirmed":        object(launches(v1beta1.LaunchUnconfirmed)),
		"RetiredBefore":      object(retired),
		"Requested":          object(launches(v1beta1.LaunchRequested)),
		"RequestedAgain":     object(launches(v1beta1.LaunchNotMade, v1beta1.LaunchRequested)),
		"RequestedLast":      object(launches(append(unconfirmed[1:], v1beta1.LaunchRequested)...)),
		"Accepted":           object(launches(v1beta1.LaunchAccepted)),
		"Unknown":            object(launches(v1beta1.LaunchUnknown)),
		"Refused":            object(launches(v1beta1.LaunchRefused)),
		"Expired":            object(launches(v1beta1.LaunchExpired)),
		"Abandoned":          object(launches(v1beta1.LaunchAbandoned)),
		"AskedTooOften":      object(launches(unconfirmed...)),
		"CameAndIsGone":      object(launches(v1beta1.LaunchUnconfirmed, v1beta1.LaunchAnswered)),
		"Joining":            object(launches(v1beta1.LaunchAnswered), listed),
		"JoiningAndRetired":  object(launches(v1beta1.LaunchAnswered), listed, retired),
		"Ready":              object(launches(v1beta1.LaunchAnswered), ready),
		"ReadyAndRetired":    object(launches(v1beta1.LaunchAnswered), ready, retired),
		"Draining":           object(launches(v1beta1.LaunchAnswered), ready, draining, retired),
		"DrainingUnjoined":   object(launches(v1beta1.LaunchAnswered), draining, retired),
		"DrainWithdrawn":     object(launches(v1beta1.LaunchAnswered), ready, draining),
		"Deleting":           object(launches(v1beta1.LaunchAnswered), deleting, retired),
		"Absent":             object(launches(v1beta1.LaunchAnswered), absent, retired),
		"AbsentAdoption":     object(absent, retired),
		"AbsentWithLate":     object(launches(v1beta1.LaunchUnconfirmed, v1beta1.LaunchAnswered), absent, retired),
		"AbsentWithUntried":  object(launches(v1beta1.LaunchUnconfirmed, v1beta1.LaunchAnswered, v1beta1.LaunchNotMade), absent, retired),
		"AbsentNotMadeNext":  object(launches(v1beta1.LaunchAnswered, v1beta1.LaunchNotMade), absent, retired),
		"AbsentAsOfVersion1": object(launches(v1beta1.LaunchUnconfirmed, v1beta1.LaunchAccepted), absent, retired),
	}
}

// changes are all that the package has, each with arguments for all objects.
func changes() map[string][]machine.Change { return changesAt(later) }

func changesAt(later time.Time) map[string][]machine.Change {
	worker := launch.Listed{Identifier: "m1", Hostname: "Host-1"}
	h := machine.Because(reason.NoScaleUpLaunchFailed, "no")
	all := map[string][]machine.Change{
		"Requested":           {machine.Requested(machine.Request{Group: 1}, later)},
		"RefusedUnasked":      {machine.RefusedUnasked(h, later)},
		"Abandoned":           {machine.Abandoned(h, later)},
		"Hindered":            {machine.Hindered(h, later)},
		"Answered":            {machine.Answered(worker, noon, "", later)},
		"AnsweredElsewhere":   {machine.AnsweredElsewhere("1", "m2")},
		"Unanswered":          {machine.Unanswered(nil, 10*time.Minute, later), machine.Unanswered([]string{"m9"}, 10*time.Minute, noon), machine.Unanswered([]string{"m9"}, 10*time.Minute, later)},
		"Adopted":             {machine.Adopted(worker, nil, "", later), machine.Adopted(worker, &machine.Joined{Name: "host-1", CreatedAt: noon}, "", later)},
		"Registered":          {machine.Registered("host-1")},
		"NodeReady":           {machine.NodeReady("", later)},
		"NodeNotReady":        {machine.NodeNotReady("NodeNotReady", "the Node is not Ready")},
		"JoinHeld":            {machine.JoinHeld(reason.NoRepairOneAtATime, "another goes first", later)},
		"Vanished":            {machine.Vanished("not listed", later)},
		"SeenListed":          {machine.SeenListed()},
		"Unlisted":            {machine.Unlisted("not listed")},
		"Note":                {machine.Note(v1beta1.ConditionDeleted, metav1.ConditionFalse, "Why", "why")},
		"DrainStarted":        {machine.DrainStarted("unneeded", later)},
		"ReplacementAwaited":  {machine.ReplacementAwaited("HoldReplacementNotReady", "awaited", later)},
		"DrainHeld":           {machine.DrainHeld("Paused", "paused", later)},
		"DrainResumed":        {machine.DrainResumed(later)},
		"Reopened":            {machine.Reopened("the Node is uncordoned")},
		"DrainAborted":        {machine.DrainAborted(reason.NoScaleDownWithdrawn, "withdrawn", later), machine.DrainAborted(reason.NoScaleDownDrainFailed, "too long", later)},
		"RetirementRefused":   {machine.RetirementRefused(reason.NoScaleDownNodeProtected, "protected", later)},
		"RetirementWithdrawn": {machine.RetirementWithdrawn("withdrawn")},
		"SizesUnknown":        {machine.SizesUnknown("sizes are unknown")},
		"SizesKnown":          {machine.SizesKnown()},
		"DeletionDue":         {machine.DeletionDue("empty", later)},
		"DeletionAsked":       {machine.DeletionAsked("m1", "Requested", "asked")},
		"SeenAbsent":          {machine.SeenAbsent("m1", time.Second, later)},
		"SeenAgain":           {machine.SeenAgain()},
		"Told":                {machine.Told(nil, nil), machine.Told([]string{"a"}, nil)},
		"NeverJoined":         {machine.NeverJoined("never joined")},
		"KeptForAnswers":      {machine.KeptForAnswers("may come late", later)},
	}
	for number := range int32(machine.AttemptsMax) {
		all["Accepted"] = append(all["Accepted"], machine.Accepted(number+1, ""))
		all["Unclear"] = append(all["Unclear"], machine.Unclear(number+1, h, later))
		all["Refused"] = append(all["Refused"], machine.Refused(number+1, h))
		all["NotMade"] = append(all["NotMade"], machine.NotMade(number+1, h))
	}
	return all
}

// TestLifeIsWhatChangesMake applies every change to objects in every state.
func TestLifeIsWhatChangesMake(t *testing.T) {
	type edge struct{ from, to v1beta1.Phase }
	made := map[edge]bool{}
	for of, n := range objects() {
		for name, list := range changes() {
			for _, change := range list {
				n := n.DeepCopy()
				step, err := machine.Apply(n, change)
				if err != nil {
					t.Errorf("%s of %s: %v", name, of, err)
				}
				if step.Changed && n.Status.Phase != machine.StateOf(n) {
					t.Errorf("%s of %s: phase %s in state %s", name, of, n.Status.Phase, machine.StateOf(n))
				}
				if step.IsTransition() {
					made[edge{step.From, step.To}] = true
					if step.Why == "" {
						t.Errorf("%s of %s: nothing explains the way from %s to %s", name, of, step.From, step.To)
					}
				}
			}
		}
		for _, end := range []v1beta1.Phase{machine.Gone, machine.Released} {
			if machine.MayGo(n, end) {
				made[edge{machine.StateOf(n), end}] = true
			}
		}
	}
	for _, transition := range machine.Life {
		e := edge{transition.From, transition.To}
		if !made[e] {
			t.Errorf("no change makes the transition from %s to %s", e.from, e.to)
		}
		delete(made, e)
	}
	for e := range made {
		t.Errorf("the table lacks the transition from %s to %s", e.from, e.to)
	}
}

// FuzzLife has changes come in any order, as two replicas and late answers may bring them, while the machine is retired, deleted and kept
// again, and time passes.
func FuzzLife(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45})
	f.Fuzz(func(t *testing.T, order []byte) {
		n, at := object(), noon
		for _, b := range order {
			at = at.Add(time.Minute)
			possible := named(changesAt(at))
			i := int(b) % (len(possible) + 2) // the last two retire it, or withdraw that
			if i >= len(possible) {
				n.Spec.Retirement = nil
				if i > len(possible) {
					retired(n)
				}
				continue
			}
			one := possible[i]
			before := n.DeepCopy()
			step, err := machine.Apply(n, one.change)
			if err != nil {
				t.Fatalf("%s: %v, of %+v", one.name, err, before.Status)
			}
			switch {
			case before.Status.Identifier != "" && n.Status.Identifier != before.Status.Identifier && !fleet.IsAbsent(before):
				t.Fatalf("%s forgets a machine that is not known to be gone: %+v", one.name, before.Status)
			case machine.IsOpen(before) && len(n.Status.Launches) > len(before.Status.Launches):
				t.Fatalf("%s asks for a second machine while the first is not known: %+v", one.name, before.Status)
			case step.Changed && n.Status.Phase != machine.StateOf(n):
				t.Fatalf("%s: phase %s in state %s", one.name, n.Status.Phase, machine.StateOf(n))
			case len(n.Status.Launches) > ledgerMax:
				t.Fatalf("%s: the ledger has %d entries", one.name, len(n.Status.Launches))
			}
		}
	})
}

// ledgerMax is what the API server lets the ledger hold.
const ledgerMax = 20

// namedChange is a change and what it is called.
type namedChange struct {
	name   string
	change machine.Change
}

func named(all map[string][]machine.Change) []namedChange {
	var out []namedChange
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, change := range all[name] {
			out = append(out, namedChange{name, change})
		}
	}
	return out
}

// TestNoChangeIsMissing holds that the test above knows every change.
func TestNoChangeIsMissing(t *testing.T) {
	var have []string
	for name := range changes() {
		have = append(have, name)
	}
	slices.Sort(have)
	var want []string
	each(t, ".", func(_ string, file *ast.File) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
				continue
			}
			if result, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && result.Name == "Change" {
				want = append(want, f.Name.Name)
			}
		}
	})
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("changes (-in the package +in the test):\n%s", diff)
	}
}

// TestNobodyElseWritesTheStatus looks for assignments to the status of an object, and for pointers into it, in the use cases.
func TestNobodyElseWritesTheStatus(t *testing.T) {
	each(t, "../../app", func(name string, file *ast.File) {
		for _, written := range statusWrites(file) {
			t.Errorf("%s writes %s; that is for a change of this package", name, written)
		}
	})
}

// TestStatusWritesAreFound holds that test to the ways there are to write a status.
func TestStatusWritesAreFound(t *testing.T) {
	wantFound(t, statusWrites, map[string]int{
		"n.Status.Phase = x": 1, "n.Status = s": 1, "n.Status.Launches[0].Reason = x": 1, "s := &n.Status": 1, "f(&n.Status.Launches[0])": 1,
		"n.Status.AbsentSightings++": 1, "x, n.Status.Phase = 1, y": 1, "(n.Status).Phase = x": 1,
		"x = n.Status.Phase": 0, "n.Spec.Retirement = r": 0, "x.y = n.Status": 0, "f(n.Status.Launches)": 0,
	})
}

// wantFound wants so many places to be found in the body of a function.
func wantFound(t *testing.T, find func(*ast.File) []string, bodies map[string]int) {
	t.Helper()
	for body, want := range bodies {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc g() { "+body+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := find(file); len(got) != want {
			t.Errorf("%s: found %v, want %d", body, got, want)
		}
	}
}

// statusWrites are the expressions in a file by which the status of an object may be written.
func statusWrites(file *ast.File) []string {
	var found []string
	look := func(written ...ast.Expr) {
		for _, e := range written {
			if isOfStatus(e) {
				found = append(found, types.ExprString(e))
			}
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			look(n.Lhs...)
		case *ast.IncDecStmt:
			look(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				look(n.X)
			}
		}
		return true
	})
	return found
}

func isOfStatus(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.SelectorExpr:
		return x.Sel.Name == "Status" || isOfStatus(x.X)
	case *ast.IndexExpr:
		return isOfStatus(x.X)
	case *ast.ParenExpr:
		return isOfStatus(x.X)
	case *ast.StarExpr:
		return isOfStatus(x.X)
	}
	return false
}

// showsCondition are the functions that look at a condition to show its text, or to say that it changed.
var showsCondition = []string{"Apply", "WhyNotRequested", "tellTrouble"}

// TestNobodyReadsConditions looks through services and libraries for code that takes what a condition of an object says for what is so.
// Conditions of Nodes and pods are Kubernetes's.
func TestNobodyReadsConditions(t *testing.T) {
	for _, root := range []string{"../../../../../libs", "../../../../../services"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			for _, read := range conditionReads(file) {
				t.Errorf("%s: %s; decide by a field of the status", path, read)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestConditionReadsAreFound holds that test to the ways there are to read a condition.
func TestConditionReadsAreFound(t *testing.T) {
	wantFound(t, conditionReads, map[string]int{
		"if meta.IsStatusConditionTrue(n.Status.Conditions, c) { act() }":           1,
		"if meta.FindStatusCondition(n.Status.Conditions, c).Reason == x { act() }": 1,
		"if is(n.Status.Conditions[0]) { act() }":                                   1,
		"for _, c := range n.Status.Conditions { see(c) }":                          1,
		"for _, c := range node.Status.Conditions { see(c) }":                       0,
		"meta.SetStatusCondition(&n.Status.Conditions, c)":                          0,
	})
}

// conditionReads are the places in a file that read a condition of an object of ours.
func conditionReads(file *ast.File) []string {
	var found []string
	for _, declared := range file.Decls {
		function, is := declared.(*ast.FuncDecl)
		if !is || slices.Contains(showsCondition, function.Name.Name) {
			continue
		}
		ast.Inspect(function, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.SelectorExpr:
				if strings.HasPrefix(n.Sel.Name, "IsStatusCondition") || n.Sel.Name == "FindStatusCondition" {
					found = append(found, function.Name.Name+" calls "+n.Sel.Name)
				}
			case *ast.IndexExpr:
				if isOurConditions(n.X) {
					found = append(found, function.Name.Name+" takes one of "+types.ExprString(n.X))
				}
			case *ast.RangeStmt:
				if isOurConditions(n.X) {
					found = append(found, function.Name.Name+" goes through "+types.ExprString(n.X))
				}
			}
			return true
		})
	}
	return found
}

// isOurConditions reports whether an expression is the conditions of an object that is not Kubernetes's, by the name that it has in our code.
func isOurConditions(e ast.Expr) bool {
	conditions, is := e.(*ast.SelectorExpr)
	if !is || conditions.Sel.Name != "Conditions" {
		return false
	}
	text := types.ExprString(conditions.X)
	return text != "node.Status" && text != "pod.Status" && text != "status"
}

// each parses the Go files of a folder but tests.
func each(t *testing.T, folder string, look func(name string, file *ast.File)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		look(name, file)
	}
}

// TestDrawingsAgreeWithTheTable compares the table with the comment of the package and with the README.
func TestDrawingsAgreeWithTheTable(t *testing.T) {
	var comment, rows string
	for _, t := range machine.Life {
		line := "//\t" + string(t.From)
		if !strings.Contains(comment, line) {
			comment += "\n" + line + strings.Repeat(" ", 10-len(t.From)) + "→ " + string(t.To)
		} else {
			comment += ", " + string(t.To)
		}
		rows += "| " + string(t.From) + " | " + string(t.To) + " | " + t.When + " |\n"
	}
	for name, want := range map[string]string{"machine.go": comment + "\n//\n", "../../../README.md": "| From | To | When |\n| --- | --- | --- |\n" + rows + "\n"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not contain:\n%s", name, want)
		}
	}
}

// TestLateMachineOfAnObjectThatHadOneBefore holds that nothing of the first machine is taken for the second one's.
func TestLateMachineOfAnObjectThatHadOneBefore(t *testing.T) {
	n := objects()["AbsentWithLate"]
	n.Status.ReadyAt = at()
	for _, change := range []machine.Change{machine.KeptForAnswers("may come late", later), machine.Answered(launch.Listed{Identifier: "m2", Hostname: "Host-2"}, noon, "", later)} {
		if _, err := machine.Apply(n, change); err != nil {
			t.Fatal(err)
		}
	}
	if n.Status.Phase != v1beta1.PhaseJoining || n.Status.Identifier != "m2" || n.Status.ReadyAt != nil || n.Status.Launches[0].Machine != "m2" {
		t.Errorf("status %+v, want m2 to join", n.Status)
	}
}

// TestReadySinceFollowsTheNode holds that the fact goes with what was last seen, and that a machine that drains or is gone lacks it.
func TestReadySinceFollowsTheNode(t *testing.T) {
	retire := func(n *v1beta1.VPSieNode) bool {
		n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireManual}
		return true
	}
	for name, tc := range map[string]struct {
		changes []machine.Change
		want    bool
	}{
		"Ready":         {[]machine.Change{machine.NodeReady("", later)}, true},
		"StaysReady":    {[]machine.Change{machine.NodeReady("", later), machine.NodeReady("", later.Add(time.Hour))}, true},
		"NotReady":      {[]machine.Change{machine.NodeReady("", later), machine.NodeNotReady("NodeNotReady", "")}, false},
		"ReadyAgain":    {[]machine.Change{machine.NodeReady("", later), machine.NodeNotReady("NodeNotReady", ""), machine.NodeReady("", later)}, true},
		"Vanished":      {[]machine.Change{machine.NodeReady("", later), machine.Vanished("", later)}, false},
		"Overdue":       {[]machine.Change{machine.NodeReady("", later), machine.JoinHeld(reason.HoldPaused, "", later)}, false},
		"Draining":      {[]machine.Change{machine.NodeReady("", later), retire, machine.DrainStarted("", later)}, false},
		"DrainAborted":  {[]machine.Change{machine.NodeReady("", later), retire, machine.DrainStarted("", later), machine.DrainAborted(reason.NoScaleDownWithdrawn, "", later)}, false},
		"BackInService": {[]machine.Change{machine.NodeReady("", later), retire, machine.DrainStarted("", later), machine.DrainAborted(reason.NoScaleDownWithdrawn, "", later), machine.NodeReady("", later)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := object(listed)
			for _, change := range tc.changes {
				if _, err := machine.Apply(n, change); err != nil {
					t.Fatal(err)
				}
			}
			if at := n.Status.ReadySince; (at != nil) != tc.want || at != nil && !at.Equal(machine.Timestamp(later)) {
				t.Errorf("ready since %v, want it to be set: %v", at, tc.want)
			}
		})
	}
}

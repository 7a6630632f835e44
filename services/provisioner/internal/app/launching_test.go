package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

func TestEveryIntentGetsOneMachine(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b"), intent("c"))
	for range 5 {
		f.pass(2 * time.Second)
	}
	if f.cloud.asked != 3 {
		t.Errorf("%d machines were requested from VPSie, want 3", f.cloud.asked)
	}
	identifiers := map[string]bool{}
	for _, name := range []string{"a", "b", "c"} {
		n := f.machine(name)
		if n.Status.Phase != v1beta1.PhaseJoining || n.Status.Identifier == "" || n.Status.MonthlyPrice != "40.00" {
			t.Errorf("%s is %+v, want it to await its Node with an identifier and a price", name, n.Status)
		}
		identifiers[n.Status.Identifier] = true
	}
	if len(identifiers) != 3 {
		t.Errorf("identifiers %v, want one for each", identifiers)
	}
}

// TestCrashAndLostReply takes up launches that another process left behind, or whose reply was lost.
func TestCrashAndLostReply(t *testing.T) {
	tests := map[string]struct {
		why     string
		outcome v1beta1.LaunchOutcome
		arrives bool
		wait    time.Duration
		asked   int
		phase   v1beta1.Phase
		code    reason.Code // of the first request, in the end
	}{
		"CrashedAfterTheCall": {
			why: "the machine is there and must be recognised", outcome: v1beta1.LaunchRequested, arrives: true, wait: time.Second, phase: v1beta1.PhaseJoining,
		},
		"ReplyLostAfterSuccess": {outcome: v1beta1.LaunchUnknown, arrives: true, wait: time.Second, phase: v1beta1.PhaseJoining},
		"CrashedBeforeTheCall": {
			why: "nobody knows yet whether the call was made", outcome: v1beta1.LaunchRequested, wait: settle - 20*time.Second, phase: v1beta1.PhaseLaunching,
		},
		"CrashedBeforeTheCallLongAgo": {
			why: "no listing showed a machine for the settle time", outcome: v1beta1.LaunchRequested, wait: settle + time.Second, asked: 1, phase: v1beta1.PhaseJoining, code: reason.LaunchUnconfirmed,
		},
		"AcceptedButSlow": {
			why: "an accepted request is never repeated", outcome: v1beta1.LaunchAccepted, wait: settle + time.Minute, phase: v1beta1.PhaseLaunching,
		},
		"AcceptedButNeverBuilt": {outcome: v1beta1.LaunchAccepted, wait: 16 * time.Minute, phase: v1beta1.PhaseFailed, code: reason.LaunchNoMachine},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), intent("a", attempt(tc.outcome)))
			if tc.arrives {
				f.cloud.arrive()
			}
			f.pass(tc.wait)
			for range 4 {
				f.pass(2 * time.Second)
			}
			if f.cloud.asked != tc.asked {
				t.Errorf("VPSie was asked %d times, want %d (%s)", f.cloud.asked, tc.asked, tc.why)
			}
			n := f.machine("a")
			if n.Status.Phase != tc.phase {
				t.Errorf("phase %s, want %s (%s); %+v", n.Status.Phase, tc.phase, tc.why, n.Status)
			}
			if got := n.Status.Launches[0].Reason; got != string(tc.code) {
				t.Errorf("the request carries reason %q, want %q", got, tc.code)
			}
		})
	}
}

func TestLateMachineIsAdopted(t *testing.T) {
	f := newFixture(t, group(), intent("a", attempt(v1beta1.LaunchUnknown)))
	f.cloud.list = &app.CloudError{Failure: app.NotMade, Message: "down"}
	f.pass(settle)
	f.cloud.list = nil
	f.cloud.add = &app.CloudError{Failure: app.NotMade, Message: "down"}
	f.pass(time.Minute)
	f.pass(time.Minute)
	f.cloud.arrive()
	f.cloud.add = nil
	asked := f.cloud.asked
	f.pass(time.Minute)
	if n := f.machine("a"); n.Status.Identifier != "m1" || f.cloud.asked != asked {
		t.Errorf("identifier %q after %d more requests, want the late machine and none: %+v", n.Status.Identifier, f.cloud.asked-asked, n.Status)
	}
}

func TestForeignMachineIsNeverClaimed(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.arrive()
	f.cloud.hide = true
	for range 5 {
		f.pass(2 * time.Second)
	}
	n := f.machine("a")
	if n.Status.Identifier != "" {
		t.Errorf("the machine of somebody else was claimed: %s", n.Status.Identifier)
	}
	if got := n.Status.Launches[0].Foreign; len(got) != 1 || got[0] != "m1" {
		t.Errorf("foreign machines %v, want m1 on record", got)
	}
}

func TestLaunchesStayWithinTheGroup(t *testing.T) {
	tests := map[string]struct {
		group  *v1beta1.NodeGroup
		asked  int
		failed int
	}{
		"MaxNodes":      {group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 2 }), 2, 2},
		"MonthlyCost":   {group(func(g *v1beta1.NodeGroup) { g.Spec.Limits.MonthlyCost = new(resource.MustParse("121")) }), 3, 1},
		"Paused":        {group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }), 0, 0},
		"ScaleUpOff":    {group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.Enabled = new(false) }), 0, 0},
		"OnlyRecommend": {group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModeRecommend }), 0, 0},
		"GroupIsGone":   {group(func(g *v1beta1.NodeGroup) { g.Name = "other" }), 0, 4},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.group, intent("a"), intent("b"), intent("c"), intent("d"))
			for range 4 {
				f.pass(2 * time.Second)
			}
			failed := 0
			for _, name := range []string{"a", "b", "c", "d"} {
				if f.machine(name).Status.Phase == v1beta1.PhaseFailed {
					failed++
				}
			}
			if f.cloud.asked != tc.asked || failed != tc.failed {
				t.Errorf("asked %d, failed %d; want %d, %d", f.cloud.asked, failed, tc.asked, tc.failed)
			}
		})
	}
}

// TestMachineThatIsGoneTakesNoPlace launches while the object of a machine that is confirmed absent waits for its record.
func TestMachineThatIsGoneTakesNoPlace(t *testing.T) {
	for sightings, asked := range map[int32]int{fleet.AbsenceSightings - 1: 0, fleet.AbsenceSightings: 1} {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 1 }), intent("a"), intent("gone", launched("m1", "host-1"), func(n *v1beta1.VPSieNode) {
			n.Status.Phase, n.Status.DeleteRequestedAt, n.Status.AbsentSightings = v1beta1.PhaseDeleting, new(metav1.NewTime(noon)), sightings
			n.Status.DrainStartedAt = new(metav1.NewTime(noon))
		}))
		f.pass(time.Second)
		if f.cloud.asked != asked {
			t.Errorf("%d sightings of the absence: requested %d machines, want %d", sightings, f.cloud.asked, asked)
		}
	}
}

func TestRefusalEndsTheBatch(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b"), intent("c"))
	f.cloud.add = &app.CloudError{Failure: app.Refused, Code: reason.NoScaleUpQuota, Message: "Worker nodes count exceeds the allowed limit"}
	f.pass(time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("VPSie was asked %d times for what it refuses, want once", f.cloud.asked)
	}
	for _, name := range []string{"a", "b", "c"} {
		n := f.machine(name)
		if c := condition(n, v1beta1.ConditionLaunched); n.Status.Phase != v1beta1.PhaseFailed || c.Reason != reason.NoScaleUpQuota.Condition() {
			t.Errorf("%s: phase %s, condition %+v", name, n.Status.Phase, c)
		}
	}
}

func TestRefusedGroupIsOnRecord(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b"))
	f.cloud.group = &app.CloudError{Failure: app.Refused, Code: reason.NoScaleUpQuota, Scope: v1beta1.RefusedCluster, Message: "no more groups"}
	f.pass(time.Second)
	for _, name := range []string{"a", "b"} {
		n := f.machine(name)
		if n.Status.Phase != v1beta1.PhaseFailed || len(n.Status.Launches) != 1 || n.Status.Launches[0].Reason != string(reason.NoScaleUpQuota) || n.Status.Launches[0].Message != "no more groups" {
			t.Errorf("%s: %+v, want VPSie's refusal on record, from which the backoff is derived", name, n.Status)
		}
	}
	if f.cloud.asked > 0 {
		t.Errorf("asked %d times without a group", f.cloud.asked)
	}
	a := f.machine("a")
	key := launch.Key{Cluster: a.Spec.Cluster.Identifier}
	if held := launch.Backoffs(machine.Failures([]*v1beta1.VPSieNode{a}, f.clock.Now())); held[key].Until.IsZero() {
		t.Errorf("the backoffs are %v, want one of the whole cluster", held)
	}
}

func TestNothingIsRequestedAgainBesideAnUnclaimedMachine(t *testing.T) {
	f := newFixture(t, group(), intent("a", attempt(v1beta1.LaunchUnknown)))
	f.cloud.machines = []launch.Listed{{Identifier: "odd", Hostname: "odd", Size: launch.Size{CPU: 3, MemoryMiB: 5000}}}
	f.pass(settle + time.Minute)
	f.pass(2 * time.Second)
	f.wantDecision(reason.HoldLaunchUnclear)
	if n := f.machine("a"); f.cloud.asked > 0 || condition(n, v1beta1.ConditionLaunched).Reason != reason.HoldLaunchUnclear.Condition() {
		t.Errorf("asked %d times, %+v; the machine may be the answer, in a size that VPSie names otherwise", f.cloud.asked, n.Status)
	}
}

func TestStopMarksWhatWasNotAsked(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b"), intent("c"))
	ctx, cancel := context.WithCancel(t.Context())
	f.cloud.onAdd = cancel
	f.clock.Step(time.Second)
	if _, err := f.clusters.Reconcile(ctx, clusterID); err != nil {
		t.Fatal(err)
	}
	outcomes := map[v1beta1.LaunchOutcome]int{}
	for _, name := range []string{"a", "b", "c"} {
		if n := f.machine(name); len(n.Status.Launches) > 0 {
			outcomes[n.Status.Launches[0].Outcome]++
		}
	}
	if f.cloud.asked != 1 || outcomes[v1beta1.LaunchAccepted] != 1 || outcomes[v1beta1.LaunchRequested] > 0 || outcomes[v1beta1.LaunchUnknown] > 0 {
		t.Errorf("asked %d times, outcomes %v; want the call in hand finished and the rest on record as not made", f.cloud.asked, outcomes)
	}
}

func TestOutageKeepsIntents(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b"))
	f.cloud.add = &app.CloudError{Failure: app.NotMade, Message: "the circuit breaker is open"}
	for range 30 {
		f.pass(10 * time.Second)
	}
	for _, name := range []string{"a", "b"} {
		n := f.machine(name)
		if n.Status.Phase != v1beta1.PhasePending || len(n.Status.Launches) != 1 {
			t.Errorf("%s after a long outage: phase %s with %d ledger entries, want Pending with one", name, n.Status.Phase, len(n.Status.Launches))
		}
	}
	f.cloud.add, f.cloud.asked = nil, 0
	f.pass(10 * time.Second)
	f.pass(2 * time.Second)
	if f.cloud.asked != 2 || f.machine("a").Status.Identifier == "" || f.machine("b").Status.Identifier == "" {
		t.Errorf("asked %d times after the outage, machines %+v and %+v", f.cloud.asked, f.machine("a").Status, f.machine("b").Status)
	}
}

func TestOldIntentIsNotLaunchedAnyMore(t *testing.T) {
	f := newFixture(t, group(), intent("a", func(n *v1beta1.VPSieNode) { n.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour)) }))
	f.pass(time.Second)
	n := f.machine("a")
	if f.cloud.asked != 0 || n.Status.Phase != v1beta1.PhaseFailed || machine.LastAttempt(n).Reason != string(reason.LaunchExpired) {
		t.Errorf("asked %d times, phase %s, requests %+v; want the intent to expire", f.cloud.asked, n.Status.Phase, n.Status.Launches)
	}
}

func TestRestartBetweenPassesLaunchesNothingTwice(t *testing.T) {
	f := newFixture(t, group(), intent("a"), intent("b"))
	f.cloud.hide = true
	f.pass(time.Second)
	for range 5 {
		f.restart()
		f.pass(2 * time.Second)
	}
	f.cloud.arrive()
	f.cloud.arrive()
	f.restart()
	f.pass(2 * time.Second)
	if f.cloud.asked != 2 {
		t.Errorf("asked %d times, want 2", f.cloud.asked)
	}
	if a, b := f.machine("a").Status.Identifier, f.machine("b").Status.Identifier; a == "" || b == "" || a == b {
		t.Errorf("identifiers %q and %q", a, b)
	}
}

// TestNothingIsClaimedBeforeSizesAreKnown has a person add a machine of another size beside an open request, and the process
// start while the offerings cannot be read.
func TestNothingIsClaimedBeforeSizesAreKnown(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.hide = true
	f.pass(time.Second)
	f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m1", Hostname: "Host-1", Size: launch.Size{CPU: 8, MemoryMiB: 16384}})
	f.cloud.offers = &app.CloudError{Failure: app.OutcomeUnknown}
	f.restart()
	for _, offers := range []error{f.cloud.offers, nil} {
		f.cloud.offers = offers
		f.pass(time.Minute)
		f.runCatalogueOnce()
		f.pass(time.Second)
		if got := f.machine("a").Status.Identifier; got != "" {
			t.Fatalf("the machine of somebody else was claimed: %s (offerings fail with %v)", got, offers)
		}
	}
	f.cloud.arrive()
	f.pass(2 * time.Second)
	if got := f.machine("a").Status.Identifier; got != "m2" || f.cloud.asked != 1 {
		t.Errorf("machine %q after %d requests, want m2 after one", got, f.cloud.asked)
	}
}

func TestLargeBatchIsListedInBetween(t *testing.T) {
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 100 }))
	for i := range launch.BatchMax + 5 {
		if err := f.kube.Create(t.Context(), intent(fmt.Sprintf("n%02d", i))); err != nil {
			t.Fatal(err)
		}
	}
	f.pass(time.Second)
	if f.cloud.asked != launch.BatchMax {
		t.Errorf("asked %d times in one pass, want %d", f.cloud.asked, launch.BatchMax)
	}
	f.pass(time.Millisecond)
	if f.cloud.asked != launch.BatchMax+5 {
		t.Errorf("asked %d times after two passes, want %d", f.cloud.asked, launch.BatchMax+5)
	}
}

// TestLaunchThatTheGroupForbidsSaysSo has the group forbid launches after the intent was written, until the intent expires.
func TestLaunchThatTheGroupForbidsSaysSo(t *testing.T) {
	limited := func(g *v1beta1.NodeGroup) { g.Spec.Limits = v1beta1.GroupLimits{CPU: new(resource.MustParse("100"))} }
	tests := map[string]struct {
		group func(*v1beta1.NodeGroup)
		want  reason.Code
		// offers is how the offerings fail.
		offers error
	}{
		"Paused":           {group: func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }, want: reason.NoScaleUpGroupPaused},
		"Recommends":       {group: func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModeRecommend }, want: reason.NoScaleUpGroupRecommend},
		"ScaleUpIsOff":     {group: func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.Enabled = new(false) }, want: reason.NoScaleUpGroupDisabled},
		"ModeIsNotKnown":   {group: func(g *v1beta1.NodeGroup) { g.Spec.Mode = "Later" }, want: reason.NoScaleUpGroupInvalid},
		"SizesAreNotKnown": {group: limited, offers: &app.CloudError{Failure: app.OutcomeUnknown}, want: reason.HoldSizesUnknown},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(tc.group), intent("a"))
			f.cloud.offers = tc.offers
			f.restart()
			f.pass(time.Second)
			before := f.machine("a")
			if c := condition(before, v1beta1.ConditionLaunched); f.cloud.asked > 0 || c.Reason != tc.want.Condition() {
				t.Errorf("asked %d times, condition %+v; want the intent to wait and say why", f.cloud.asked, c)
			}
			f.pass(time.Minute)
			if f.machine("a").ResourceVersion != before.ResourceVersion {
				t.Error("a standing hold was written again")
			}
			f.tell()
			f.wantDecision(tc.want)
			f.pass(15 * time.Minute)
			f.tell()
			n := f.machine("a")
			if a := machine.LastAttempt(n); n.Status.Phase != v1beta1.PhaseFailed || !strings.Contains(a.Message, "what kept it last") {
				t.Errorf("machine %+v, want it expired for the reason that it waited for", n.Status)
			}
			f.wantDecision(reason.LaunchExpired)
		})
	}
}

package app_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// TestFactsTellWhatChanged follows machines through their lives: a fact for each change of the phase, and for nothing else.
func TestFactsTellWhatChanged(t *testing.T) {
	unclear := &app.CloudError{Failure: app.OutcomeUnknown, Message: "timeout"}
	tests := map[string]struct {
		live func(f *fixture)
		want []string
		// decided are the codes of what the provisioner decided by itself.
		decided []reason.Code
	}{
		"LaunchedUsedAndRetired": {live: func(f *fixture) {
			f.create(intent("a"))
			f.pass(time.Second)
			f.pass(10 * time.Second)
			f.create(node("host-1", "", createdAt(noon.Add(time.Minute))))
			f.step("a", time.Second)
			n := f.machine("a")
			retired(n)
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
			f.life("a")
		}, want: []string{"Pending→Launching", "Launching→Joining", "Joining→Ready", "Ready→Draining", "Draining→Deleting", "Deleting→Gone"}},
		"Unclear": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.add, f.cloud.hide = unclear, true
			f.pass(time.Second)
			f.pass(time.Minute)
			f.cloud.add = nil
			f.pass(settle)
		}, want: []string{"Pending→Launching", "Launching→Pending"}, decided: []reason.Code{reason.HoldLaunchOutcome, reason.LaunchUnconfirmed}},
		"NoGroupAtVPSie": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.group = &app.CloudError{Failure: app.Refused, Code: reason.NoScaleUpQuota, Message: "no more groups"}
			f.pass(time.Second)
		}, want: []string{"Pending→Failed"}, decided: []reason.Code{reason.NoScaleUpQuota}},
		"SoldOut": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.add = &app.CloudError{Failure: app.Refused, Code: reason.NoScaleUpOfferingSoldOut, Message: "sold out"}
			f.pass(time.Second)
		}, want: []string{"Pending→Launching", "Launching→Failed"}, decided: []reason.Code{reason.NoScaleUpOfferingSoldOut}},
		"Refused": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.add = &app.CloudError{Failure: app.Refused, Code: reason.NoScaleUpLaunchFailed, Message: "no"}
			f.pass(time.Second)
		}, want: []string{"Pending→Launching", "Launching→Failed"}, decided: []reason.Code{reason.NoScaleUpLaunchFailed}},
		"NothingCame": {live: func(f *fixture) {
			f.create(intent("a", attempt(v1beta1.LaunchAccepted)))
			f.pass(16 * time.Minute)
		}, want: []string{"Launching→Failed"}, decided: []reason.Code{reason.LaunchNoMachine}},
		"NeverJoined": {live: func(f *fixture) {
			f.create(intent("a", joining("m1", "host-1")))
			f.cloud.machines = one("host-1")
			f.step("a", 16*time.Minute)
			f.life("a")
		}, want: []string{"Joining→Draining", "Draining→Deleting", "Deleting→Failed"}, decided: []reason.Code{reason.LaunchDeadline}},
		"ListingFails": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.list = errors.New("down")
			f.pass(time.Second)
			f.pass(time.Minute)
		}, decided: []reason.Code{reason.HoldAPIUnavailable}},
		"SweptAway": {live: func(f *fixture) {
			f.create(node("host-1", "m1", registered("a")))
			f.create(intent("a", launched("m1", "host-1")))
			f.terminate()
			f.remove(f.machine("a"))
			f.step("a", time.Second)
		}, want: []string{"Ready→Released"}, decided: []reason.Code{reason.AdoptReleased}},
		"DrainAborted": {live: func(f *fixture) {
			f.create(node("host-1", "m1", registered("a")))
			f.create(intent("a", launched("m1", "host-1"), retired))
			f.step("a", time.Second)
			n := f.machine("a")
			n.Spec.Retirement = nil
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
			f.step("a", time.Second)
		}, want: []string{"Ready→Draining", "Draining→Ready"}, decided: []reason.Code{reason.NoScaleDownWithdrawn}},
		"LaunchOnHold": {live: func(f *fixture) {
			f.create(intent("a"))
			f.fleet(6, 0)
			f.cloud.machines = nil
			f.pass(time.Minute)
			f.pass(time.Minute)
		}, decided: []reason.Code{reason.HoldListingIncomplete}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group())
			tc.live(f)
			f.tell()
			f.judgeCarried() // what the planner publishes
			if diff := cmp.Diff(tc.want, f.facts.phases); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.decided, f.facts.codes); diff != "" {
				t.Errorf("decisions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRecordThatMakesRoomIsHandedOver retires a machine that carries as many records as it may, whether or not the oldest can be put on record.
func TestRecordThatMakesRoomIsHandedOver(t *testing.T) {
	for name, full := range map[string]error{"OnRecord": nil, "Lost": errors.New("nothing is taken")} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group())
			n := intent("a")
			for i := range 5 {
				record := &busv1.DecisionRecord{Id: fmt.Sprint(i), Message: strings.Repeat("x", 22<<10)}
				if err := facts.Attach(n, facts.Decision(t.Context(), "default", "g", record)); err != nil {
					t.Fatal(err)
				}
			}
			f.create(n)
			n.Status.Identifier, n.Status.NodeName = "m1", "host-1"
			f.facts.full = full
			missing := v1beta1.Retirement{Kind: v1beta1.RetireRepair, Reason: string(reason.RepairMachineMissing), Message: "the machine is gone"}
			retired, err := f.store.Retire(t.Context(), n, missing, reason.Repair, func(*v1beta1.VPSieNode) bool { return true })
			if err != nil || !retired || len(facts.Attached(f.machine("a"))) != 4 {
				t.Errorf("retired %t with %d records: %v; want it with four", retired, len(facts.Attached(f.machine("a"))), err)
			}
			if got := len(f.facts.records) + f.facts.lost; got != 2 || (f.facts.lost == 0) != (full == nil) {
				t.Errorf("%v are on record and %d lost, want two", f.facts.records, f.facts.lost)
			}
		})
	}
}

// TestObjectGoesOnRecord has an object that carries a record of the planner and changes of its phase, which the bus did not take, go only
// after all of it and its end are on record.
func TestObjectGoesOnRecord(t *testing.T) {
	f := newFixture(t, group())
	f.facts.away = errors.New("bus is away")
	n := intent("a")
	if err := facts.Attach(n, facts.Decision(t.Context(), "default", "g", &busv1.DecisionRecord{Id: "launch"})); err != nil {
		t.Fatal(err)
	}
	f.create(n)
	f.pass(time.Second)
	f.pass(10 * time.Second)
	f.tell()
	f.create(node("host-1", "", createdAt(noon.Add(time.Minute))))
	f.step("a", time.Second)
	if told := f.facts.phases; len(told) > 0 {
		t.Fatalf("told %v while the bus is away", told)
	}
	if got := len(f.machine("a").Status.Untold); got != 3 {
		t.Errorf("the machine carries %d changes, want 3", got)
	}
	f.facts.full = errors.New("nothing is taken")
	f.remove(f.machine("a"))
	for range 20 {
		f.clock.Step(10 * time.Second)
		if _, err := f.clusters.Reconcile(t.Context(), clusterID); err != nil {
			t.Fatal(err)
		}
		_, _ = f.nodes.Reconcile(t.Context(), client.ObjectKeyFromObject(n))
	}
	if !f.exists(n.DeepCopy()) || len(f.cloud.machines) > 0 {
		t.Fatalf("the object went without a record, or the machine waited for it: %d machines", len(f.cloud.machines))
	}
	f.facts.full = nil
	f.step("a", time.Second)
	if f.exists(n.DeepCopy()) {
		t.Error("the object stays although all is on record")
	}
	want := []string{"Pending→Launching", "Launching→Joining", "Joining→Ready", "Ready→Draining", "Draining→Deleting", "Deleting→Gone"}
	if diff := cmp.Diff(want, f.facts.phases); diff != "" || !slices.Equal(f.facts.records, []string{"launch"}) {
		t.Errorf("records %v, phases (-want +got):\n%s", f.facts.records, diff)
	}
}

// TestToldChangesAreTakenOff tells each change once, also to a bus that was away, and has the object carry nothing then.
func TestToldChangesAreTakenOff(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.facts.away = errors.New("bus is away")
	f.pass(time.Second)
	f.tell()
	f.pass(10 * time.Second)
	f.facts.few = 1
	f.tell()
	if got := f.machine("a").Status.Untold; len(got) != 1 {
		t.Errorf("the machine carries %+v after the bus took one of two", got)
	}
	f.facts.away = nil
	f.tell()
	if got := f.machine("a").Status.Untold; len(got) > 0 {
		t.Errorf("the machine still carries %+v", got)
	}
	if diff := cmp.Diff([]string{"Pending→Launching", "Launching→Joining"}, f.facts.phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

// TestDecisionSurvivesItsService has a launch abandoned while the bus is away and the service die: the object carries the record, and the next
// service tells it once.
func TestDecisionSurvivesItsService(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.facts.away, f.facts.full = errors.New("bus is away"), errors.New("nothing is taken")
	f.cloud.group = &app.CloudError{Failure: app.Refused, Code: reason.NoScaleUpQuota, Message: "no more groups"}
	f.pass(time.Second)
	if n := f.machine("a"); n.Status.Phase != v1beta1.PhaseFailed || len(n.Status.UntoldDecisions) != 1 {
		t.Fatalf("the machine is %s and carries %d decisions, want Failed and 1", n.Status.Phase, len(n.Status.UntoldDecisions))
	}
	f.restart()
	f.facts.away, f.facts.full = nil, nil
	f.tell()
	f.tell()
	if got := f.machine("a").Status.UntoldDecisions; len(got) > 0 || !slices.Equal(f.facts.codes, []reason.Code{reason.NoScaleUpQuota}) {
		t.Errorf("told %v, and %d decisions are still carried", f.facts.codes, len(got))
	}
}

// TestHoldIsDecidedOnce has a hold last whose wording changes: it is on record once, and again with another code.
func TestHoldIsDecidedOnce(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	for _, why := range []string{"down", "down as well"} {
		f.cloud.list = errors.New(why)
		f.pass(time.Minute)
	}
	f.cloud.list = &app.CloudError{Failure: app.Unauthorized, Message: "token expired"}
	f.pass(time.Minute)
	f.tell()
	if want := []reason.Code{reason.HoldAPIUnavailable, reason.HoldUnauthorized}; !slices.Equal(f.facts.codes, want) {
		t.Errorf("decided %v, want %v", f.facts.codes, want)
	}
}

// TestHoldThatComesAndGoesIsDecidedOnce has VPSie's listing and its launch requests fail in turn: the machine gets no further, and one record
// says so.
func TestHoldThatComesAndGoesIsDecidedOnce(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	for range 3 {
		f.cloud.list, f.cloud.add = errors.New("down"), nil
		f.pass(time.Minute)
		f.cloud.list, f.cloud.add = nil, &app.CloudError{Failure: app.NotMade, Message: "HTTP 429"}
		f.pass(time.Minute)
	}
	f.tell()
	if want := []reason.Code{reason.HoldAPIUnavailable}; !slices.Equal(f.facts.codes, want) {
		t.Errorf("decided %v, want %v", f.facts.codes, want)
	}
}

// TestEndIsToldOfWhatIsThere has a cache show an object that might go while the API server has another: no end is on record, and the object stays.
func TestEndIsToldOfWhatIsThere(t *testing.T) {
	tests := map[string]func(f *fixture){
		"MachineMayCome": func(f *fixture) {
			n := f.machine("a")
			attempt(v1beta1.LaunchRequested)(n)
			if err := f.kube.Status().Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
		},
		"AnotherObject": func(f *fixture) {
			n := f.machine("a")
			n.Finalizers = nil
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
			f.create(intent("a"))
		},
		"NoObject": func(f *fixture) {
			n := f.machine("a")
			n.Finalizers = nil
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), intent("a"))
			f.remove(f.machine("a"))
			cached := f.machine("a")
			change(f)
			there := f.exists(cached.DeepCopy())
			if written, err := f.store.RemoveFinalizer(t.Context(), cached, machine.Gone, "nothing was launched for it"); err != nil || written {
				t.Errorf("the object was let go: %v, %v", written, err)
			}
			if len(f.facts.phases) > 0 || f.exists(intent("a")) != there {
				t.Errorf("told %v, and the object is there: %v, before: %v", f.facts.phases, f.exists(intent("a")), there)
			}
		})
	}
}

// TestRecordsWithoutRoomGoToTheOutbox has a drain aborted again and again while the bus is away.
func TestRecordsWithoutRoomGoToTheOutbox(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), intent("a", launched("m1", "host-1")))
	f.facts.away = errors.New("the bus is away")
	f.step("a", time.Second)
	const rounds = 60
	for i := range rounds {
		n := f.machine("a")
		n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireScaleDown, DecisionID: fmt.Sprintf("r%d", i), Reason: "scaledown.empty", Message: "unneeded"}
		if err := f.kube.Update(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		f.step("a", time.Second)
		n = f.machine("a")
		n.Spec.Retirement = nil
		if err := f.kube.Update(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		f.step("a", time.Second)
	}
	n := f.machine("a")
	if records, changes := len(f.facts.records)+len(n.Status.UntoldDecisions), len(f.facts.phases)+len(n.Status.Untold); records != rounds || changes < 2*rounds {
		t.Errorf("%d records and %d changes are left of %d aborted drains", records, changes, rounds)
	}
}

// TestOutcomeNamesItsDecision follows what became of a launch and of a retirement.
func TestOutcomeNamesItsDecision(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), intent("a", joining("m1", "host-1")))
	f.cloud.machines = one("host-1")
	f.step("a", time.Second)
	n := f.machine("a")
	retired(n)
	if err := f.kube.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	f.life("a")
	f.tell()
	for _, c := range f.facts.changes {
		want := n.Spec.DecisionID
		if slices.Contains([]string{"Draining", "Deleting", "Gone"}, c.GetTo()) {
			want = n.Spec.Retirement.DecisionID
		}
		if c.GetDecisionId() != want {
			t.Errorf("%s → %s is the outcome of %q, want %q", c.GetFrom(), c.GetTo(), c.GetDecisionId(), want)
		}
	}
	if len(f.facts.changes) < 4 {
		t.Errorf("changes %v, want a life", f.facts.phases)
	}
}

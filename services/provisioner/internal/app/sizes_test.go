package app_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

var (
	large = launch.Size{CPU: 8, MemoryMiB: 16384}
	// withdrawn and resized are what VPSie sells when it sells no small size any more, or another under its number.
	withdrawn = []app.Offering{{ID: 2, Name: "large", Size: large, MonthlyPrice: 80_000_000}}
	resized   = []app.Offering{{ID: 1, Name: "small", Size: large, MonthlyPrice: 80_000_000}}
)

// readOfferings lets the offerings grow old and be read again.
func (f *fixture) readOfferings() {
	f.clock.Step(10 * time.Minute)
	f.runCatalogueOnce()
}

// TestSizeThatIsNotSoldAnyMore changes what is sold while a machine is on its way; a person's machine of another size comes before it.
func TestSizeThatIsNotSoldAnyMore(t *testing.T) {
	tests := map[string]struct {
		sells []app.Offering
		learn func(*fixture)
	}{
		"Withdrawn":        {withdrawn, (*fixture).readOfferings},
		"WithdrawnRestart": {withdrawn, (*fixture).restart},
		"Resized":          {resized, (*fixture).readOfferings},
		"ResizedRestart":   {resized, (*fixture).restart},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), intent("a"))
			f.cloud.hide = true
			f.pass(time.Second)
			f.cloud.sells = test.sells
			test.learn(f)
			if o, sold := f.catalogue.Offering("dc", 1); sold && o.Size == small {
				t.Fatal("the size is sold")
			}
			f.cloud.machines = []launch.Listed{{Identifier: "w1", Hostname: "person-1", Size: launch.Size{CPU: 64, MemoryMiB: 1 << 18}}}
			f.pass(2 * time.Second)
			if id := f.machine("a").Status.Identifier; f.cloud.asked != 1 || id != "" {
				t.Fatalf("asked %d times, claims %q of another size", f.cloud.asked, id)
			}
			f.cloud.arrive()
			f.pass(15 * time.Second)
			n := f.machine("a")
			if id := n.Status.Identifier; f.cloud.asked != 1 || id == "" || id == "w1" {
				t.Errorf("asked %d times, claims %q, want its own machine", f.cloud.asked, id)
			}
			if n.Status.EarliestRequestAt == nil {
				t.Error("no request is known that may have brought the machine")
			}
		})
	}
}

// TestSizeThatChangesIsAskedForAgain has two requests wait for machines of one offering that VPSie changed in between; the later machine comes first.
func TestSizeThatChangesIsAskedForAgain(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.hide = true
	f.pass(time.Second)
	f.cloud.sells = resized
	f.readOfferings()
	f.create(intent("b", func(n *v1beta1.VPSieNode) { n.CreationTimestamp = metav1.NewTime(f.clock.Now()) }))
	f.pass(3 * time.Second)
	f.cloud.machines = []launch.Listed{{Identifier: "m2", Hostname: "host-2", Size: large}}
	f.pass(2 * time.Second)
	f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m1", Hostname: "host-1", Size: small})
	f.pass(2 * time.Second)
	if a, b := f.machine("a").Status.Identifier, f.machine("b").Status.Identifier; f.cloud.asked != 2 || a != "m1" || b != "m2" {
		t.Errorf("asked %d times, claim %q and %q, want each its own machine", f.cloud.asked, a, b)
	}
}

// TestLateMachineOfASizeThatIsNotSoldAnyMore has it come for a request that was given up, after a restart.
func TestLateMachineOfASizeThatIsNotSoldAnyMore(t *testing.T) {
	f := askedTwice(t)
	f.cloud.sells = withdrawn
	f.restart()
	f.cloud.arrive()
	f.survey(10 * time.Second)
	f.pass(10 * time.Second)
	if n := f.machine("a-1"); n.Status.Identifier != "m2" || n.Status.Phase != v1beta1.PhaseJoining {
		t.Errorf("object %+v, want one of its own for the machine that came late", n.Status)
	}
}

// TestNothingIsGivenUpBeforeSizesAreKnown has the launch deadline pass while the offerings cannot be read, and a request whose size is not on
// record wait for a machine that is listed.
func TestNothingIsGivenUpBeforeSizesAreKnown(t *testing.T) {
	f := newFixture(t, group(), intent("a", func(n *v1beta1.VPSieNode) {
		n.Status.Phase = v1beta1.PhaseLaunching
		n.Status.Launches = []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon), Outcome: v1beta1.LaunchAccepted}}
	}))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.cloud.offers = &app.CloudError{Failure: app.OutcomeUnknown}
	f.restart()
	f.clock.Step(20 * time.Minute)
	f.pass(time.Minute)
	f.pass(time.Minute)
	if n := f.machine("a"); n.Status.Phase != v1beta1.PhaseLaunching {
		t.Fatalf("machine %+v, want it waited for as long as nothing tells it from others", n.Status)
	}
	f.tell()
	f.wantDecision(reason.HoldSizesUnknown)
	if c := condition(f.machine("a"), v1beta1.ConditionLaunched); c.Reason != reason.HoldSizesUnknown.Condition() {
		t.Errorf("condition %+v, want it to say that sizes are unknown", c)
	}
	f.cloud.offers = nil
	f.runCatalogueOnce()
	f.pass(time.Second)
	if n := f.machine("a"); n.Status.Identifier != "m1" || n.Status.Phase != v1beta1.PhaseJoining {
		t.Errorf("machine %+v, want m1, Joining", n.Status)
	}
}

// TestHoldEndsOnceSizesAreKnown has a request wait for its machine when they are.
func TestHoldEndsOnceSizesAreKnown(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.hide = true
	f.pass(time.Second)
	f.cloud.offers = &app.CloudError{Failure: app.OutcomeUnknown}
	f.restart()
	f.pass(time.Second)
	if c := condition(f.machine("a"), v1beta1.ConditionLaunched); c.Reason != reason.HoldSizesUnknown.Condition() {
		t.Fatalf("condition %+v, want it to say that sizes are unknown", c)
	}
	f.cloud.offers = nil
	f.clock.Step(time.Minute)
	f.runCatalogueOnce()
	f.pass(2 * time.Second)
	if n := f.machine("a"); condition(n, v1beta1.ConditionLaunched).Reason != "Awaited" || len(n.Status.Holds) > 0 {
		t.Errorf("machine %+v, want it awaited", n.Status)
	}
}

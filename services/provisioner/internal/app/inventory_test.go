package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// lose takes machines out of the listing.
func (f *fixture) lose(ids ...string) {
	f.cloud.machines = slices.DeleteFunc(f.cloud.machines, func(m launch.Listed) bool { return slices.Contains(ids, m.Identifier) })
}

func TestMachineThatWasDeletedByHandIsNoticed(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(6, 1)
	f.survey(0)
	f.lose("m1")
	f.survey(time.Minute)
	f.survey(9 * time.Minute)
	if f.machine("n1").Spec.Retirement != nil {
		t.Fatal("retired after ten minutes, which a listing may lag")
	}
	f.survey(2 * time.Minute)
	n := f.machine("n1")
	if n.Spec.Retirement == nil || n.Spec.Retirement.Reason != string(reason.RepairMachineMissing) {
		t.Fatalf("retirement %+v", n.Spec.Retirement)
	}
	if c := condition(n, v1beta1.ConditionReady); c.Reason != "MachineMissing" {
		t.Errorf("condition %+v", c)
	}
	f.life("n1")
	if f.exists(intent("n1")) || f.exists(node("n1", "")) {
		t.Error("what is left of the machine stays")
	}
	if len(f.cloud.machines) != 5 || slices.ContainsFunc(f.cloud.deleted, func(id string) bool { return id != "m1" }) {
		t.Errorf("deleted %v", f.cloud.deleted)
	}
}

func TestReadyNodeProvesThatTheMachineLives(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(6, 0)
	f.survey(0)
	f.lose("m1")
	for range 20 {
		f.survey(5 * time.Minute)
	}
	n := f.machine("n1")
	if c := condition(n, v1beta1.ConditionLaunched); n.Spec.Retirement != nil || c.Status != metav1.ConditionUnknown || c.Reason != "NotListed" {
		t.Errorf("retirement %+v, condition %+v; want nothing done but a condition", n.Spec.Retirement, c)
	}
	f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m1", Hostname: "n1", Size: small})
	f.survey(time.Minute)
	if c := condition(f.machine("n1"), v1beta1.ConditionLaunched); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v although the machine is listed again", c)
	}
}

// TestNodeOfALostMachineGoes has neither an object nor a listing know of a Node's machine.
func TestNodeOfALostMachineGoes(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m9", registered("gone"), notReady), pod("p", "host-1"))
	f.fleet(6, 0)
	f.survey(0)
	f.survey(9 * time.Minute)
	if len(f.objects()) != 6 {
		t.Fatal("an object was made before a listing is believed")
	}
	f.survey(2 * time.Minute)
	f.pass(time.Second)
	n := f.machine("gone")
	if n.Status.Identifier != "m9" || n.Spec.Retirement == nil || n.Spec.Retirement.Reason != string(reason.RepairMachineMissing) {
		t.Fatalf("object %+v, want one that goes", n)
	}
	f.life("gone")
	if f.exists(intent("gone")) || f.exists(node("host-1", "")) || f.exists(pod("p", "")) {
		t.Error("what is left of the machine stays")
	}
}

func TestReadyNodeOfALostMachineStays(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m9", registered("gone")))
	f.fleet(6, 0)
	for range 4 {
		f.survey(6 * time.Minute)
	}
	if len(f.objects()) != 6 || f.node("host-1").Spec.Unschedulable {
		t.Error("a Node that is Ready was touched, though its machine lives")
	}
}

func TestNodeOfAnotherClusterIsNotLostHere(t *testing.T) {
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.Cluster.Identifier = "elsewhere" }), node("host-1", "m9", registered("gone"), notReady))
	for range 4 {
		f.survey(6 * time.Minute)
	}
	if n := len(f.objects()); n > 0 {
		t.Errorf("%d objects for a machine of another cluster", n)
	}
}

func TestListingThatLostManyMachinesIsNotBelieved(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(6, 6) // not even a Ready Node speaks against it
	f.survey(0)
	f.lose("m1", "m2", "m3")
	for range 10 {
		f.survey(5 * time.Minute)
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		if f.machine(name).Spec.Retirement != nil {
			t.Errorf("%s was retired on a listing that suddenly lacks half of the machines", name)
		}
	}
}

func TestSuspectListingConfirmsNoAbsence(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(6, 0)
	f.retire("n1", reason.ScaleDownEmpty)
	for range 3 {
		f.step("n1", 6*time.Second)
	}
	f.cloud.deletionHangs = true
	f.pass(time.Second)
	f.cloud.blank = true // the list lacks everything, and m1 still goes
	for range 50 {
		f.pass(time.Minute)
	}
	if got := f.machine("n1").Status.AbsentSightings; got > 1 {
		t.Errorf("%d sightings in listings that lack every machine", got)
	}
	f.cloud.deletionHangs = false
	for range 5 {
		f.pass(time.Minute)
	}
	for range 3 {
		f.step("n1", time.Second)
	}
	if f.exists(intent("n1")) {
		t.Error("VPSie knows the machine no longer, and its object stays")
	}
}

func TestSuspectListingGivesNoRequestUp(t *testing.T) {
	f := newFixture(t, group(), intent("a", attempt(v1beta1.LaunchUnknown)))
	f.fleet(6, 0)
	f.survey(0)
	all := f.cloud.machines
	f.cloud.machines = nil
	f.pass(settle + time.Minute)
	f.pass(time.Minute)
	if f.cloud.asked > 0 {
		t.Errorf("asked %d times again on listings that lack every machine", f.cloud.asked)
	}
	f.cloud.machines = all
	f.pass(time.Minute)
	f.pass(time.Minute)
	if f.cloud.asked != 1 {
		t.Errorf("asked %d times on good listings, want once", f.cloud.asked)
	}
}

// TestNothingIsLaunchedBeforeAListingIsBelieved starts with one that lacks every machine: whose workers there are is
// not known.
func TestNothingIsLaunchedBeforeAListingIsBelieved(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.fleet(6, 0)
	all := f.cloud.machines
	f.cloud.machines = nil
	f.pass(time.Minute)
	if c := condition(f.machine("a"), v1beta1.ConditionLaunched); f.cloud.asked > 0 || c.Reason != reason.HoldListingIncomplete.Condition() {
		t.Errorf("asked %d times on the first listing, which lacks every machine; condition %+v", f.cloud.asked, c)
	}
	f.pass(time.Minute)
	const want = `# HELP vpsie_scaling_decisions_total Decisions, by kind and reason code; refusals and holds are decisions too.
# TYPE vpsie_scaling_decisions_total counter
vpsie_scaling_decisions_total{kind="Hold",reason="hold.listing_incomplete"} 1
`
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want), "vpsie_scaling_decisions_total"); err != nil {
		t.Error(err)
	}
	f.cloud.machines = all
	f.pass(time.Minute)
	if f.cloud.asked != 1 {
		t.Errorf("asked %d times on a good listing, want once", f.cloud.asked)
	}
}

// TestMissingMachineStays holds what keeps a machine that VPSie does not list; such a one needs neither a group nor scale-down.
func TestMissingMachineStays(t *testing.T) {
	mode := func(m v1beta1.Mode) *v1beta1.NodeGroup {
		return group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = m })
	}
	for name, tc := range map[string]struct {
		group  *v1beta1.NodeGroup
		change func(f *fixture)
		goes   bool
		// why is the code by which it stays.
		why reason.Code
	}{
		"GroupIsPaused":   {group: mode(v1beta1.ModePaused), why: reason.NoScaleDownGroupPaused},
		"GroupRecommends": {group: mode(v1beta1.ModeRecommend), why: reason.NoScaleDownGroupRecommend},
		"EverythingIsPaused": {group: group(), why: reason.HoldPaused, change: func(f *fixture) {
			f.create(pause())
		}},
		"NodeIsProtected": {group: group(), why: reason.NoScaleDownNodeProtected, change: func(f *fixture) {
			n := f.node("n1")
			n.Annotations = map[string]string{v1beta1.AnnotationProtected: "true"}
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
		}},
		"GroupIsGone":    {group: group(), change: func(f *fixture) { f.remove(group()) }, goes: true},
		"ScaleDownIsOff": {group: group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.Enabled = new(false) }), goes: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.group)
			f.fleet(6, 1)
			f.lose("m1")
			if tc.change != nil {
				tc.change(f)
			}
			for range 4 {
				f.survey(6 * time.Minute)
			}
			if n := f.machine("n1"); (n.Spec.Retirement != nil) != tc.goes || tc.goes != (n.Status.MissingSince != nil) {
				t.Errorf("retirement %+v, missing since %v; want it to go: %v", n.Spec.Retirement, n.Status.MissingSince, tc.goes)
			}
			f.tell()
			if got := slices.Index(f.facts.codes, tc.why); !tc.goes && (got < 0 || slices.Contains(f.facts.codes[got+1:], tc.why)) {
				t.Errorf("on record is %v, want %s once", f.facts.codes, tc.why)
			}
			if c := condition(f.machine("n1"), v1beta1.ConditionLaunched); !tc.goes && c.Status != metav1.ConditionUnknown {
				t.Errorf("condition %+v, want it to say that the machine is not listed", c)
			}
		})
	}
}

// TestMissingMachineIsListedAgain holds that what held for a machine that does not exist holds no longer for one that does.
func TestMissingMachineIsListedAgain(t *testing.T) {
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.Enabled = new(false) }))
	f.fleet(6, 1)
	all := slices.Clone(f.cloud.machines)
	f.lose("m1")
	for range 4 {
		f.survey(6 * time.Minute)
	}
	f.cloud.machines = all
	f.survey(time.Minute)
	f.step("n1", time.Second)
	if n := f.machine("n1"); n.Status.MissingSince != nil || n.Spec.Retirement != nil || condition(n, v1beta1.ConditionDrained).Reason != reason.NoScaleDownDisabled.Condition() {
		t.Errorf("missing since %v, retirement %+v, condition %+v; want the repair refused", n.Status.MissingSince, n.Spec.Retirement, condition(n, v1beta1.ConditionDrained))
	}
}

// TestMissingMachineWithASacredPodIsNotDrainedAgainAndAgain has a pod object forbid the removal.
func TestMissingMachineWithASacredPodIsNotDrainedAgainAndAgain(t *testing.T) {
	f := newFixture(t, group(), pod("p", "n1", func(p *corev1.Pod) { p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"} }))
	f.fleet(6, 1)
	f.lose("m1")
	for range 3 {
		f.survey(6 * time.Minute)
	}
	for range 3 {
		f.step("n1", 6*time.Second)
	}
	if c := condition(f.machine("n1"), v1beta1.ConditionDrained); c.Reason != reason.NoScaleDownPodProtected.Condition() {
		t.Fatalf("condition %+v, want the pod to keep what is left", c)
	}
	f.survey(time.Minute)
	if f.machine("n1").Spec.Retirement != nil {
		t.Error("drained again a minute later")
	}
	f.remove(pod("p", ""))
	f.survey(20 * time.Minute)
	if f.machine("n1").Spec.Retirement == nil {
		t.Error("not retired when the pod is gone")
	}
}

// TestLaunchOnAPartialListing launches while a listing lacks somebody's worker for a moment.
func TestLaunchOnAPartialListing(t *testing.T) {
	f := newFixture(t, group())
	f.cloud.machines = []launch.Listed{{Identifier: "theirs", Hostname: "theirs", Size: small}}
	f.survey(0)
	f.cloud.machines = nil
	f.survey(time.Minute)
	f.create(intent("a"))
	f.cloud.hide = true
	f.pass(time.Second)
	f.cloud.machines = []launch.Listed{{Identifier: "theirs", Hostname: "theirs", Size: small}}
	f.pass(10 * time.Second)
	if n := f.machine("a"); n.Status.Identifier != "" {
		t.Errorf("somebody's worker was claimed: %+v", n.Status)
	}
}

// TestCatalogueHandsItsListingsOver has the poll that is made anyway serve the inventory.
func TestCatalogueHandsItsListingsOver(t *testing.T) {
	f := newFixture(t, group())
	var handed []string
	f.catalogue.Listen(func(_ context.Context, cluster string, listing app.Listing, at time.Time) {
		if !at.Equal(f.clock.Now()) || len(listing.Workers) != 0 {
			t.Errorf("listing %+v of %s", listing, at)
		}
		handed = append(handed, cluster)
	})
	f.clock.Step(time.Hour)
	f.runCatalogueOnce()
	if !slices.Equal(handed, []string{clusterID}) {
		t.Errorf("handed over %v, want the cluster's listing once", handed)
	}
}

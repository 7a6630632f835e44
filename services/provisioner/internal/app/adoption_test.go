package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// survey hands a listing over as the catalogue does, after some time.
func (f *fixture) survey(after time.Duration) {
	f.t.Helper()
	f.clock.Step(after)
	listing, err := f.cloud.Workers(f.t.Context(), clusterID)
	if err != nil {
		f.t.Fatal(err)
	}
	f.clusters.Survey(clusterID, listing, f.clock.Now())
	f.pass(time.Millisecond)
}

// registered makes a Node carry what proves a machine ours.
func registered(vpsieNode string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour))
		n.Labels = map[string]string{
			v1beta1.LabelVPSieNode: vpsieNode, v1beta1.LabelNodeGroup: "default.g", v1beta1.LabelManaged: "true", v1beta1.LabelOffering: "1",
			corev1.LabelInstanceTypeStable: "small", corev1.LabelTopologyZone: "dc",
		}
	}
}

func (f *fixture) objects() []v1beta1.VPSieNode {
	f.t.Helper()
	var list v1beta1.VPSieNodeList
	if err := f.kube.List(f.t.Context(), &list); err != nil {
		f.t.Fatal(err)
	}
	return list.Items
}

// told is what the report says of machines, empty when there are none.
func (f *fixture) told() string {
	f.t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app.OrphansConfigMap}}
	if !f.exists(object) {
		return ""
	}
	var report struct{ Machines []json.RawMessage }
	if err := json.Unmarshal([]byte(object.Data[clusterID]), &report); err != nil {
		f.t.Fatal(err)
	}
	var text strings.Builder
	for _, m := range report.Machines {
		text.Write(m)
	}
	return text.String()
}

func one(name string) []launch.Listed {
	return []launch.Listed{{Identifier: "m1", Hostname: name, Size: small}}
}

func TestLostObjectIsMadeAgain(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")))
	f.cloud.machines = one("Host-1")
	f.survey(0)
	f.survey(4 * time.Minute)
	if n := len(f.objects()); n > 0 {
		t.Fatalf("%d objects after four minutes; a cache may lag", n)
	}
	f.survey(2 * time.Minute)
	n := f.machine("a")
	if n.Spec.Origin != v1beta1.OriginAdoption || n.Spec.Reason != string(reason.AdoptNodeProof) || n.Annotations[v1beta1.AnnotationAdopts] != "m1" || n.Spec.Offering != 1 ||
		n.Spec.OfferingName != "small" || n.Spec.NodeGroup != "g" || n.Spec.Cluster.Datacenter != "dc" || !slices.Contains(n.Finalizers, v1beta1.FinalizerMachine) {
		t.Errorf("object %+v", n)
	}
	f.restart() // a crash between the object and its status
	f.pass(time.Second)
	f.step("a", time.Second)
	n = f.machine("a")
	if n.Status.Identifier != "m1" || n.Status.NodeName != "host-1" || n.Status.Phase != v1beta1.PhaseReady || condition(n, v1beta1.ConditionReady).Status != metav1.ConditionTrue {
		t.Errorf("status %+v", n.Status)
	}
	if f.cloud.asked > 0 || f.told() != "" {
		t.Errorf("asked %d times, told %q", f.cloud.asked, f.told())
	}
	before := f.machine("a").ResourceVersion
	f.survey(time.Hour)
	f.step("a", time.Second)
	if f.machine("a").ResourceVersion != before {
		t.Error("an adopted machine at rest was written again")
	}
}

func TestDrainOfALostObjectIsAborted(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a"), func(n *corev1.Node) {
		n.Spec.Unschedulable, n.Annotations = true, map[string]string{v1beta1.AnnotationCordoned: "true"}
		n.Spec.Taints = []corev1.Taint{{Key: v1beta1.TaintDraining, Value: "a", Effect: corev1.TaintEffectNoSchedule}}
	}))
	f.cloud.machines = one("host-1")
	f.survey(0)
	f.survey(6 * time.Minute)
	f.pass(time.Second)
	f.step("a", time.Second)
	if n := f.node("host-1"); n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
		t.Errorf("node %+v, want it open again", n.Spec)
	}
	f.wantDecision(reason.NoScaleDownWithdrawn)
}

func TestAdoptedObjectIsNeverLaunchedFor(t *testing.T) {
	adoption := intent("a", func(n *v1beta1.VPSieNode) {
		n.Spec.Origin, n.Annotations = v1beta1.OriginAdoption, map[string]string{v1beta1.AnnotationAdopts: "m1"}
	})
	tests := map[string]struct {
		why    string
		object *v1beta1.VPSieNode
	}{
		"MachineIsGone":    {object: adoption},
		"AnnotationIsGone": {why: "a person took it off", object: intent("a", func(n *v1beta1.VPSieNode) { n.Spec.Origin = v1beta1.OriginAdoption })},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), tc.object)
			for range 20 {
				f.pass(time.Minute)
			}
			if f.exists(intent("a")) {
				f.step("a", time.Second)
			}
			if f.cloud.asked > 0 || f.exists(intent("a")) {
				t.Errorf("asked %d times, object there: %v; want nothing launched and the object gone (%s)", f.cloud.asked, f.exists(intent("a")), tc.why)
			}
			f.wantDecision(reason.AdoptAbandoned)
		})
	}
}

// TestObjectThatLostItsStatusLaunchesNothing restores an object from a backup that keeps no status.
func TestObjectThatLostItsStatusLaunchesNothing(t *testing.T) {
	f := newFixture(t, group(), intent("a"), node("host-1", "m1", registered("a")))
	f.cloud.machines = one("host-1")
	for range 3 {
		f.pass(10 * time.Second)
	}
	if n := f.machine("a"); f.cloud.asked > 0 || n.Status.Identifier != "m1" || n.Status.Phase != v1beta1.PhaseReady {
		t.Errorf("asked %d times, status %+v; want the machine that is there", f.cloud.asked, n.Status)
	}
}

func TestProvenMachineAnswersNobodyElsesRequest(t *testing.T) {
	f := newFixture(t, group(), intent("b", attempt(v1beta1.LaunchAccepted)), node("host-1", "m1", registered("a")))
	f.cloud.machines = one("host-1")
	f.pass(time.Second)
	if n := f.machine("b"); n.Status.Identifier != "" {
		t.Errorf("b claims %s, which is proven to be a's", n.Status.Identifier)
	}
}

// TestProofIsReadAfresh takes the proof away when the cache still shows it.
func TestProofIsReadAfresh(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")))
	f.cloud.machines = one("host-1")
	f.survey(0)
	f.getting = func(_ client.ObjectKey, o client.Object) error {
		if _, ok := o.(*corev1.Node); !ok {
			return nil
		}
		f.getting = nil
		n := f.node("host-1")
		delete(n.Labels, v1beta1.LabelVPSieNode)
		return f.kube.Update(t.Context(), n)
	}
	f.survey(6 * time.Minute)
	if n := len(f.objects()); n > 0 {
		t.Errorf("%d objects for a machine that nothing proves ours any more", n)
	}
}

// TestMachineWhoseNodeWentWhileItWasAdoptedIsTold: the object waits for a proof that does not come, and must not hide the machine for ever.
func TestMachineWhoseNodeWentWhileItWasAdoptedIsTold(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")))
	f.cloud.machines = one("host-1")
	f.survey(0)
	f.survey(6 * time.Minute)
	f.machine("a")
	if err := f.kube.Delete(t.Context(), f.node("host-1")); err != nil {
		t.Fatal(err)
	}
	f.survey(14 * time.Minute)
	f.step("a", time.Second)
	if n := f.machine("a"); n.DeletionTimestamp != nil || n.Status.Identifier != "" {
		t.Errorf("object %+v, want it to wait for the Node", n)
	}
	f.survey(2 * time.Minute)
	f.step("a", time.Second)
	for range 3 {
		f.survey(6 * time.Minute)
	}
	if told := f.told(); !strings.Contains(told, `"m1"`) || len(f.objects()) > 0 || len(f.cloud.deleted) > 0 {
		t.Errorf("told %q, %d objects, deleted %v; want the machine told and left alone", told, len(f.objects()), f.cloud.deleted)
	}
}

func TestNameThatIsTakenIsNotReused(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), intent("a", launched("m2", "host-2")), node("host-2", "m2"))
	f.cloud.machines = append(one("host-1"), launch.Listed{Identifier: "m2", Hostname: "host-2", Size: small})
	f.survey(0)
	f.survey(6 * time.Minute)
	f.pass(time.Second)
	all := f.objects()
	i := slices.IndexFunc(all, func(n v1beta1.VPSieNode) bool { return n.Status.Identifier == "m1" })
	if len(all) != 2 || i < 0 || f.machine("a").Status.Identifier != "m2" {
		t.Fatalf("objects %+v", all)
	}
	f.step(all[i].Name, time.Second)
	if got := f.node("host-1").Labels[v1beta1.LabelVPSieNode]; got != all[i].Name {
		t.Errorf("the Node names %s, want %s", got, all[i].Name)
	}
}

func TestOrphanIsReported(t *testing.T) {
	f := newFixture(t, node("host-1", "m1", registered("a")))
	f.cloud.machines = one("host-1")
	for range 3 {
		f.survey(6 * time.Minute)
	}
	if n := len(f.objects()); n > 0 || len(f.cloud.deleted) > 0 || f.node("host-1").Spec.Unschedulable {
		t.Errorf("%d objects, deleted %v; want the machine untouched", n, f.cloud.deleted)
	}
	told := f.told()
	for _, part := range []string{`"m1"`, `"host-1"`, `"proven": true`, "default.g", "2026-11-01T12:06:00Z"} {
		if !strings.Contains(told, part) {
			t.Errorf("told %s, want it to contain %s", told, part)
		}
	}
	want := strings.NewReader(`
# HELP vpsie_orphan_machines Unclaimed machines that came after the autoscaler, by VPSie cluster and whether a Node proves them ours.
# TYPE vpsie_orphan_machines gauge
vpsie_orphan_machines{cluster="cluster",proven="false"} 0
vpsie_orphan_machines{cluster="cluster",proven="true"} 1
`)
	if err := testutil.GatherAndCompare(f.registry, want, "vpsie_orphan_machines"); err != nil {
		t.Error(err)
	}
	f.restart()
	for range 3 {
		f.survey(time.Minute)
	}
	if again := f.told(); again != told {
		t.Errorf("after a restart %s is told, want still %s", again, told)
	}
	f.wantDecision(reason.AdoptNoGroup)
	if n := len(f.facts.records); n != 1 {
		t.Errorf("%d records %v, want one: a restart is no news", n, f.facts.codes)
	}
	f.create(group())
	f.survey(6 * time.Minute)
	f.pass(time.Second)
	if n := f.machine("a"); n.Status.Identifier != "m1" {
		t.Errorf("object %+v; the group is back, want the machine adopted", n)
	}
	f.survey(time.Minute)
	if strings.Contains(f.told(), "m1") {
		t.Errorf("still told: %s", f.told())
	}
}

func TestOrphanIsDeletedWhereThatIsWanted(t *testing.T) {
	f := newFixture(t, node("host-1", "m1", registered("a")), pod("p", "host-1"))
	f.orphans = app.OrphansDelete
	f.restart()
	f.cloud.machines = one("host-1")
	f.survey(0)
	f.survey(6 * time.Minute)
	if r := f.machine("a").Spec.Retirement; r == nil || r.Kind != v1beta1.RetireOrphan || r.Reason != string(reason.OrphanNoGroup) {
		t.Errorf("retirement %+v, want that of an orphan", r)
	}
	f.step("a", time.Second) // before the status is written
	f.pass(time.Second)
	f.step("a", time.Second)
	if !f.exists(pod("p", "")) || !f.node("host-1").Spec.Unschedulable {
		t.Error("want the Node cordoned and its pod there until the settle time is over")
	}
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(node("host-1", "")) || f.exists(intent("a")) {
		t.Errorf("deleted %v; want m1, with its Node and object", f.cloud.deleted)
	}
}

func TestProtectedOrphanStays(t *testing.T) {
	f := newFixture(t, node("host-1", "m1", registered("a")), pod("p", "host-1", func(p *corev1.Pod) { p.OwnerReferences = nil }))
	f.orphans = app.OrphansDelete
	f.restart()
	f.cloud.machines = one("host-1")
	f.survey(0)
	f.survey(6 * time.Minute)
	f.pass(time.Second)
	f.life("a")
	if len(f.cloud.deleted) > 0 || !f.exists(pod("p", "")) || f.node("host-1").Spec.Unschedulable {
		t.Errorf("deleted %v although a pod must not be moved", f.cloud.deleted)
	}
}

func TestMachineOfNobodyIsNeverTouched(t *testing.T) {
	f := newFixture(t, group(), node("old", ""), node("new", ""), node("liar", "m9", registered("x")))
	f.orphans = app.OrphansDelete
	f.restart()
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "old", Size: small}}
	f.survey(time.Minute)
	f.survey(time.Minute)
	f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m2", Hostname: "new", Size: small}, launch.Listed{Identifier: "m3", Hostname: "liar", Size: small})
	for range 4 {
		f.survey(6 * time.Minute)
	}
	if n := len(f.objects()); n > 0 || len(f.cloud.deleted) > 0 {
		t.Errorf("%d objects, deleted %v", n, f.cloud.deleted)
	}
	told := f.told()
	if strings.Contains(told, `"m1"`) || !strings.Contains(told, `"m2"`) || !strings.Contains(told, `"m3"`) {
		t.Errorf("told %s, want those that came later", told)
	}
	f.wantDecision(reason.AdoptUnproven)
}

// TestRestartForgetsNotWhatWasThereBefore has a machine come while the provisioner is down, as one of ours does whose object was lost
// before its Node registered.
func TestRestartForgetsNotWhatWasThereBefore(t *testing.T) {
	f := newFixture(t, group(), node("old", ""), node("new", ""))
	f.survey(time.Minute) // a listing that leaves out what is there
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "old", Size: small}}
	f.survey(time.Minute)
	f.restart()
	f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m2", Hostname: "new", Size: small})
	for range 3 {
		f.survey(6 * time.Minute)
	}
	told := f.told()
	if strings.Contains(told, `"m1"`) || !strings.Contains(told, `"m2"`) {
		t.Errorf("told %s, want the machine that came while nobody looked", told)
	}
}

// TestReportThatCannotBeReadHidesNothing has a report as another release, or a person, wrote it.
func TestReportThatCannotBeReadHidesNothing(t *testing.T) {
	for name, text := range map[string]string{
		"OtherRelease": `{"machines": [{"identifier": "m1", "hostname": "old", "since": "2026-01-01T00:00:00Z"}], "foreign": 1}`,
		"Edited":       `{"machines": [`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), node("old", ""), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app.OrphansConfigMap}, Data: map[string]string{clusterID: text},
			})
			f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "old", Size: small}}
			for range 4 {
				f.survey(6 * time.Minute)
			}
			if told := f.told(); !strings.Contains(told, `"m1"`) {
				t.Errorf("told %q, want the machine that was told of", told)
			}
		})
	}
}

// TestMachineWhoseNodeLostItsLabelIsTold has somebody take the proof off a Node while its object is lost.
func TestMachineWhoseNodeLostItsLabelIsTold(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"))
	f.orphans = app.OrphansDelete
	f.restart()
	f.cloud.machines = one("host-1")
	for range 3 {
		f.survey(6 * time.Minute)
	}
	if n := len(f.objects()); n > 0 || len(f.cloud.deleted) > 0 {
		t.Errorf("%d objects, deleted %v; want the machine untouched", n, f.cloud.deleted)
	}
	if told := f.told(); !strings.Contains(told, `"m1"`) || !strings.Contains(told, "lacks the label") {
		t.Errorf("told %s, want the machine, and why it is left alone", told)
	}
}

// TestTellingOutlivesAListingThatLeavesSomeOut also has the provisioner start anew meanwhile.
func TestTellingOutlivesAListingThatLeavesSomeOut(t *testing.T) {
	f := newFixture(t, node("host-1", "m1", registered("a")))
	f.cloud.machines = append(one("host-1"), launch.Listed{Identifier: "resident", Hostname: "resident", Size: small})
	for range 3 {
		f.survey(6 * time.Minute)
	}
	all := f.cloud.machines
	f.cloud.machines = all[1:]
	f.restart()
	f.survey(time.Minute)
	if told := f.told(); !strings.Contains(told, `"m1"`) {
		t.Errorf("told %s after one listing that lacks the machine", told)
	}
	f.cloud.machines = all
	f.restart()
	f.survey(time.Minute)
	if told := f.told(); !strings.Contains(told, `"m1"`) {
		t.Errorf("told %s, want the machine still", told)
	}
	f.cloud.machines = all[1:]
	for range 4 {
		f.survey(settle)
	}
	if told := f.told(); strings.Contains(told, `"m1"`) {
		t.Errorf("told %s of a machine that was gone for long", told)
	}
}

// TestUnclaimedMachinesAreAllCounted has more of them than the report lists.
func TestUnclaimedMachinesAreAllCounted(t *testing.T) {
	f := newFixture(t, group())
	f.survey(0) // none is there before us
	f.survey(10 * time.Minute)
	for i := range 120 {
		f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: fmt.Sprintf("x%03d", i), Hostname: fmt.Sprintf("host-%d", i), Size: small})
	}
	f.survey(10 * time.Minute)
	f.survey(10 * time.Minute)
	want := strings.NewReader(`# HELP vpsie_orphan_machines Unclaimed machines that came after the autoscaler, by VPSie cluster and whether a Node proves them ours.
# TYPE vpsie_orphan_machines gauge
vpsie_orphan_machines{cluster="cluster",proven="false"} 120
vpsie_orphan_machines{cluster="cluster",proven="true"} 0
`)
	if err := testutil.GatherAndCompare(f.registry, want, "vpsie_orphan_machines"); err != nil {
		t.Error(err)
	}
}

// TestAbandonedAdoptionIsNotCompleted has a machine listed again after its adoption was given up, and before the object is gone.
func TestAbandonedAdoptionIsNotCompleted(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), intent("a", func(n *v1beta1.VPSieNode) {
		n.Spec.Origin, n.Annotations = v1beta1.OriginAdoption, map[string]string{v1beta1.AnnotationAdopts: "m1"}
	}))
	for range 20 {
		f.pass(time.Minute)
	}
	if n := f.machine("a"); n.DeletionTimestamp == nil {
		t.Fatalf("object %+v, want the adoption given up", n.Status)
	}
	f.cloud.machines = one("host-1")
	f.pass(time.Second)
	f.life("a")
	if len(f.cloud.deleted) > 0 || f.exists(intent("a")) || f.node("host-1").Spec.Unschedulable {
		t.Errorf("deleted %v, object there: %v; the machine is on record as not adopted", f.cloud.deleted, f.exists(intent("a")))
	}
	f.wantDecision(reason.HoldLaunchOutcome)
	f.wantDecision(reason.AdoptAbandoned)
}

// TestAdoptionThatIsDeletedInVainGoesOn has somebody change the object at the moment at which it is given up: nothing says then that it was.
func TestAdoptionThatIsDeletedInVainGoesOn(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), intent("a", func(n *v1beta1.VPSieNode) {
		n.Spec.Origin, n.Annotations = v1beta1.OriginAdoption, map[string]string{v1beta1.AnnotationAdopts: "m1"}
	}))
	f.pass(time.Second)
	f.deleting = func(client.Object) error {
		return apierrors.NewConflict(schema.GroupResource{}, "a", errors.New("changed meanwhile"))
	}
	f.clock.Step(16 * time.Minute)
	if _, err := f.clusters.Reconcile(t.Context(), clusterID); !apierrors.IsConflict(err) {
		t.Fatalf("error %v, want the conflict, so that the pass is repeated", err)
	}
	f.deleting = nil
	f.cloud.machines = one("host-1")
	f.pass(time.Second)
	f.judgeCarried()
	if n := f.machine("a"); n.Status.Identifier != "m1" || slices.Contains(f.facts.codes, reason.AdoptAbandoned) {
		t.Errorf("machine %+v, decided was %v; want it adopted, and nothing else on record", n.Status, f.facts.codes)
	}
}

// TestNodeOfAnotherNamespaceKeepsNoLaunch has an object of another group by the same name, whose Node is left.
func TestNodeOfAnotherNamespaceKeepsNoLaunch(t *testing.T) {
	f := newFixture(t, group(), intent("a"), node("host-9", "m9", registered("a"), func(n *corev1.Node) { n.Labels[v1beta1.LabelNodeGroup] = "elsewhere.g" }))
	f.pass(time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("asked %d times, want a machine launched", f.cloud.asked)
	}
	f.cloud.machines = append(one("host-9"), f.cloud.machines...)
	f.pass(time.Second)
	if n := f.machine("a"); n.Status.Identifier == "m9" {
		t.Error("the machine of another namespace answers the request")
	}
}

// TestUnclaimedMachineIsToldOnceItIsOnRecord has neither the bus nor Kubernetes take the record at first.
func TestUnclaimedMachineIsToldOnceItIsOnRecord(t *testing.T) {
	f := newFixture(t, node("host-1", "m1", registered("a")))
	f.cloud.machines = one("host-1")
	f.survey(0)
	f.facts.full = errors.New("nothing takes it")
	f.clock.Step(6 * time.Minute)
	listing, err := f.cloud.Workers(t.Context(), clusterID)
	if err != nil {
		t.Fatal(err)
	}
	f.clusters.Survey(clusterID, listing, f.clock.Now())
	f.pass(time.Millisecond)
	if f.told() != "" {
		t.Errorf("told %q, want nothing told of what is not on record", f.told())
	}
	f.facts.full = nil
	f.survey(time.Second)
	f.wantDecision(reason.AdoptNoGroup)
	if !strings.Contains(f.told(), "m1") {
		t.Errorf("told %q, want the machine", f.told())
	}
}

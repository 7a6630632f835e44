package app_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// kindOf is the kind of the retirements that have a reason.
var kindOf = map[reason.Code]v1beta1.RetirementKind{
	reason.ScaleDownEmpty: v1beta1.RetireScaleDown, reason.ScaleDownUnneeded: v1beta1.RetireScaleDown, reason.RepairNodeNotReady: v1beta1.RetireRepair,
	reason.RepairNodeMissing: v1beta1.RetireRepair, reason.RepairMachineMissing: v1beta1.RetireRepair, reason.LaunchDeadline: v1beta1.RetireLaunchFailed,
	reason.OrphanNoGroup: v1beta1.RetireOrphan,
}

func repaired(code reason.Code) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) {
		n.Spec.Retirement = &v1beta1.Retirement{Kind: kindOf[code], DecisionID: "r", Reason: string(code), Message: "broken"}
	}
}

func notReady(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }

func createdAt(at time.Time) func(*corev1.Node) {
	return func(n *corev1.Node) { n.CreationTimestamp = metav1.NewTime(at) }
}

// fleet adds machines in use, of which the first are not Ready, with names from n1 and identifiers from m1.
func (f *fixture) fleet(machines, failing int) {
	f.t.Helper()
	for i := 1; i <= machines; i++ {
		name, id := fmt.Sprintf("n%d", i), fmt.Sprintf("m%d", i)
		f.create(intent(name, launched(id, name)))
		if i <= failing {
			f.create(node(name, id, notReady))
		} else {
			f.create(node(name, id))
		}
		f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: id, Hostname: name, Size: small})
	}
}

func (f *fixture) retire(name string, code reason.Code) {
	f.t.Helper()
	n := f.machine(name)
	repaired(code)(n)
	if err := f.kube.Update(f.t.Context(), n); err != nil {
		f.t.Fatal(err)
	}
}

func TestRepairGoesTheWayOfEveryRetirement(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(10, 1)
	f.create(pod("p", "n1"))
	f.retire("n1", reason.RepairNodeNotReady)
	f.life("n1")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(intent("n1")) || f.exists(pod("p", "")) {
		t.Errorf("deleted %v; want m1, after its pod was evicted", f.cloud.deleted)
	}
}

func TestRepairWithoutANode(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(10, 0)
	f.remove(node("n1", ""))
	f.retire("n1", reason.RepairNodeMissing)
	f.life("n1")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want m1", f.cloud.deleted)
	}
}

func TestRepairIsRefused(t *testing.T) {
	sacred := func(p *corev1.Pod) { p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"} }
	tests := map[string]struct {
		why     string
		failing int
		group   *v1beta1.NodeGroup
		change  func(f *fixture)
		want    reason.Code
	}{
		"ReadyAgain":          {failing: 0, want: reason.NoRepairNodeReady},
		"OthersFailMeanwhile": {why: "the planner decided on what was so then", failing: 3, want: reason.NoRepairFailingTogether},
		"PodThatMayStillRun": {
			why: "behind a partition it may run, and nobody has given it up", failing: 1, change: func(f *fixture) { f.create(pod("p", "n1", sacred)) },
			want: reason.NoScaleDownPodProtected,
		},
		"ProtectedNode": {failing: 1, change: func(f *fixture) {
			n := f.node("n1")
			n.Annotations = map[string]string{v1beta1.AnnotationProtected: "true"}
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
		}, want: reason.NoScaleDownNodeProtected},
		"GroupWasPaused":          {failing: 1, group: group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }), want: reason.NoScaleDownGroupPaused},
		"ScaleDownWasSwitchedOff": {failing: 1, group: group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.Enabled = new(false) }), want: reason.NoScaleDownDisabled},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := tc.group
			if g == nil {
				g = group()
			}
			f := newFixture(t, g)
			f.fleet(10, tc.failing)
			if tc.change != nil {
				tc.change(f)
			}
			f.retire("n1", reason.RepairNodeNotReady)
			f.step("n1", time.Second)
			f.step("n1", 6*time.Second)
			n := f.machine("n1")
			if c := condition(n, v1beta1.ConditionDrained); n.Spec.Retirement != nil || c.Reason != tc.want.Condition() {
				t.Errorf("retirement %+v, condition %+v; want it refused with %s (%s)", n.Spec.Retirement, c, tc.want, tc.why)
			}
			if f.node("n1").Spec.Unschedulable {
				t.Error("the Node stays cordoned")
			}
			f.pass(time.Minute)
			if len(f.cloud.deleted) > 0 {
				t.Errorf("deleted %v", f.cloud.deleted)
			}
		})
	}
}

func TestPodThatKubernetesGaveUpDoesNotKeepABrokenMachine(t *testing.T) {
	f := newFixture(t, group(), pod("p", "n1", func(p *corev1.Pod) {
		p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"}
		p.Finalizers, p.DeletionTimestamp = []string{"test/kept"}, new(metav1.NewTime(noon.Add(-time.Hour)))
	}))
	f.fleet(10, 1)
	f.retire("n1", reason.RepairNodeNotReady)
	f.life("n1")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want m1", f.cloud.deleted)
	}
}

// overdue adds machines whose Nodes never became Ready; their deadline is over at noon.
func (f *fixture) overdue(machines int) {
	f.t.Helper()
	for i := 1; i <= machines; i++ {
		name, id := fmt.Sprintf("n%d", i), fmt.Sprintf("m%d", i)
		f.create(intent(name, func(n *v1beta1.VPSieNode) {
			n.Status = v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseJoining, Identifier: id, Hostname: name,
				Launches: []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon.Add(-15 * time.Minute)), Outcome: v1beta1.LaunchAccepted}}}
		}))
		f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: id, Hostname: name, Size: small})
	}
}

// TestMachinesThatDoNotJoinTogetherGoOneByOne has a whole batch of machines not join: the first one is tried at
// once, the next a quarter of an hour later.
func TestMachinesThatDoNotJoinTogetherGoOneByOne(t *testing.T) {
	f := newFixture(t, group())
	f.overdue(4)
	names := []string{"n1", "n2", "n3", "n4"}
	minutes := func(n int) {
		for range n * 6 {
			for _, name := range names {
				f.step(name, 2500*time.Millisecond)
			}
			f.pass(time.Millisecond)
		}
	}
	minutes(5)
	if len(f.cloud.deleted) != 1 {
		t.Fatalf("deleted %v within five minutes, want one to try", f.cloud.deleted)
	}
	held := f.machine(names[slices.IndexFunc(names, func(name string) bool {
		return f.machine(name).Spec.Retirement == nil && f.machine(name).Status.Identifier != ""
	})])
	if c := condition(held, v1beta1.ConditionReady); c.Reason != reason.NoRepairFailingTogether.Condition() {
		t.Errorf("condition %+v, want it to say why the machine stays", c)
	}
	minutes(9)
	if len(f.cloud.deleted) != 1 {
		t.Fatalf("deleted %v within a quarter of an hour, want still one", f.cloud.deleted)
	}
	minutes(40)
	if len(f.cloud.deleted) != 4 {
		t.Errorf("deleted %v within an hour, want all: they must not cost money for ever", f.cloud.deleted)
	}
}

func TestMachinesThatDoNotJoinGoOneAtATime(t *testing.T) {
	f := newFixture(t, group())
	f.overdue(2)
	for i := range 10 { // so many that two do not fail together
		name := fmt.Sprintf("w%d", i)
		f.create(intent(name, launched("id-"+name, name)))
		f.create(node(name, "id-"+name))
	}
	for range 5 {
		f.step("n1", time.Second)
		f.step("n2", time.Second)
	}
	waits := f.machine("n2")
	if c := condition(waits, v1beta1.ConditionReady); f.machine("n1").Spec.Retirement == nil || waits.Spec.Retirement != nil || c.Reason != reason.NoRepairOneAtATime.Condition() {
		t.Errorf("retirements %+v and %+v, condition %+v; want the second to follow the first", f.machine("n1").Spec.Retirement, waits.Spec.Retirement, c)
	}
}

func TestPauseKeepsAMachineThatDoesNotJoin(t *testing.T) {
	f := newFixture(t, group(), pause())
	f.overdue(1)
	f.step("n1", time.Minute)
	n := f.machine("n1")
	if n.Spec.Retirement != nil {
		t.Error("retired during a pause")
	}
	if c := condition(n, v1beta1.ConditionReady); c.Reason != reason.HoldPaused.Condition() || n.Status.OverdueSince == nil {
		t.Errorf("condition %+v, overdue since %v; want both to say that the machine waits", c, n.Status.OverdueSince)
	}
	f.remove(pause())
	f.step("n1", time.Minute)
	if f.machine("n1").Spec.Retirement == nil {
		t.Error("not retired after the pause")
	}
}

func TestMachinesWhoseNodesAreMissingTogetherGoOneByOne(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(10, 0)
	for _, name := range []string{"n1", "n2", "n3"} {
		f.remove(node(name, ""))
	}
	f.retire("n1", reason.RepairNodeMissing)
	f.life("n1")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want one to try: nothing runs there", f.cloud.deleted)
	}
	f.remove(node("n4", ""))
	f.retire("n2", reason.RepairNodeMissing)
	f.life("n2")
	if c := condition(f.machine("n2"), v1beta1.ConditionDrained); len(f.cloud.deleted) > 1 || c.Reason != reason.NoRepairFailingTogether.Condition() {
		t.Errorf("deleted %v, condition %+v; want no second one so soon", f.cloud.deleted, c)
	}
}

func TestMachineThatJoinsAtTheLastMomentStays(t *testing.T) {
	f := newFixture(t, group())
	f.overdue(1)
	f.step("n1", time.Second)
	if r := f.machine("n1").Spec.Retirement; r == nil || r.Reason != string(reason.LaunchDeadline) {
		t.Fatalf("retirement %+v", r)
	}
	f.create(node("n1", ""))
	for range 4 {
		f.step("n1", 6*time.Second)
	}
	f.pass(time.Second)
	if n := f.machine("n1"); len(f.cloud.deleted) > 0 || n.Status.Phase != v1beta1.PhaseReady || n.Spec.Retirement != nil {
		t.Errorf("deleted %v, machine %+v; want a machine that works to stay", f.cloud.deleted, n.Status)
	}
}

// TestMachineBehindAForeignNodeHoldsNobodyUp has one of two machines that never joined stay, because another's Node has its name.
func TestMachineBehindAForeignNodeHoldsNobodyUp(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m9"), intent("a", joining("m1", "host-1"), repaired(reason.LaunchDeadline)), intent("b", joining("m2", "host-2")))
	f.step("b", 16*time.Minute)
	if r := f.machine("b").Spec.Retirement; r == nil || r.Reason != string(reason.LaunchDeadline) {
		t.Errorf("retirement %+v, want it not to wait for a machine that cannot go", r)
	}
}

package app_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

func replaced(n *v1beta1.VPSieNode) {
	n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireReplace, DecisionID: "r", Reason: "replace.cheaper", Message: "a cheaper one takes its place"}
}

func replaces(names ...string) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) { n.Spec.Origin, n.Spec.Replaces = v1beta1.OriginReplacement, names }
}

func busy(p *corev1.Pod) {
	p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("3")
}

// replacing is a busy node whose machine old is to be replaced by new, which is as far as the change says.
func replacing(t *testing.T, change ...func(*v1beta1.VPSieNode)) *fixture {
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }), node("host-1", "m1"), intent("old", launched("m1", "host-1"), replaced),
		intent("new", append([]func(*v1beta1.VPSieNode){launched("m2", "host-2"), replaces("old")}, change...)...), pod("p", "host-1", busy))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}, {Identifier: "m2", Hostname: "host-2", Size: small}}
	return f
}

// fallIll has a Node be Ready no more.
func (f *fixture) fallIll(name string) {
	f.t.Helper()
	n := f.node(name)
	notReady(n)
	if err := f.kube.Status().Update(f.t.Context(), n); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) wantUntouched(why string) {
	f.t.Helper()
	if host := f.node("host-1"); host.Spec.Unschedulable || isDraining(host) {
		f.t.Errorf("%s: the Node is closed: %+v", why, host.Spec)
	}
	if !f.exists(pod("p", "")) || len(f.cloud.deleted) > 0 {
		f.t.Errorf("%s: the pod is there: %v, deleted %v", why, f.exists(pod("p", "")), f.cloud.deleted)
	}
}

func (f *fixture) wantDrained(status metav1.ConditionStatus, code reason.Code) {
	f.t.Helper()
	n := f.machine("old")
	if c := condition(n, v1beta1.ConditionDrained); c.Status != status || c.Reason != code.Condition() {
		f.t.Errorf("condition %+v, want %s %s", c, status, code.Condition())
	}
	if stands := n.Spec.Retirement != nil; stands != (status == metav1.ConditionUnknown) {
		f.t.Errorf("the retirement stands: %v", stands)
	}
}

func TestBusyNodeIsReplaced(t *testing.T) {
	f := replacing(t)
	f.create(node("host-2", "m2"))
	f.life("old")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(intent("old")) || f.exists(pod("p", "")) || f.exists(node("host-1", "")) {
		t.Errorf("deleted %v; want m1, after its pod was evicted", f.cloud.deleted)
	}
	if n := f.machine("new"); n.Status.Phase != v1beta1.PhaseReady {
		t.Errorf("the replacement is %s", n.Status.Phase)
	}
}

// TestScaleDownSwitchKeepsNoReplacement holds that scaleDown.enabled is about scale-down and repair alone.
func TestScaleDownSwitchKeepsNoReplacement(t *testing.T) {
	f := replacing(t)
	f.remove(group())
	f.create(group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes, g.Spec.ScaleDown.Enabled = 1, new(false) }))
	f.create(node("host-2", "m2"))
	f.life("old")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want m1: scale-down is switched off, replacement is not", f.cloud.deleted)
	}
}

// TestReplacementIsAwaited holds that nothing is done to a Node before pods can go to the one that takes its place.
func TestReplacementIsAwaited(t *testing.T) {
	for name, tc := range map[string]struct {
		machine func(*v1beta1.VPSieNode)
		node    func(*corev1.Node)
	}{
		"NothingWasAsked":  {machine: func(n *v1beta1.VPSieNode) { n.Status = v1beta1.VPSieNodeStatus{} }},
		"MachineJoins":     {machine: joining("m2", "host-2")},
		"NodeDoesNotExist": {},
		"NodeIsNotReady":   {node: notReady},
		"NodeIsNotOpen":    {node: func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: v1beta1.TaintOpening}} }},
		"NodeIsCordoned":   {node: func(n *corev1.Node) { n.Spec.Unschedulable = true }},
		"NodeIsAnothers":   {node: func(n *corev1.Node) { n.Spec.ProviderID = "vpsie://m9" }},
	} {
		t.Run(name, func(t *testing.T) {
			f := replacing(t, func(n *v1beta1.VPSieNode) {
				if tc.machine != nil {
					tc.machine(n)
				}
			})
			if tc.node != nil {
				f.create(node("host-2", "m2", tc.node))
			}
			for range 3 {
				f.step("old", time.Minute)
				f.pass(time.Second)
			}
			f.wantUntouched(name)
			f.wantDrained(metav1.ConditionUnknown, reason.HoldReplacement)
		})
	}
}

// TestAwaitedReplacementComes goes on once the replacement's Node takes pods.
func TestAwaitedReplacementComes(t *testing.T) {
	f := replacing(t)
	f.create(node("host-2", "m2", notReady))
	f.step("old", time.Hour)
	f.wantDrained(metav1.ConditionUnknown, reason.HoldReplacement)
	f.remove(node("host-2", ""))
	f.create(node("host-2", "m2"))
	f.life("old")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want m1", f.cloud.deleted)
	}
}

// TestReplacementIsNotAwaitedForEverBeforeTheTaint withdraws a retirement whose replacement was Ready and does not come back, though nobody takes
// it away. The time of a pause does not count.
func TestReplacementIsNotAwaitedForEverBeforeTheTaint(t *testing.T) {
	for name, paused := range map[string]bool{"Waited": false, "Paused": true} {
		t.Run(name, func(t *testing.T) {
			f := replacing(t)
			f.create(node("host-2", "m2", func(n *corev1.Node) { n.Spec.Unschedulable = true }))
			f.step("old", time.Second)
			f.step("old", 14*time.Minute)
			f.wantDrained(metav1.ConditionUnknown, reason.HoldReplacement)
			if paused {
				f.create(pause())
				f.step("old", 10*time.Minute)
				f.wantDrained(metav1.ConditionUnknown, reason.HoldPaused)
				f.remove(pause())
				f.step("old", 6*time.Second)
				f.step("old", 14*time.Minute)
				f.wantDrained(metav1.ConditionUnknown, reason.HoldReplacement)
			}
			f.step("old", time.Minute+time.Second)
			f.wantDrained(metav1.ConditionFalse, reason.NoReplaceLate)
			f.wantUntouched(name)
			if wait := f.machine("old").Status.ReplacementWait; wait != nil {
				t.Errorf("the next retirement would find a wait %+v", wait)
			}
			f.wantDecision(reason.NoReplaceLate)
		})
	}
}

func TestReplacementIsRefused(t *testing.T) {
	sacred := func(p *corev1.Pod) { p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"} }
	remove := func(name string) func(*fixture) { return func(f *fixture) { f.remove(intent(name)) } }
	for name, tc := range map[string]struct {
		change func(f *fixture)
		want   reason.Code
	}{
		"ReplacementIsDeleted": {remove("new"), reason.NoReplaceFailed},
		"ReplacesAnother": {func(f *fixture) {
			n := f.machine("new")
			n.Spec.Replaces = []string{"another"}
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
		}, reason.NoReplaceFailed},
		"ReplacementFailed": {func(f *fixture) {
			n := f.machine("new")
			n.Status = v1beta1.VPSieNodeStatus{}
			attempt(v1beta1.LaunchRefused)(n)
			if err := f.kube.Status().Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
		}, reason.NoReplaceFailed},
		"ReplacementGoes": {func(f *fixture) { f.retire("new", reason.ScaleDownEmpty) }, reason.NoReplaceFailed},
		"OneOfTwoFailed": {func(f *fixture) {
			f.create(intent("other", replaces("old"), attempt(v1beta1.LaunchRefused)))
		}, reason.NoReplaceFailed},
		"SacredPod": {func(f *fixture) { f.create(pod("q", "host-1", sacred)) }, reason.NoScaleDownPodProtected},
		"BarePod":   {func(f *fixture) { f.create(pod("q", "host-1", func(p *corev1.Pod) { p.OwnerReferences = nil })) }, reason.NoScaleDownPodBare},
		"GroupGone": {func(f *fixture) { f.remove(group()) }, reason.NoScaleDownGroupGone},
		"NotReady":  {func(f *fixture) { f.fallIll("host-1") }, reason.NoScaleDownNodeNotReady},
		"NoNode":    {func(f *fixture) { f.remove(node("host-1", "")) }, reason.NoScaleDownNodeNotReady},
		"IsTooSmall": {func(f *fixture) {
			f.remove(group())
			f.create(group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 2 }))
		}, reason.NoScaleDownMinSize},
	} {
		for when, tainted := range map[string]bool{"BeforeTheTaint": false, "AfterTheTaint": true} {
			t.Run(name+"/"+when, func(t *testing.T) {
				f := replacing(t)
				f.create(node("host-2", "m2"))
				if tainted {
					f.step("old", time.Second)
				}
				tc.change(f)
				f.step("old", 6*time.Second)
				f.wantDrained(metav1.ConditionFalse, tc.want)
				f.pass(time.Minute)
				if name == "NoNode" {
					f.create(node("host-1", "m1")) // for the look
				}
				f.wantUntouched(name)
			})
		}
	}
}

// TestReplacementFailsWhileBudgetsBlock has the replacement fall ill and go while the drain is under way.
func TestReplacementFailsWhileBudgetsBlock(t *testing.T) {
	f := replacing(t)
	f.create(node("host-2", "m2"))
	evictions := 0
	f.evict = func(*corev1.Pod) error { evictions++; return apierrors.NewTooManyRequests("budget", 0) }
	f.step("old", time.Second)
	f.step("old", 6*time.Second)
	if evictions != 1 || !isDraining(f.node("host-1")) {
		t.Fatalf("%d evictions, want the drain under way", evictions)
	}
	f.fallIll("host-2")
	f.step("old", 6*time.Second)
	f.wantDrained(metav1.ConditionUnknown, reason.HoldReplacement)
	f.retire("new", reason.RepairNodeNotReady)
	f.step("old", 6*time.Second)
	f.wantDrained(metav1.ConditionFalse, reason.NoReplaceFailed)
	f.wantUntouched("the replacement failed")
	if evictions != 1 {
		t.Errorf("%d evictions, want none while the replacement is ill", evictions)
	}
}

// TestReplacementIsNotAwaitedForEver aborts the drain that began when the replacement was Ready.
func TestReplacementIsNotAwaitedForEver(t *testing.T) {
	f := replacing(t)
	f.create(node("host-2", "m2"))
	f.step("old", time.Second)
	f.remove(node("host-2", ""))
	f.step("old", 6*time.Second)
	f.wantDrained(metav1.ConditionUnknown, reason.HoldReplacement)
	f.step("old", 2*time.Minute)
	f.wantDrained(metav1.ConditionFalse, reason.NoScaleDownDrainFailed)
	f.wantUntouched("the replacement did not come back")
}

// TestReplacementIsKept has the planner's retirement of a machine refused while what it replaces still leaves.
func TestReplacementIsKept(t *testing.T) {
	f := replacing(t)
	f.create(node("host-2", "m2"))
	f.evict = func(*corev1.Pod) error { return apierrors.NewTooManyRequests("budget", 0) }
	f.step("old", time.Second)
	f.step("old", 6*time.Second)
	f.retire("new", reason.ScaleDownEmpty)
	f.step("new", time.Second)
	if n := f.machine("new"); n.Spec.Retirement != nil || condition(n, v1beta1.ConditionDrained).Reason != reason.NoScaleDownReplacement.Condition() {
		t.Errorf("retirement %+v, condition %+v; want it refused", n.Spec.Retirement, condition(n, v1beta1.ConditionDrained))
	}
}

// TestReplacementIsLaunched holds that the machine of a replacement is launched like any other.
func TestReplacementIsLaunched(t *testing.T) {
	f := newFixture(t, group(), intent("new", replaces("old")))
	f.pass(time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("%d machines were requested, want 1", f.cloud.asked)
	}
}

// TestEachReplacementThatIsAwaitedIsOnRecord has two retirements wait one after the other.
func TestEachReplacementThatIsAwaitedIsOnRecord(t *testing.T) {
	f := replacing(t)
	f.create(node("host-2", "m2", notReady))
	f.step("old", time.Second)
	f.step("old", 16*time.Minute)
	f.wantDrained(metav1.ConditionFalse, reason.NoReplaceLate)
	n := f.machine("old")
	replaced(n)
	n.Spec.Retirement.DecisionID = "r2"
	if err := f.kube.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	f.step("old", 10*time.Minute)
	f.judgeCarried()
	held := 0
	for _, code := range f.facts.codes {
		if code == reason.HoldReplacement {
			held++
		}
	}
	if held != 2 {
		t.Errorf("%d waits are on record, want both: %v", held, f.facts.codes)
	}
}

package app_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

func TestNodeIsRegistered(t *testing.T) {
	f := newFixture(t, group(), node("host-1", ""), intent("a", func(n *v1beta1.VPSieNode) {
		n.Status = v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseJoining, Identifier: "m1", Hostname: "Host-1"}
	}))
	f.step("a", time.Second)
	got := f.node("host-1")
	for key, want := range map[string]string{
		"team": "x", v1beta1.LabelVPSieNode: "a", v1beta1.LabelNodeGroup: "default.g", v1beta1.LabelManaged: "true",
		corev1.LabelInstanceTypeStable: "small", corev1.LabelTopologyZone: "dc", v1beta1.LabelOffering: "1",
	} {
		if got.Labels[key] != want {
			t.Errorf("label %s = %q, want %q", key, got.Labels[key], want)
		}
	}
	if got.Spec.ProviderID != "vpsie://m1" || got.Annotations["note"] != "y" || len(got.Spec.Taints) != 2 {
		t.Errorf("providerID %q, annotations %v, taints %v", got.Spec.ProviderID, got.Annotations, got.Spec.Taints)
	}
	if n := f.machine("a"); n.Status.Phase != v1beta1.PhaseReady || n.Status.NodeName != "host-1" {
		t.Errorf("machine %+v, want it Ready", n.Status)
	}
	got.Spec.Taints = got.Spec.Taints[:1] // the agent is there
	if err := f.kube.Update(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	before := f.machine("a").ResourceVersion + f.node("host-1").ResourceVersion
	f.step("a", time.Minute)
	if after := f.machine("a").ResourceVersion + f.node("host-1").ResourceVersion; after != before {
		t.Error("a machine at rest was written again, or its startup taint put back")
	}
}

func TestTemplateThatKubernetesRefuses(t *testing.T) {
	f := newFixture(t, group(), node("host-1", ""), intent("a", joining("m1", "host-1")))
	f.cloud.machines = one("host-1")
	f.patching = func(o client.Object) error {
		if _, is := o.(*corev1.Node); is {
			return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Node").GroupKind(), o.GetName(), nil)
		}
		return nil
	}
	f.step("a", time.Second)
	f.wantDecision(reason.HoldTemplateInvalid)
	if c := condition(f.machine("a"), v1beta1.ConditionRegistered); c.Reason != reason.HoldTemplateInvalid.Condition() {
		t.Errorf("condition %+v, want it to name the template", c)
	}
	f.step("a", 16*time.Minute)
	if r := f.machine("a").Spec.Retirement; r == nil || r.Reason != string(reason.LaunchDeadline) {
		t.Errorf("retirement %+v at the launch deadline", r)
	}
}

func TestNodeThatIsNotOursIsLeftAlone(t *testing.T) {
	tests := map[string]*corev1.Node{
		"OlderThanTheLaunch": node("host-1", "", createdAt(noon.Add(-time.Hour))),
		"OfAnotherMachine":   node("host-1", "m9"),
		"OfAnotherVPSieNode": node("host-1", "", func(n *corev1.Node) { n.Labels = map[string]string{v1beta1.LabelVPSieNode: "b"} }),
	}
	for name, other := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), other, intent("a", func(n *v1beta1.VPSieNode) {
				n.Status = v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseJoining, Identifier: "m1", Hostname: "Host-1"}
			}))
			before := f.node("host-1").ResourceVersion
			f.step("a", time.Second)
			if f.node("host-1").ResourceVersion != before {
				t.Error("the Node was changed")
			}
			f.wantDecision(reason.HoldNodeNotOurs)
			if c := condition(f.machine("a"), v1beta1.ConditionRegistered); c.Reason != reason.HoldNodeNotOurs.Condition() {
				t.Errorf("condition %+v, want it to say that the Node is not ours", c)
			}
		})
	}
}

// life takes a retirement through all its steps and returns what was deleted at VPSie.
func (f *fixture) life(name string) {
	f.t.Helper()
	for range 4 {
		f.step(name, 6*time.Second)
	}
	for range 4 {
		f.pass(11 * time.Second)
		if f.exists(intent(name)) {
			f.step(name, time.Second)
		}
		if f.exists(intent(name)) {
			f.step(name, time.Second)
		}
	}
}

func TestRetirement(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired), intent("b", launched("m2", "other")))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "HOST-1", Size: small}, {Identifier: "m2", Hostname: "other", Size: small}}
	f.step("a", time.Second)
	if n := f.node("host-1"); !n.Spec.Unschedulable || len(n.Spec.Taints) != 1 {
		t.Errorf("node is not cordoned: %+v", n.Spec)
	}
	if !f.exists(pod("p", "host-1")) {
		t.Error("the pod was evicted before the settle time")
	}
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want m1 once", f.cloud.deleted)
	}
	if f.exists(node("host-1", "")) || f.exists(intent("a")) {
		t.Error("the Node or the object is still there")
	}
}

// The process that began the drain died before it could taint the Node, so nobody has seen a taint yet.
func TestTaintSettlesWhoeverBeganTheDrain(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired, func(n *v1beta1.VPSieNode) {
		n.Status.Phase, n.Status.DrainStartedAt = v1beta1.PhaseDraining, new(metav1.NewTime(noon.Add(-30*time.Second)))
	}), intent("b", launched("m2", "other")))
	f.step("a", time.Second)
	f.step("a", time.Second) // the Node changed
	if n := f.node("host-1"); !f.exists(pod("p", "host-1")) || len(n.Spec.Taints) != 1 {
		t.Errorf("the pod was evicted before the settle time; taints %v", n.Spec.Taints)
	}
	f.restart()
	f.step("a", 4*time.Second)
	if !f.exists(pod("p", "host-1")) {
		t.Error("the pod was evicted by a process that does not know for how long the Node is tainted")
	}
	f.step("a", 5*time.Second)
	if f.exists(pod("p", "host-1")) {
		t.Errorf("the pod was not evicted after the settle time: %+v", f.machine("a").Status.Conditions)
	}
}

// TestTaintSettlesAnewThoughItsAnswerIsLost has somebody take the taint off, and the answer to the patch that puts it on again get lost.
func TestTaintSettlesAnewThoughItsAnswerIsLost(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired))
	f.step("a", time.Second)
	taints := f.node("host-1").Spec.Taints
	f.clock.Step(4 * time.Second)
	change := func(taints []corev1.Taint) {
		n := f.node("host-1")
		n.Spec.Taints = taints
		if err := f.kube.Update(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	change(nil)
	f.patching = func(o client.Object) error {
		if _, ok := o.(*corev1.Node); !ok {
			return nil
		}
		change(taints)
		return errors.New("connection reset by peer")
	}
	if _, err := f.nodes.Reconcile(t.Context(), client.ObjectKey{Namespace: "default", Name: "a"}); err == nil {
		t.Fatal("the lost answer was not noticed")
	}
	f.patching = nil
	f.step("a", 2*time.Second)
	if !f.exists(pod("p", "host-1")) {
		t.Fatal("the pod was evicted 2 s after the taint was put on again")
	}
	f.step("a", 5*time.Second)
	if f.exists(pod("p", "host-1")) {
		t.Errorf("the pod was not evicted after the settle time: %+v", f.machine("a").Status.Conditions)
	}
}

// Something takes the taint off whenever it is put on.
func TestDrainWithoutTaintIsAborted(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired))
	for range 100 {
		if f.machine("a").Spec.Retirement == nil {
			break
		}
		f.step("a", 10*time.Second)
		n := f.node("host-1")
		n.Spec.Taints = nil
		if err := f.kube.Update(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.machine("a"); n.Spec.Retirement != nil || n.Status.Phase != v1beta1.PhaseReady || !f.exists(pod("p", "host-1")) {
		t.Errorf("retirement %+v, phase %s, want it withdrawn and the pod left alone", n.Spec.Retirement, n.Status.Phase)
	}
}

func TestAbsenceIsConfirmedTwice(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	for range 3 {
		f.step("a", 6*time.Second)
	}
	f.pass(time.Second) // deletes
	f.pass(11 * time.Second)
	f.step("a", time.Second)
	if !f.exists(intent("a")) || !f.exists(node("host-1", "")) {
		t.Fatal("one listing without the machine was taken for proof")
	}
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.pass(11 * time.Second)
	if n := f.machine("a"); n.Status.AbsentSightings != 0 {
		t.Errorf("%d sightings although the machine is back in the listing", n.Status.AbsentSightings)
	}
}

// TestBlankListingProvesNoAbsence has VPSie list nothing while a machine that it was asked to delete lives on.
func TestBlankListingProvesNoAbsence(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.cloud.deletionHangs, f.cloud.blank = true, true
	f.life("a")
	if !f.exists(intent("a")) || !f.exists(node("host-1", "")) {
		t.Fatal("a blank listing was taken for the machine's absence")
	}
	f.cloud.deletionHangs = false
	f.life("a")
	f.life("a")
	if f.exists(intent("a")) || f.exists(node("host-1", "")) {
		t.Errorf("VPSie knows the machine no longer, and it is kept: %v", condition(f.machine("a"), v1beta1.ConditionDeleted))
	}
}

// TestFailingDeletionIsToldOnce has VPSie fail the deletion of a machine again and again: the machine stays, its condition says why, and
// that is on record once.
func TestFailingDeletionIsToldOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		failure app.Failure
		code    reason.Code
	}{
		"Refused":      {app.Refused, reason.HoldRefused},
		"NotFound":     {app.NotFound, reason.HoldClusterUnknown},
		"Unauthorized": {app.Unauthorized, reason.HoldUnauthorized},
		"NotMade":      {app.NotMade, reason.HoldAPIUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
			f.cloud.machines = one("host-1")
			f.cloud.refuses = &app.CloudError{Failure: tc.failure, Message: "no"}
			f.life("a")
			for range 5 {
				f.pass(61 * time.Second)
			}
			f.tell()
			if c := condition(f.machine("a"), v1beta1.ConditionDeleted); c.Reason != tc.code.Condition() {
				t.Errorf("condition %+v, want %s", c, tc.code)
			}
			if got := slices.DeleteFunc(slices.Clone(f.facts.codes), func(c reason.Code) bool { return c != tc.code }); len(got) != 1 {
				t.Errorf("%s is on record %d times, among %v", tc.code, len(got), f.facts.codes)
			}
		})
	}
}

// TestListedMachineIsNotGone has VPSie list a machine and answer that it does not know it, as it does where the call for its deletion
// is not the right one.
func TestListedMachineIsNotGone(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines, f.cloud.denies = one("host-1"), true
	f.life("a")
	for range 8 {
		f.pass(61 * time.Second)
		f.step("a", time.Second)
	}
	n := f.machine("a")
	if n.Status.AbsentSightings != 0 || !f.exists(node("host-1", "")) {
		t.Errorf("%d sightings of the absence of a machine that is listed", n.Status.AbsentSightings)
	}
	if c := condition(n, v1beta1.ConditionDeleted); c.Reason != reason.HoldContradiction.Condition() {
		t.Errorf("condition %+v, want it to say that VPSie contradicts itself", c)
	}
}

func TestMachineUnderAnotherNameIsNotDeleted(t *testing.T) {
	f := newFixture(t, group(), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "somebody-elses", Size: small}}
	f.life("a")
	if len(f.cloud.deleted) > 0 {
		t.Errorf("deleted %v", f.cloud.deleted)
	}
	f.wantDecision(reason.HoldIdentityMismatch)
	if c := condition(f.machine("a"), v1beta1.ConditionDeleted); c.Reason != reason.HoldIdentityMismatch.Condition() {
		t.Errorf("condition %+v", c)
	}
}

func TestPlannersRetirementIsRefused(t *testing.T) {
	cpu := func(amount string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(amount)
		}
	}
	tests := map[string]struct {
		why   string
		group *v1beta1.NodeGroup
		pod   *corev1.Pod
		// other is the Node of another machine of the group.
		other *corev1.Node
		want  reason.Code
	}{
		"ProtectedPodCameMeanwhile": {
			why:   "what the planner saw may have changed before the taint",
			group: group(), pod: pod("p", "host-1", func(p *corev1.Pod) {
				p.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
			}), want: reason.NoScaleDownPodProtected,
		},
		"BarePodCameMeanwhile":    {group: group(), pod: pod("p", "host-1", func(p *corev1.Pod) { p.OwnerReferences = nil }), want: reason.NoScaleDownPodBare},
		"NodeFilledUp":            {group: group(), pod: pod("p", "host-1", cpu("3")), want: reason.NoScaleDownUtilization},
		"GroupWasPaused":          {group: group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }), want: reason.NoScaleDownGroupPaused},
		"ScaleDownWasSwitchedOff": {group: group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.Enabled = new(false) }), want: reason.NoScaleDownDisabled},
		"UnjudgedPodCameMeanwhile": {group: group(), pod: pod("p", "host-1", func(p *corev1.Pod) {
			p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}}
		}), want: reason.NoScaleDownPodUnjudged},
		"MinimumWasRaised": {group: group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }), want: reason.NoScaleDownMinSize},
		"OtherNodeFailed": {
			why:   "the machine that stays does not work any more",
			group: group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }), want: reason.NoScaleDownMinSize,
			other: node("host-2", "m2", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }),
		},
		"GroupIsGone": {group: group(func(g *v1beta1.NodeGroup) { g.Name = "other" }), want: reason.NoScaleDownGroupGone},
	}
	for name, tc := range tests {
		for when, tainted := range map[string]bool{"BeforeTheTaint": false, "AfterTheTaint": true} {
			t.Run(name+"/"+when, func(t *testing.T) {
				f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
				f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
				if tc.other != nil {
					f.create(tc.other.DeepCopy())
					f.create(intent("b", launched("m2", "host-2")))
					f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m2", Hostname: "host-2", Size: small})
				}
				if tainted {
					f.step("a", time.Second)
				}
				f.remove(group())
				f.create(tc.group.DeepCopy())
				if tc.pod != nil {
					f.create(tc.pod.DeepCopy())
				}
				var closed bool // for a moment, even
				f.patching = func(o client.Object) error {
					n, is := o.(*corev1.Node)
					closed = closed || is && (n.Spec.Unschedulable || isDraining(n))
					return nil
				}
				f.step("a", 6*time.Second)
				n := f.machine("a")
				if n.Spec.Retirement != nil || n.Status.Phase != v1beta1.PhaseReady || n.Status.DrainStartedAt != nil || n.Status.DrainFailedAt == nil || n.Status.DrainFailure == "" {
					t.Errorf("retirement goes on, or the planner is not told: %+v (%s)", n.Status, tc.why)
				}
				if c := condition(n, v1beta1.ConditionDrained); c.Status != metav1.ConditionFalse || c.Reason != tc.want.Condition() {
					t.Errorf("condition %+v, want reason %s", c, tc.want.Condition())
				}
				if host := f.node("host-1"); closed || host.Spec.Unschedulable || isDraining(host) {
					t.Errorf("the node was closed: %v, or stays so: %+v", closed, host.Spec)
				}
				if tc.pod != nil && !f.exists(pod("p", "host-1")) {
					t.Error("the pod was evicted")
				}
				f.pass(time.Minute)
				if len(f.cloud.deleted) > 0 {
					t.Errorf("deleted %v", f.cloud.deleted)
				}
			})
		}
	}
}

func isDraining(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1beta1.TaintDraining })
}

// TestPodsThatThePlannerIgnoresStopNoDrain has pods on the Node that the planner does not look at when it decides that the Node goes.
func TestPodsThatThePlannerIgnoresStopNoDrain(t *testing.T) {
	protected := map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
	tests := map[string]struct {
		pod  *corev1.Pod
		stay bool
	}{
		"BelowTheCutOff":     {pod: pod("p", "host-1", func(p *corev1.Pod) { p.Spec.Priority, p.Annotations = new(int32(-11)), protected })},
		"BareBelowTheCutOff": {pod: pod("p", "host-1", func(p *corev1.Pod) { p.Spec.Priority, p.OwnerReferences = new(int32(-11)), nil })},
		"FillsTheNodeBelowTheCutOff": {pod: pod("p", "host-1", func(p *corev1.Pod) {
			p.Spec.Priority = new(int32(-11))
			p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("3")
		})},
		"AnnotatedAsADaemonSets": {stay: true, pod: pod("p", "host-1", func(p *corev1.Pod) {
			p.OwnerReferences, p.Annotations = nil, map[string]string{"cluster-autoscaler.kubernetes.io/daemonset-pod": "true"}
		})},
		"LabelledAsADaemonSets": {stay: true, pod: pod("p", "host-1", func(p *corev1.Pod) {
			p.Labels, p.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/daemonset-pod": "true"}, protected
		})},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), node("host-1", "m1"), tc.pod, intent("a", launched("m1", "host-1"), retired))
			f.cloud.machines = one("host-1")
			f.life("a")
			if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(intent("a")) {
				t.Errorf("deleted %v, object there: %v; want the machine to go", f.cloud.deleted, f.exists(intent("a")))
			}
			if f.exists(pod("p", "host-1")) != tc.stay {
				t.Errorf("pod there: %v, want %v", !tc.stay, tc.stay)
			}
		})
	}
}

// TestCutOffIsTheDeciders: a protected pod keeps its machine unless whoever decided was told to ignore its priority.
func TestCutOffIsTheDeciders(t *testing.T) {
	for name, tc := range map[string]struct {
		cutoff, priority int32
		goes             bool
	}{
		"Higher": {cutoff: 100, priority: 99, goes: true},
		"AtIt":   {cutoff: 100, priority: 100},
		"Lower":  {cutoff: -20, priority: -11},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod("p", "host-1", func(p *corev1.Pod) {
				p.Spec.Priority, p.Annotations = new(tc.priority), map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
			})
			cutoff := func(n *v1beta1.VPSieNode) { n.Spec.Retirement.PriorityCutoff = new(tc.cutoff) }
			f := newFixture(t, group(), node("host-1", "m1"), p, intent("a", launched("m1", "host-1"), retired, cutoff))
			f.cloud.machines = one("host-1")
			f.life("a")
			if goes := len(f.cloud.deleted) > 0; goes != tc.goes {
				t.Errorf("the machine goes: %v, want %v", goes, tc.goes)
			}
		})
	}
}

// TestBudgetBindsBelowTheCutOff keeps a machine whose pod of low priority must not be evicted now.
func TestBudgetBindsBelowTheCutOff(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1", func(p *corev1.Pod) { p.Spec.Priority = new(int32(-11)) }), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = one("host-1")
	f.evict = func(*corev1.Pod) error { return apierrors.NewTooManyRequests("budget", 0) }
	f.life("a")
	if len(f.cloud.deleted) > 0 {
		t.Error("the machine was deleted with a pod on it that a budget keeps")
	}
}

func TestBlockedDrainIsAborted(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired))
	f.evict = func(*corev1.Pod) error {
		return apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
	}
	f.step("a", time.Second)
	f.step("a", 6*time.Second)
	f.wantDecision(reason.HoldEvictionBlocked)
	if c := condition(f.machine("a"), v1beta1.ConditionDrained); c.Reason != reason.HoldEvictionBlocked.Condition() {
		t.Errorf("condition %+v, want it to name what blocks", c)
	}
	f.step("a", 2*time.Minute)
	n := f.machine("a")
	if n.Spec.Retirement != nil || n.Status.Phase != v1beta1.PhaseReady || f.node("host-1").Spec.Unschedulable {
		t.Errorf("drain was not aborted: %+v", n)
	}
}

func TestPersonsDeletionWaitsForTheBudget(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1")))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	blocked := true
	f.evict = func(p *corev1.Pod) error {
		if blocked {
			return apierrors.NewTooManyRequests("budget", 0)
		}
		return f.kube.Delete(t.Context(), p)
	}
	if err := f.kube.Delete(t.Context(), f.machine("a")); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		f.step("a", time.Minute)
		f.pass(time.Minute)
	}
	if len(f.cloud.deleted) > 0 || !f.exists(pod("p", "")) {
		t.Fatal("the budget was passed over")
	}
	blocked = false
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(intent("a")) {
		t.Errorf("deleted %v, object exists: %v", f.cloud.deleted, f.exists(intent("a")))
	}
}

func TestPersonsCordonStays(t *testing.T) {
	f := newFixture(t, group(), intent("a", launched("m1", "host-1"), retired),
		node("host-1", "m1", func(n *corev1.Node) { n.Spec.Unschedulable = true }))
	f.step("a", time.Second)
	f.remove(group())
	f.create(group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }))
	f.step("a", 6*time.Second)
	if n := f.node("host-1"); !n.Spec.Unschedulable || len(n.Spec.Taints) > 0 || f.machine("a").Spec.Retirement != nil {
		t.Errorf("after the refusal the node is %+v, want a person's cordon and no taint of ours", n.Spec)
	}
}

func TestIntentWithoutMachineGoesAtOnce(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	if err := f.kube.Delete(t.Context(), f.machine("a")); err != nil {
		t.Fatal(err)
	}
	f.step("a", time.Second)
	if f.exists(intent("a")) || f.cloud.asked > 0 {
		t.Error("an intent for which nothing was asked keeps its finalizer")
	}
}

// TestPodThatDoesNotTerminateHoldsAPersonsDeletion has a person delete a machine with a pod that was evicted and stays: that is said and on record.
func TestPodThatDoesNotTerminateHoldsAPersonsDeletion(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), pod("p", "host-1"), intent("a", launched("m1", "host-1")))
	f.cloud.machines = one("host-1")
	f.evict = func(*corev1.Pod) error { return nil }
	f.remove(f.machine("a"))
	for range 20 {
		f.step("a", time.Minute)
	}
	f.wantDecision(reason.HoldPodTerminating)
	if len(f.cloud.deleted) > 0 {
		t.Error("the pod was passed over")
	}
}

func TestIntentWithOpenRequestIsNotForgotten(t *testing.T) {
	f := newFixture(t, group(), intent("a", attempt(v1beta1.LaunchUnknown)))
	if err := f.kube.Delete(t.Context(), f.machine("a")); err != nil {
		t.Fatal(err)
	}
	f.step("a", time.Second)
	if !f.exists(intent("a")) {
		t.Fatal("a machine may have been launched, and nothing would know of it")
	}
	f.wantDecision(reason.HoldLaunchOutcome)
	f.cloud.arrive()
	f.pass(2 * time.Second)
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.exists(intent("a")) {
		t.Errorf("deleted %v, object exists: %v", f.cloud.deleted, f.exists(intent("a")))
	}
}

func TestMachineThatNeverJoinsIsReplaced(t *testing.T) {
	f := newFixture(t, group(), intent("a", func(n *v1beta1.VPSieNode) {
		n.Status = v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseJoining, Identifier: "m1", Hostname: "Host-1",
			Launches: []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon), Outcome: v1beta1.LaunchAccepted}}}
	}))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "Host-1", Size: small}}
	f.step("a", time.Minute)
	if f.machine("a").Spec.Retirement != nil {
		t.Fatal("retired before the launch deadline")
	}
	f.step("a", 15*time.Minute)
	f.life("a")
	n := f.machine("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || n.Status.Phase != v1beta1.PhaseFailed || n.Status.Identifier != "" || n.Spec.Retirement != nil {
		t.Errorf("deleted %v, object %+v; want it to stay as a failed launch, from which the backoff is derived", f.cloud.deleted, n.Status)
	}
	f.step("a", time.Hour)
	f.step("a", time.Second)
	if f.exists(intent("a")) {
		t.Error("the failed launch stays for ever")
	}
}

func TestPausedGroupKeepsAMachineThatDoesNotJoin(t *testing.T) {
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }), intent("a", func(n *v1beta1.VPSieNode) {
		n.Status = v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseJoining, Identifier: "m1", Hostname: "Host-1"}
	}))
	f.step("a", time.Hour)
	if f.machine("a").Spec.Retirement != nil {
		t.Error("a paused group's machine was retired")
	}
}

func TestMachineBehindAForeignNodeIsNotDeleted(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "somebody-elses"), pod("p", "host-1"), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.life("a")
	if len(f.cloud.deleted) > 0 || !f.exists(pod("p", "")) {
		t.Errorf("deleted %v although nobody knows what runs on the machine", f.cloud.deleted)
	}
	f.wantDecision(reason.HoldNodeNotOurs)
	if c := condition(f.machine("a"), v1beta1.ConditionDrained); c.Reason != reason.HoldNodeNotOurs.Condition() {
		t.Errorf("condition %+v", c)
	}
}

func TestMachineMissingFromAListingIsDeletedAllTheSame(t *testing.T) {
	f := newFixture(t, group(), intent("a", launched("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	f.cloud.blank = true
	for range 3 {
		f.step("a", 6*time.Second)
	}
	f.pass(time.Second)
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) || f.machine("a").Status.AbsentSightings != 0 {
		t.Errorf("deleted %v, %d sightings; a listing that lags must not pass for a deletion", f.cloud.deleted, f.machine("a").Status.AbsentSightings)
	}
}

func TestPodsOfADeadKubeletHoldNobodyUp(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }),
		pod("p", "host-1", func(p *corev1.Pod) {
			p.Finalizers, p.DeletionTimestamp = []string{"test/kept"}, new(metav1.NewTime(noon))
		}), intent("a", launched("m1", "host-1")))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	if err := f.kube.Delete(t.Context(), f.machine("a")); err != nil {
		t.Fatal(err)
	}
	f.step("a", time.Second)
	f.step("a", 30*time.Second)
	if f.machine("a").Status.DeleteRequestedAt != nil {
		t.Fatal("a pod that was told to end a moment ago was not waited for")
	}
	f.life("a")
	f.step("a", time.Minute)
	f.life("a")
	if !slices.Equal(f.cloud.deleted, []string{"m1"}) {
		t.Errorf("deleted %v, want m1", f.cloud.deleted)
	}
}

func TestFinalizerIsPutBack(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), func(n *v1beta1.VPSieNode) { n.Finalizers = nil }))
	f.step("a", time.Second)
	if got := f.machine("a").Finalizers; !slices.Contains(got, v1beta1.FinalizerMachine) {
		t.Errorf("finalizers %v", got)
	}
}

// TestRefusalIsOnRecordBeforeTheWithdrawal has a provisioner die between the two: the next withdraws what was refused, and decides nothing again.
func TestRefusalIsOnRecordBeforeTheWithdrawal(t *testing.T) {
	tests := map[string]struct {
		pod   *corev1.Pod
		steps []time.Duration
		want  reason.Code
	}{
		"BeforeTheTaint": {pod("p", "host-1", func(p *corev1.Pod) { p.OwnerReferences = nil }), []time.Duration{time.Second}, reason.NoScaleDownPodBare},
		"AfterTheTaint":  {pod("p", "host-1"), []time.Duration{time.Second, 6 * time.Second, 2 * time.Minute}, reason.NoScaleDownDrainFailed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), node("host-1", "m1"), tc.pod, intent("a", launched("m1", "host-1"), retired))
			f.evict = func(*corev1.Pod) error { return apierrors.NewTooManyRequests("no room in the budget", 0) }
			died := errors.New("died")
			f.patching = func(o client.Object) error {
				if n, ok := o.(*v1beta1.VPSieNode); ok && n.Spec.Retirement == nil {
					return died
				}
				return nil
			}
			var err error
			for _, wait := range tc.steps {
				f.clock.Step(wait)
				_, err = f.nodes.Reconcile(t.Context(), client.ObjectKeyFromObject(f.machine("a")))
			}
			if !errors.Is(err, died) {
				t.Fatalf("the retirement was not about to be withdrawn: %v", err)
			}
			f.wantDecision(tc.want)
			f.patching = nil
			f.restart()
			f.step("a", time.Second)
			f.step("a", time.Second)
			f.tell()
			n := f.machine("a")
			if n.Spec.Retirement != nil || n.Status.Phase != v1beta1.PhaseReady || f.node("host-1").Spec.Unschedulable {
				t.Errorf("the machine is still on its way out: %+v", n)
			}
			if got := len(slices.DeleteFunc(slices.Clone(f.facts.codes), func(c reason.Code) bool { return c != tc.want })); got != 1 {
				t.Errorf("decisions %v, want %s once", f.facts.codes, tc.want)
			}
			if last := f.facts.decisions[len(f.facts.decisions)-1]; last.GetCause() != "r" {
				t.Errorf("the record follows from %q, want the retirement", last.GetCause())
			}
			before := len(f.facts.codes)
			retired(n) // somebody asks again, by the same id
			if err := f.kube.Update(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			f.step("a", time.Second)
			f.tell()
			if n := f.machine("a"); n.Spec.Retirement == nil && len(f.facts.codes) == before {
				t.Error("a new retirement was withdrawn without a word")
			}
		})
	}
}

// TestRetirementIsWithdrawnBeforeTheTaint holds that nothing of a hold stays that nobody is held by any more.
func TestRetirementIsWithdrawnBeforeTheTaint(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), intent("a", launched("m1", "host-1"), retired), pause())
	f.step("a", time.Second)
	if c := condition(f.machine("a"), v1beta1.ConditionDrained); c.Reason != reason.HoldPaused.Condition() {
		t.Fatalf("condition %+v, want the retirement held by the pause", c)
	}
	n := f.machine("a")
	n.Spec.Retirement = nil
	if err := f.kube.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	f.step("a", time.Second)
	f.tell()
	n = f.machine("a")
	if c := condition(n, v1beta1.ConditionDrained); c.Status != metav1.ConditionFalse || len(n.Status.Holds) > 0 || n.Status.DrainHeldAt != nil {
		t.Errorf("condition %+v, machine %+v; want no trace of the hold", c, n.Status)
	}
	f.wantDecision(reason.NoScaleDownWithdrawn)
	before := n.ResourceVersion
	f.step("a", time.Minute)
	if f.machine("a").ResourceVersion != before {
		t.Error("the withdrawal was written again")
	}
}

// TestNodeThatRegistersAgainIsShown has a Node refuse the template once, when it came back.
func TestNodeThatRegistersAgainIsShown(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), intent("a", launched("m1", "host-1")))
	f.step("a", time.Second)
	f.remove(f.node("host-1"))
	f.create(node("host-1", ""))
	f.patching = func(o client.Object) error {
		if _, is := o.(*corev1.Node); is {
			return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Node").GroupKind(), o.GetName(), nil)
		}
		return nil
	}
	f.step("a", time.Second)
	if c := condition(f.machine("a"), v1beta1.ConditionRegistered); c.Reason != reason.HoldTemplateInvalid.Condition() {
		t.Fatalf("condition %+v", c)
	}
	f.patching = nil
	f.step("a", time.Second)
	if n := f.machine("a"); condition(n, v1beta1.ConditionRegistered).Status != metav1.ConditionTrue || len(n.Status.Holds) > 0 {
		t.Errorf("machine %+v, want it Registered", n.Status)
	}
}

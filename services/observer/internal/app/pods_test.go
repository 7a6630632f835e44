package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDelayedPodsWaitLater(t *testing.T) {
	const annotation = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"
	tests := map[string]struct {
		why   string
		delay string
		after time.Duration // since the pod was made
		want  int
	}{
		"Early":      {delay: "600s", after: 599 * time.Second, want: 0},
		"InTime":     {delay: "600s", after: 600 * time.Second, want: 1},
		"Unreadable": {why: "a mistake must not keep pods waiting for ever", delay: "soon", after: 0, want: 1},
		"Negative":   {delay: "-5s", after: 0, want: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := pod("a", unschedulable, annotated(annotation, tc.delay))
			l := ledgerOf(t, p)
			got := sumUp(l.Contents(p.CreationTimestamp.Add(tc.after), silent))
			if got.Pending != tc.want || got.Arriving != 0 {
				t.Errorf("%d pods wait and %d arrive, want %d and none; %s", got.Pending, got.Arriving, tc.want, tc.why)
			}
		})
	}
	l := ledgerOf(t, pod("a", annotated(annotation, "1h")), pod("b", bound("n1"), annotated(annotation, "1h")))
	if diff := cmp.Diff(sum{Bound: map[string]int{"n1": 1}, Shapes: 1}, sumUp(l.Contents(noon, silent))); diff != "" {
		t.Errorf("a delayed pod arrives, or one that is bound takes no room (-want +got):\n%s", diff)
	}
}

func TestProtectionForATimeEnds(t *testing.T) {
	p := pod("a", bound("n1"), annotated("karpenter.sh/do-not-disrupt", "4h"), func(p *corev1.Pod) { p.Status.StartTime = &metav1.Time{Time: noon} })
	for after, protected := range map[time.Duration]bool{0: true, 4*time.Hour - time.Second: true, 4 * time.Hour: false} {
		l := ledgerOf(t, p)
		l.Contents(noon, silent)
		for id, s := range l.Contents(noon.Add(after), silent).Shapes {
			if (s.GetProtection() != "") != protected {
				t.Errorf("%s after its start the shape %s has protection %q, want one: %t", after, id, s.GetProtection(), protected)
			}
		}
	}
}

func TestPodsCalledADaemonSetsAreOnes(t *testing.T) {
	local := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
	s := shapes(t, ledgerOf(t,
		pod("a", bound("n1"), local, annotated("cluster-autoscaler.kubernetes.io/daemonset-pod", "true")),
		pod("b", bound("n1"), local, asks("200m")),
	))
	if s[100].GetOwnerKind() != "DaemonSet" || s[100].GetProtection() != "" {
		t.Errorf("a pod that is called a DaemonSet's has owner %q and protection %q", s[100].GetOwnerKind(), s[100].GetProtection())
	}
	if s[200].GetOwnerKind() != "ReplicaSet" || s[200].GetProtection() == "" {
		t.Errorf("another pod has owner %q and protection %q", s[200].GetOwnerKind(), s[200].GetProtection())
	}
}

func budget(key, value string) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1},
	}
}

func TestBudgetsArePartOfTheShape(t *testing.T) {
	elsewhere := pod("c", bound("n1"), asks("300m"), func(p *corev1.Pod) { p.Namespace = "elsewhere" })
	l := ledgerOf(t, pod("a", bound("n1")), pod("b", bound("n1"), asks("200m"), labelled("app", "db")), elsewhere)
	check := func(what string, want ...int64) {
		t.Helper()
		covered := map[int64]bool{}
		for _, cpu := range want {
			covered[cpu] = true
		}
		for cpu, s := range shapes(t, l) {
			if got := len(s.GetBudgets()) == 1 && s.GetBudgets()[0] == "default/web"; got != covered[cpu] {
				t.Errorf("%s: what requests %dm has the budgets %v", what, cpu, s.GetBudgets())
			}
			if len(s.GetLabels()) > 0 {
				t.Errorf("%s: a budget is no reason for labels %v", what, s.GetLabels())
			}
		}
	}
	check("no budget")
	must(t, l.SetBudget(budget("app", "web")))
	check("a budget for web", 100)
	if got := l.Contents(noon, silent).Budgets["default/web"]; got != 1 {
		t.Errorf("budget allows %d disruptions, want 1", got)
	}
	must(t, l.SetPod(pod("a", bound("n1"))))
	check("the pod again", 100)
	must(t, l.SetBudget(budget("app", "db")))
	check("now for db", 200)
	must(t, l.DeleteBudget("default", "web"))
	check("no budget any more")
	if got := l.Contents(noon, silent).Budgets; len(got) != 0 {
		t.Errorf("budgets %v after its deletion", got)
	}
}

func TestPodThatCannotBeWrittenIsLeftOut(t *testing.T) {
	l := ledgerOf(t, pod("good", bound("n1")))
	err := l.SetPod(pod("bad", bound("n1"), func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "\xff"} }))
	if err == nil || !strings.Contains(err.Error(), "default/bad") {
		t.Errorf("the error is %v, and does not name the pod", err)
	}
	if diff := cmp.Diff(sum{Bound: map[string]int{"n1": 1}, Shapes: 1}, sumUp(l.Contents(noon, silent))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPodThatTheSchedulerTriesAgainWaits(t *testing.T) {
	failed := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulerError}}
	}
	l := ledgerOf(t, pod("a", failed), pod("b", failed, func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }))
	if got := sumUp(l.Contents(noon, silent)); got.Pending != 1 {
		t.Errorf("%d pods wait, want the one without a gate", got.Pending)
	}
}

func TestBudgetsHoldNoPodThatTheEvictionAPILetsGo(t *testing.T) {
	always := policyv1.AlwaysAllow
	tests := map[string]struct {
		policy           *policyv1.UnhealthyPodEvictionPolicyType
		current, desired int32
		ready            corev1.ConditionStatus
		budgets          int
		want             int
	}{
		"Ready":          {&always, 0, 1, corev1.ConditionTrue, 1, 1},
		"AlwaysAllow":    {&always, 0, 1, corev1.ConditionFalse, 1, 0},
		"TooFewHealthy":  {nil, 0, 1, corev1.ConditionFalse, 1, 1},
		"EnoughHealthy":  {nil, 1, 1, corev1.ConditionFalse, 1, 0},
		"NobodyKnows":    {nil, 0, 0, corev1.ConditionFalse, 1, 1},
		"SeveralBudgets": {&always, 0, 1, corev1.ConditionFalse, 2, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := ledgerOf(t, pod("a", bound("n1"), func(p *corev1.Pod) {
				p.Status.Phase = corev1.PodRunning
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: tc.ready}}
			}))
			for i := range tc.budgets {
				b := budget("app", "web")
				b.Name = "b" + string(rune('0'+i))
				b.Spec.UnhealthyPodEvictionPolicy = tc.policy
				must(t, l.SetBudget(b)) // its controller has not looked yet
				b = b.DeepCopy()
				b.Status.CurrentHealthy, b.Status.DesiredHealthy = tc.current, tc.desired
				must(t, l.SetBudget(b))
			}
			for _, s := range shapes(t, l) {
				if got := len(s.GetBudgets()); got != tc.want {
					t.Errorf("the pod is held by %v, want %d", s.GetBudgets(), tc.want)
				}
			}
		})
	}
}

package app_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// carrier is a pod of 100m with labels that others may refer to.
func carrier() *corev1.Pod {
	return pod("carrier", bound("n1"), labelled("tier", "front"), labelled("statefulset.kubernetes.io/pod-name", "carrier"))
}

func TestLabelsBelongToShapesWhenASelectorRefersToThem(t *testing.T) {
	preferred := []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: term("tier", "x")}}
	spread := func(c corev1.TopologySpreadConstraint) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{c} }
	}
	affine := func(a corev1.Affinity) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.Affinity = &a } }
	tests := map[string]struct {
		why   string
		other func(*corev1.Pod)
		want  map[string]string
	}{
		"NoSelector": {
			why: "identity labels would make every pod a shape of its own", other: func(*corev1.Pod) {}, want: nil,
		},
		"RequiredAntiAffinity": {other: avoids("tier", "x"), want: map[string]string{"tier": "front"}},
		"PreferredAntiAffinity": {
			other: affine(corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred}}),
			want:  map[string]string{"tier": "front"},
		},
		"RequiredAffinity": {
			other: affine(corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term("tier", "x")}}}),
			want:  map[string]string{"tier": "front"},
		},
		"PreferredAffinity": {
			other: affine(corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred}}),
			want:  map[string]string{"tier": "front"},
		},
		"Expression": {
			other: spread(corev1.TopologySpreadConstraint{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpDoesNotExist}},
			}}),
			want: map[string]string{"tier": "front"},
		},
		"KeyToMatch": {
			why: "it selects by the value that the pod with the constraint has",
			other: spread(corev1.TopologySpreadConstraint{
				TopologyKey: corev1.LabelHostname, MatchLabelKeys: []string{"pod-template-hash"},
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			}),
			want: map[string]string{"app": "web", "pod-template-hash": "carrier"},
		},
		"OtherNamespace": {
			why:   "a term may select namespaces",
			other: func(p *corev1.Pod) { p.Namespace = "elsewhere"; avoids("tier", "x")(p) }, want: map[string]string{"tier": "front"},
		},
		"EverySelector": {
			why:   "one that selects every pod looks at no label",
			other: spread(corev1.TopologySpreadConstraint{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{}}),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			first, second := carrier(), pod("other", asks("200m"), unschedulable, tc.other)
			for order, pods := range map[string][]*corev1.Pod{"before": {first, second}, "after": {second, first}} {
				got := shapes(t, ledgerOf(t, pods...))[100].GetLabels()
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("labels of a pod that came %s the selector (-want +got):\n%s%s", order, diff, tc.why)
				}
			}
		})
	}
}

func TestPodThatRefersToItself(t *testing.T) {
	l := ledgerOf(t, pod("a", bound("n1"), avoids("app", "web")))
	if diff := cmp.Diff(map[string]string{"app": "web"}, shapes(t, l)[100].GetLabels()); diff != "" {
		t.Errorf("its labels (-want +got):\n%s", diff)
	}
}

func TestDaemonSetsReferToLabelsAndCarryThem(t *testing.T) {
	l := ledgerOf(t, carrier())
	set := daemonSet("agent")
	set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{}
	set.Spec.Template.Spec.Affinity = pod("x", avoids("app", "web")).Spec.Affinity
	must(t, l.SetDaemonSet(set))
	for millicores, s := range shapes(t, l) {
		if diff := cmp.Diff(map[string]string{"app": "web"}, s.GetLabels()); diff != "" {
			t.Errorf("labels of what requests %dm (-want +got):\n%s", millicores, diff)
		}
	}
	must(t, l.DeleteDaemonSet("default/agent"))
	if c := l.Contents(noon, silent); len(c.DaemonSets) != 0 || len(c.Shapes) != 1 {
		t.Errorf("after its deletion there are %d DaemonSets and %d shapes", len(c.DaemonSets), len(c.Shapes))
	}
}

func TestLabelsLeaveSomeTimeAfterTheirSelector(t *testing.T) {
	l := ledgerOf(t, carrier(), pod("other", asks("200m"), bound("n1"), avoids("tier", "x")))
	has := func(after time.Duration) bool {
		for _, s := range l.Contents(noon.Add(after), silent).Shapes {
			if s.GetLabels()["tier"] != "" {
				return true
			}
		}
		return false
	}
	steps := []struct {
		after time.Duration
		do    func()
		want  bool
	}{
		{after: 0, want: true},
		{after: time.Hour, want: true},
		{after: time.Hour, do: func() { must(t, l.DeletePod("other")) }, want: true},
		{after: time.Hour + 9*time.Minute, want: true},
		{after: time.Hour + 9*time.Minute, do: func() { must(t, l.SetPod(pod("again", asks("200m"), bound("n1"), avoids("tier", "x")))) }, want: true},
		{after: 2 * time.Hour, do: func() { must(t, l.DeletePod("again")) }, want: true},
		{after: 2*time.Hour + 9*time.Minute, want: true},
		{after: 2*time.Hour + 10*time.Minute, want: false},
		{after: 2*time.Hour + 10*time.Minute, do: func() { must(t, l.SetPod(pod("third", asks("200m"), bound("n1"), avoids("tier", "x")))) }, want: true},
	}
	for i, step := range steps {
		if step.do != nil {
			step.do()
		}
		if got := has(step.after); got != step.want {
			t.Errorf("step %d, %s later: the label is part of the shape: %v, want %v", i, step.after, got, step.want)
		}
	}
}

func TestDefaultSpread(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web", "pod-template-hash": "a"}}
	rs := replicaSet(1)
	rs.Spec.Selector = selector
	stateful := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{UID: "rs"}, Spec: appsv1.StatefulSetSpec{Selector: selector}}
	everything := replicaSet(1)
	everything.Spec.Selector = &metav1.LabelSelector{}
	ofReplicaSet := func(set *appsv1.ReplicaSet) func(l *app.Ledger) error {
		return func(l *app.Ledger) error { return l.SetReplicaSet(set, noon) }
	}
	tests := map[string]struct {
		why    string
		owner  func(*app.Ledger) error
		pod    *corev1.Pod
		config app.Config
		want   int // constraints
	}{
		"ReplicaSet":   {owner: ofReplicaSet(rs), pod: pod("a"), config: app.Config{DefaultSpread: true}, want: 2},
		"StatefulSet":  {owner: func(l *app.Ledger) error { return l.SetStatefulSet(stateful) }, pod: pod("a"), config: app.Config{DefaultSpread: true}, want: 2},
		"UnknownOwner": {owner: func(*app.Ledger) error { return nil }, pod: pod("a"), config: app.Config{DefaultSpread: true}},
		"NoOwner":      {owner: ofReplicaSet(rs), pod: pod("a", func(p *corev1.Pod) { p.OwnerReferences = nil }), config: app.Config{DefaultSpread: true}},
		"SelectsAll":   {why: "the scheduler leaves such an owner out", owner: ofReplicaSet(everything), pod: pod("a"), config: app.Config{DefaultSpread: true}},
		"Off":          {owner: ofReplicaSet(rs), pod: pod("a")},
		"OwnConstraint": {why: "defaults are for pods without any", owner: ofReplicaSet(rs), pod: pod("a", func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{TopologyKey: "rack", LabelSelector: selector}}
		}), config: app.Config{DefaultSpread: true}, want: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, ownerFirst := range []bool{true, false} {
				l := app.NewLedger(tc.config)
				steps := []func() error{func() error { return tc.owner(l) }, func() error { return l.SetPod(tc.pod) }}
				if !ownerFirst {
					steps[0], steps[1] = steps[1], steps[0]
				}
				must(t, steps[0]())
				must(t, steps[1]())
				s := shapes(t, l)[100]
				if got := len(s.GetSpread()); got != tc.want {
					t.Errorf("%d constraints, want %d, the owner first: %v; %s", got, tc.want, ownerFirst, tc.why)
				}
				if got := s.GetLabels()["pod-template-hash"] != ""; got != (tc.want > 0) {
					t.Errorf("the label that the selector names is part of the shape: %v", got)
				}
			}
		})
	}
}

func TestDefaultSpreadIsThatOfTheScheduler(t *testing.T) {
	l := ledgerOf(t, pod("a"))
	rs := replicaSet(1)
	rs.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	must(t, l.SetReplicaSet(rs, noon))
	want := []corev1.TopologySpreadConstraint{
		{MaxSkew: 3, TopologyKey: "kubernetes.io/hostname", WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: rs.Spec.Selector},
		{MaxSkew: 5, TopologyKey: "topology.kubernetes.io/zone", WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: rs.Spec.Selector},
	}
	s := shapes(t, l)[100]
	got := make([]corev1.TopologySpreadConstraint, len(s.GetSpread()))
	for i, body := range s.GetSpread() {
		must(t, got[i].Unmarshal(body))
	}
	if diff := cmp.Diff(want, got); diff != "" || !s.GetSpreadByDefault() {
		t.Errorf("by default: %v (-want +got):\n%s", s.GetSpreadByDefault(), diff)
	}
	must(t, l.DeleteReplicaSet("rs"))
	if got := shapes(t, l)[100].GetSpread(); len(got) != 0 {
		t.Errorf("%d constraints after the owner is gone", len(got))
	}
}

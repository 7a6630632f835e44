package app_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

func nominatedByPlanner(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.NominatedNodeName = node
		p.ManagedFields = managedBy(v1beta1.FieldManagerNominations, `{"f:status":{"f:nominatedNodeName":{}}}`)
	}
}

func managedBy(manager, fields string) []metav1.ManagedFieldsEntry {
	owned := &metav1.FieldsV1{}
	owned.SetRawBytes([]byte(fields))
	return []metav1.ManagedFieldsEntry{{Manager: "kubelet"}, {Manager: manager, FieldsV1: owned}}
}

// TestManagedFieldsTellWhoNominated: nothing else tells the planner's nominations from kube-scheduler's.
func TestManagedFieldsTellWhoNominated(t *testing.T) {
	for name, tc := range map[string]struct {
		manager, fields string
		waits           int
	}{
		"Planner":       {v1beta1.FieldManagerNominations, `{"f:status":{"f:nominatedNodeName":{}}}`, 1},
		"KubeScheduler": {"kube-scheduler", `{"f:status":{"f:nominatedNodeName":{}}}`, 0},
		"PlannerNoMore": {v1beta1.FieldManagerNominations, `{"f:status":{}}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledgerOf(t, pod("a", unschedulable, nominated("n1"), func(p *corev1.Pod) { p.ManagedFields = managedBy(tc.manager, tc.fields) }))
			if got := sumUp(l.Contents(noon, silent)); got.Pending != tc.waits || got.Bound["n1"] != 1-tc.waits {
				t.Errorf("%d pods wait and %d take room on the node, want %d to wait", got.Pending, got.Bound["n1"], tc.waits)
			}
		})
	}
}

// only is the one pending record of the contents.
func only(t *testing.T, c *feed.Contents) *scheduling.Pending {
	t.Helper()
	if len(c.Pending) != 1 {
		t.Fatalf("%d shapes are pending, want one", len(c.Pending))
	}
	for _, p := range c.Pending {
		return p
	}
	return nil
}

func TestPodsThatTheSchedulerHasNotLookedAtAreTold(t *testing.T) {
	l := ledgerOf(t, pod("a"), pod("b"))
	if got := only(t, l.Contents(noon, silent)); got.Count != 0 || got.Arriving != 2 || len(got.Sample) != 2 {
		t.Errorf("%d pods wait and %d arrive with %d names, want none, two and two", got.Count, got.Arriving, len(got.Sample))
	}
	must(t, l.SetPod(pod("a", unschedulable)))
	if got := only(t, l.Contents(noon, silent)); got.Count != 2 || got.Arriving != 0 {
		t.Errorf("%d pods wait and %d arrive, want two and none: what is said of one holds for the other", got.Count, got.Arriving)
	}
}

// TestNothingIsGuessedForASchedulerThatDoesNotRun: machines would be launched for pods that nobody places.
func TestNothingIsGuessedForASchedulerThatDoesNotRun(t *testing.T) {
	l := ledgerOf(t, pod("old", asks("2"), func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(noon.Add(-time.Minute)) }), pod("new"))
	if got := l.Contents(noon, silent).Pending; len(got) != 0 {
		t.Errorf("%d shapes are told while a pod waits for the scheduler for a minute", len(got))
	}
	must(t, l.DeletePod("old"))
	if got := only(t, l.Contents(noon, silent)); got.Arriving != 1 {
		t.Errorf("%d pods arrive, want one", got.Arriving)
	}
}

// TestSlowSchedulerIsNotOneThatDoesNotRun: it gives its word on one pod after the other, so that of a large burst some wait for long.
func TestSlowSchedulerIsNotOneThatDoesNotRun(t *testing.T) {
	l := ledgerOf(t, pod("first", asks("1")), pod("second", asks("2")), pod("late", asks("3")))
	must(t, l.SetPod(pod("first", asks("1"), bound("n1"))))
	l.Contents(noon.Add(25*time.Second), silent)
	must(t, l.SetPod(pod("second", asks("2"), unschedulable)))
	for _, tc := range []struct {
		after time.Duration
		want  int
		why   string
	}{
		{50 * time.Second, 2, "a verdict came 25 seconds ago at most"},
		{75 * time.Second, 2, "25 seconds ago"},
		{85 * time.Second, 1, "nothing was said for 35 seconds"},
	} {
		if got := l.Contents(noon.Add(tc.after), silent).Pending; len(got) != tc.want {
			t.Errorf("%d shapes are told after %s, want %d: %s", len(got), tc.after, tc.want, tc.why)
		}
	}
	for after := 90 * time.Second; after < 3*time.Minute; after += 20 * time.Second {
		must(t, l.SetPod(pod(after.String(), asks("2"))))
		must(t, l.SetPod(pod(after.String(), asks("2"), unschedulable)))
		want := 2
		if after >= overlooked {
			want = 1
		}
		if got := l.Contents(noon.Add(after), silent).Pending; len(got) != want {
			t.Errorf("%d shapes are told after %s, want %d: the scheduler overlooks the pod that came first", len(got), after, want)
		}
	}
}

// overlooked is how long a pod may wait for a scheduler that speaks of others.
const overlooked = 2 * time.Minute

// TestPlannersNominationsAreNoPreemptions: such pods wait until kube-scheduler binds them, and may be planned otherwise.
func TestPlannersNominationsAreNoPreemptions(t *testing.T) {
	l := ledgerOf(t, pod("a", unschedulable), pod("b", unschedulable, nominatedByPlanner("n1")), pod("c", unschedulable, nominated("n1")))
	contents := l.Contents(noon, silent)
	want := []scheduling.PodReference{{Namespace: "default", Name: "b", UID: "b", NominatedNode: "n1"}, {Namespace: "default", Name: "a", UID: "a"}}
	got := only(t, contents)
	if diff := cmp.Diff(want, got.Sample); diff != "" || got.Count != 2 {
		t.Errorf("%d pods wait, want two; names (-want +got):\n%s", got.Count, diff)
	}
	if n := sumUp(contents).Bound["n1"]; n != 1 {
		t.Errorf("%d pods take room on n1, want the one that waits for a preemption", n)
	}
	must(t, l.SetPod(pod("b", unschedulable)))
	if got := only(t, l.Contents(noon, silent)).Sample; len(got) != 2 || got[0].NominatedNode != "" {
		t.Errorf("names are %v after the nomination was cleared", got)
	}
}

func TestArrivalsAreCountedOnce(t *testing.T) {
	l := ledgerOf(t, pod("a"), pod("a", unschedulable), pod("b", bound("n1")), pod("c"))
	must(t, l.DeletePod("c"))
	if got := l.Contents(noon, silent).Arrived; got != 2 {
		t.Errorf("%d pods arrived, want two", got)
	}
}

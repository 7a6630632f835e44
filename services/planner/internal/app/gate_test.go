package app_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
)

func (f *fixture) capacity() metav1.Condition {
	if c := meta.FindStatusCondition(f.group().Status.Conditions, v1beta1.ConditionCapacityAvailable); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// stand has records stay on their way, and a pod be refused.
func (f *fixture) stand() {
	f.run()
	f.wait(time.Second)
	f.mu.Lock()
	f.stuck = true
	f.mu.Unlock()
	f.pending(1, 0, 50_000)
}

// TestConditionWaitsForItsRecord shows a refusal in the condition and the event of a group once it is on record, and the rest of the status before.
func TestConditionWaitsForItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.stand()
		f.wait(10 * time.Minute)
		if c := f.capacity(); c.Status != metav1.ConditionTrue || f.group().Status.PendingPods != 1 {
			t.Errorf("the group shows %+v and %d pending pods, want the condition as it was and one pod", c, f.group().Status.PendingPods)
		}
		if got := f.eventsAbout("g "); len(got) > 0 {
			t.Errorf("events %v of what is not on record", got)
		}
		if len(f.underway) > 5 {
			t.Errorf("%d entries wait after ten minutes, want few", len(f.underway))
		}
		f.unstick()
		f.wait(time.Millisecond)
		if c := f.capacity(); c.Status != metav1.ConditionFalse || c.Reason != reason.NoScaleUpResources.Condition() {
			t.Errorf("the group shows %+v, want the refusal now that it is on record", c)
		}
		if got := f.eventsAbout("g " + reason.NoScaleUpResources.Condition()); len(got) != 1 {
			t.Errorf("events %v, want one", got)
		}
	})
}

// TestRefusalThatEndedIsNotShown has the record arrive after the pod went.
func TestRefusalThatEndedIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.stand()
		f.wait(time.Minute)
		f.pending(0, 0, 50_000)
		f.wait(time.Minute)
		f.unstick()
		f.wait(time.Millisecond)
		if c := f.capacity(); c.Status != metav1.ConditionTrue || len(f.eventsAbout("g ")) > 0 {
			t.Errorf("the group shows %+v and has events %v, want neither to speak of what is over", c, f.eventsAbout("g "))
		}
		// The next refusal waits for its own record.
		f.mu.Lock()
		f.stuck = true
		f.mu.Unlock()
		f.pending(1, 0, 50_000)
		f.wait(time.Minute)
		if c := f.capacity(); c.Status != metav1.ConditionTrue {
			t.Errorf("the group shows %+v, which is not on record again", c)
		}
	})
}

// TestHoldIsShownOnceItIsOnRecord: what a status says of a hold waits as well.
func TestHoldIsShownOnceItIsOnRecord(t *testing.T) {
	for code := range blocks {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, group())
				f.run()
				f.wait(time.Minute)
				f.mu.Lock()
				f.stuck = true
				f.mu.Unlock()
				f.block(code, true)
				f.wait(time.Minute)
				if c := f.scalingActive(); c.Reason != "Idle" {
					t.Errorf("the group shows %+v, which is not on record", c)
				}
				f.unstick()
				f.wait(time.Minute)
				if c := f.scalingActive(); c.Reason != code.Condition() {
					t.Errorf("the group shows %+v, want the hold", c)
				}
			})
		})
	}
}

// TestChangeOfAGroupThatTheMessageDoesNotNameIsOnRecord changes why the last of four groups does not serve a pod: the message to the pod counts it only.
func TestChangeOfAGroupThatTheMessageDoesNotNameIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var groups []client.Object
		for _, name := range []string{"a", "b", "c", "g"} {
			groups = append(groups, group(func(g *v1beta1.NodeGroup) {
				if g.Name = name; name != "g" {
					g.Spec.Weight = 10
				}
				g.Spec.Limits.CPU = new(resource.MustParse("1"))
			}))
		}
		f := newFixture(t, groups...)
		f.run()
		f.wait(time.Second)
		f.pending(1, 0, 3000)
		f.wait(time.Minute)
		if c := f.capacity(); c.Reason != reason.NoScaleUpGroupLimit.Condition() {
			t.Fatalf("the group shows %+v, want its limit", c)
		}
		g := f.group()
		g.Spec.Limits.CPU, g.Spec.MaxNodes = nil, 0
		if err := f.kube.Update(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		f.wait(time.Minute)
		c := f.capacity()
		if c.Reason != reason.NoScaleUpGroupMaxSize.Condition() {
			t.Fatalf("the group shows %+v, want its size", c)
		}
		refusals := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP)
		if !slices.ContainsFunc(refusals, func(r *busv1.DecisionRecord) bool { return facts.Concerns(r, "default/g", c.Reason) }) {
			t.Errorf("the group shows %s, and on record are %v", c.Reason, refusals)
		}
	})
}

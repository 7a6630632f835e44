package app_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
)

// blocks are what keeps a planner from making plans, by their codes.
var blocks = map[reason.Code]func(f *fixture, blocked bool){
	reason.HoldFeedStale: func(f *fixture, blocked bool) {
		if f.stale = nil; blocked {
			f.stale = feed.ErrStale
		}
	},
	reason.HoldPauseUnreadable: func(f *fixture, blocked bool) {
		if f.unreadable = nil; blocked {
			f.unreadable = errors.New("forbidden")
		}
	},
}

// block has something keep the planner from making plans, or lets it go on.
func (f *fixture) block(code reason.Code, blocked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	blocks[code](f, blocked)
}

func (f *fixture) scalingActive() metav1.Condition {
	if c := meta.FindStatusCondition(f.group().Status.Conditions, v1beta1.ConditionScalingActive); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// TestBlockedPlannerSaysSo keeps the planner from making plans for more than an hour.
func TestBlockedPlannerSaysSo(t *testing.T) {
	for code := range blocks {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, group())
				if err := f.kube.Create(t.Context(), f.inUse("n1", nil)); err != nil {
					t.Fatal(err)
				}
				f.run()
				f.wait(30 * time.Second)
				before := f.group().Status
				f.block(code, true)
				f.wait(time.Minute)
				if c := f.scalingActive(); c.Status != metav1.ConditionFalse || c.Reason != code.Condition() || f.group().Status.Nodes != before.Nodes {
					t.Errorf("the group shows %+v and %d nodes, want the hold and %d nodes", c, f.group().Status.Nodes, before.Nodes)
				}
				if holds := f.told(busv1.DecisionKind_DECISION_KIND_HOLD); len(holds) != 1 || holds[0].GetReason() != string(code) {
					t.Errorf("holds %v, want one record", holds)
				}
				if got := f.eventsAbout("g " + code.Condition()); len(got) != 1 {
					t.Errorf("events of the group: %v, want one", got)
				}
				for subject, ask := range map[string]func(string) (app.Explanation, error){"n1": f.explanations.Node, "default/g": f.explanations.NodeGroup} {
					if got := explained(t, ask, subject); got[0] != "default/g "+string(code) {
						t.Errorf("%s is explained by %v, want the hold first", subject, got)
					}
				}
				f.mu.Lock()
				writes := f.writes
				f.mu.Unlock()
				f.wait(time.Hour)
				f.mu.Lock()
				if f.writes != writes {
					t.Errorf("%d writes in an hour in which nothing changed", f.writes-writes)
				}
				f.mu.Unlock()
				f.block(code, false)
				f.wait(time.Minute / 2)
				if c := f.scalingActive(); c.Reason != "Idle" {
					t.Errorf("the group shows %+v after the hold", c)
				}
				if got := explained(t, f.explanations.NodeGroup, "default/g"); slices.Contains(got, "default/g "+string(code)) {
					t.Errorf("the group is explained by %v after the hold", got)
				}
			})
		})
	}
}

// TestHoldIsOnRecordOfEachGroup also of one that is made while it lasts, and of the cluster while there is none.
func TestHoldIsOnRecordOfEachGroup(t *testing.T) {
	for code := range blocks {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.block(code, true)
				f.run()
				var want []string
				for i, name := range []string{"", "a", "b"} {
					if name != "" {
						if err := f.kube.Create(t.Context(), group(func(g *v1beta1.NodeGroup) { g.Name = name })); err != nil {
							t.Fatal(err)
						}
						name = "default/" + name
					}
					f.wait(time.Minute)
					want = append(want, name)
					var got []string
					for _, r := range f.told(busv1.DecisionKind_DECISION_KIND_HOLD) {
						got = append(got, r.GetNodeGroup())
					}
					if !slices.Equal(got, want) {
						t.Errorf("with %d groups holds of %q are on record, want %q", i, got, want)
					}
				}
				f.block(code, false)
				f.wait(time.Minute)
				f.block(code, true)
				f.wait(time.Minute)
				if got := f.told(busv1.DecisionKind_DECISION_KIND_HOLD); len(got) != len(want)+2 {
					t.Errorf("%d holds are on record, want one more of each group for the second hold", len(got))
				}
			})
		})
	}
}

// TestShortBlockIsNotShown: after each start the feed is stale for a moment.
func TestShortBlockIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.block(reason.HoldFeedStale, true)
		f.run()
		f.wait(5 * time.Second)
		if _, err := f.explanations.NodeGroup("default/g"); !errors.Is(err, app.ErrNoPlan) || !strings.Contains(err.Error(), "observer") {
			t.Errorf("explanation before the first plan: %v, want ErrNoPlan and the hold", err)
		}
		f.block(reason.HoldFeedStale, false)
		f.wait(30 * time.Second)
		f.block(reason.HoldFeedStale, true)
		f.wait(5 * time.Second)
		f.block(reason.HoldFeedStale, false)
		f.wait(30 * time.Second)
		if got := f.eventsAbout("g "); len(got) > 0 {
			t.Errorf("events %v about moments", got)
		}
	})
}

// TestBlockedPlannerPutsOnRecordWhatMachinesCarry: the provisioner's own acts reach the bus through the planner.
func TestBlockedPlannerPutsOnRecordWhatMachinesCarry(t *testing.T) {
	for code := range blocks {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, group())
				machine := f.inUse("n1", nil)
				record := &busv1.DecisionRecord{
					Id: "adoption", Kind: busv1.DecisionKind_DECISION_KIND_ADOPTION, Subject: &busv1.Subject{Kind: "VPSieNode", Name: "n1"}, NodeGroup: "default/g",
					Reason: string(reason.AdoptNodeProof), Message: "adopted", Parameters: map[string]string{reason.ParamMachine: "mn1", reason.ParamNode: "n1"},
				}
				if err := facts.Attach(machine, facts.Decision(context.Background(), "default", "g", record)); err != nil {
					t.Fatal(err)
				}
				if err := f.kube.Create(t.Context(), machine); err != nil {
					t.Fatal(err)
				}
				f.block(code, true)
				f.run()
				f.wait(10 * time.Second)
				if got := f.told(busv1.DecisionKind_DECISION_KIND_ADOPTION); len(got) != 1 {
					t.Errorf("records %v, want the adoption", got)
				}
			})
		})
	}
}

// TestUnreadableMachineIsAHold has the API server refuse the read of a machine that the cache does not show.
func TestUnreadableMachineIsAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.lag = true
		f.run()
		f.wait(time.Second)
		f.pending(1, 0, 3000)
		f.wait(5 * time.Second)
		f.mu.Lock()
		f.denied, f.log = errors.New("forbidden"), nil
		f.mu.Unlock()
		f.wait(10 * time.Minute)
		holds := f.told(busv1.DecisionKind_DECISION_KIND_HOLD)
		if len(holds) != 1 || holds[0].GetReason() != string(reason.HoldObjectsUnreadable) || holds[0].GetNodeGroup() != "default/g" || !strings.Contains(holds[0].GetMessage(), "forbidden") {
			t.Errorf("holds %v, want one record with the cause", holds)
		}
		if got := f.counted(reason.Hold, reason.HoldObjectsUnreadable); got != 1 {
			t.Errorf("%v holds are counted, want one", got)
		}
		if c := f.scalingActive(); c.Status != metav1.ConditionFalse || c.Reason != reason.HoldObjectsUnreadable.Condition() {
			t.Errorf("the group shows %+v, want the hold", c)
		}
		if got := explained(t, f.explanations.NodeGroup, "default/g"); !slices.Contains(got, "default/g "+string(reason.HoldObjectsUnreadable)) {
			t.Errorf("the group is explained by %v, want the hold", got)
		}
		if len(f.log) > 5 {
			t.Errorf("%d lines are logged in ten minutes: %v", len(f.log), f.log[:5])
		}
		f.mu.Lock()
		f.denied = nil
		f.mu.Unlock()
		f.wait(time.Minute)
		if got := explained(t, f.explanations.NodeGroup, "default/g"); slices.Contains(got, "default/g "+string(reason.HoldObjectsUnreadable)) {
			t.Errorf("the group is explained by %v after the hold", got)
		}
		if got := len(f.machines()); got != 1 {
			t.Errorf("%d machines, want the one that was launched before", got)
		}
	})
}

// TestPauseIsToldWithoutPods: nobody waits, so the groups alone tell of it.
func TestPauseIsToldWithoutPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "vpsie-autoscaler", Name: brake.ConfigMapName}}
		f := newFixture(t, group(), pause)
		if err := f.kube.Create(t.Context(), f.inUse("n1", nil)); err != nil {
			t.Fatal(err)
		}
		f.run()
		f.wait(5 * time.Minute)
		if got := f.eventsAbout("g "); len(got) != 1 || !strings.Contains(got[0], reason.HoldPaused.Condition()) {
			t.Errorf("events of the group: %v, want one of the pause", got)
		}
		for subject, ask := range map[string]func(string) (app.Explanation, error){"n1": f.explanations.Node, "default/g": f.explanations.NodeGroup} {
			if got := explained(t, ask, subject); !slices.Equal(got, []string{"default/g " + string(reason.HoldPaused)}) {
				t.Errorf("%s is explained by %v, want the pause", subject, got)
			}
		}
	})
}

// TestNodeOfAJoiningMachineIsExplained: it is not asked yet whether it could go.
func TestNodeOfAJoiningMachineIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		joining, leaving := f.inUse("n1", nil), f.inUse("n2", nil)
		joining.Status.Phase, leaving.Status.Phase = v1beta1.PhaseJoining, v1beta1.PhaseJoining
		leaving.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireManual}
		for _, m := range []*v1beta1.VPSieNode{joining, leaving} {
			if err := f.kube.Create(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		f.run()
		f.wait(10 * time.Second)
		if got := explained(t, f.explanations.Node, "n1"); !slices.Equal(got, []string{"default/g " + string(reason.NoScaleDownNodeNotReady)}) {
			t.Errorf("n1 is explained by %v", got)
		}
		if _, err := f.explanations.Node("n2"); !errors.Is(err, app.ErrUnknownSubject) {
			t.Errorf("n2, whose machine leaves: %v, want ErrUnknownSubject", err)
		}
	})
}

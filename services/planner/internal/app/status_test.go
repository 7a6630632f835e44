package app_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// TestSlowStatusWritesHoldNoPlanUp: with many groups and a slow API server they take seconds.
func TestSlowStatusWritesHoldNoPlanUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.slow = 4 * time.Second
		f.run()
		f.wait(500 * time.Millisecond)
		f.pending(3, 0, 380)
		f.wait(time.Second)
		if got := len(f.machines()); got != 1 {
			t.Errorf("%d machines are launched while the status of the group is being written, want one", got)
		}
	})
}

// writeStatuses runs a writer on a group, and returns it with the group as it was before.
func (f *fixture) writeStatuses() (*app.StatusWriter, *v1beta1.NodeGroup) {
	before := &v1beta1.NodeGroup{}
	if err := f.kube.Get(f.t.Context(), client.ObjectKey{Namespace: "default", Name: "g"}, before); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	writer, done := app.NewStatusWriter(f.kube, f, slog.New(slog.DiscardHandler)), make(chan error, 1)
	go func() { done <- writer.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	})
	return writer, before
}

func (f *fixture) status() v1beta1.NodeGroupStatus {
	f.t.Helper()
	synctest.Wait()
	var g v1beta1.NodeGroup
	if err := f.kube.Get(f.t.Context(), client.ObjectKey{Namespace: "default", Name: "g"}, &g); err != nil {
		f.t.Fatal(err)
	}
	return g.Status
}

// TestPlanThatSawAGroupBeforeOurLastWriteIsShown: plans follow each other faster than the cache shows what was written.
func TestPlanThatSawAGroupBeforeOurLastWriteIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		writer, before := f.writeStatuses()
		for nodes := 1; nodes <= 3; nodes++ {
			writer.Report(before, scaling.Report{Nodes: nodes})
			if got := f.status().Nodes; int(got) != nodes {
				t.Errorf("status shows %d nodes, want %d", got, nodes)
			}
		}
	})
}

// TestDecisionIsShownOnce: the answer to a write may be lost, and the next one carries the same decisions.
func TestDecisionIsShownOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		writer, before := f.writeStatuses()
		f.lost = true
		writer.Decided("default/g", v1beta1.DecisionSummary{ID: "one", Kind: "ScaleUp"})
		writer.Report(before, scaling.Report{Nodes: 1})
		if got := f.status().RecentDecisions; len(got) != 1 {
			t.Fatalf("decisions %v, want one although the answer was lost", got)
		}
		f.lost = false
		_, after := f.writeStatuses()
		writer.Report(after, scaling.Report{Nodes: 2})
		if got := f.status(); len(got.RecentDecisions) != 1 || got.Nodes != 2 {
			t.Errorf("%d nodes and decisions %v, want two and one", got.Nodes, got.RecentDecisions)
		}
	})
}

package app_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// TestFrozenReplicaBuysNothing stops the process between the ledger and the call for longer than another
// replica needs to take over.
func TestFrozenReplicaBuysNothing(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.waits = func() { f.clock.Step(2 * time.Minute) }
	f.pass(time.Second)
	n := f.machine("a")
	if f.cloud.asked > 0 || n.Status.Launches[0].Outcome != v1beta1.LaunchNotMade || n.Status.Phase != v1beta1.PhasePending {
		t.Errorf("asked %d times, %+v; want nothing bought on an entry of two minutes ago", f.cloud.asked, n.Status)
	}
	f.cloud.waits = nil
	f.pass(10 * time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("asked %d times once awake, want once", f.cloud.asked)
	}
}

// TestReplicaThatWasFrozenAfterTheListingBuysNothing stops the process before the ledger: whose the listed machines
// are may have changed meanwhile.
func TestReplicaThatWasFrozenAfterTheListingBuysNothing(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.groups[1] = 101
	f.cloud.onGroups = func() { f.clock.Step(2 * time.Minute) }
	f.pass(time.Second)
	if n := f.machine("a"); f.cloud.asked > 0 || len(n.Status.Launches) > 0 {
		t.Errorf("asked %d times, ledger %+v; want nothing written on a listing of two minutes ago", f.cloud.asked, n.Status.Launches)
	}
	f.cloud.onGroups = nil
	f.pass(time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("asked %d times once awake, want once", f.cloud.asked)
	}
}

// TestFrozenReplicaConcludesNothing lets a replica wake up after its successor concluded the request and
// made the next.
func TestFrozenReplicaConcludesNothing(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.hide = true
	f.cloud.onAdd = func() {
		n := f.machine("a")
		n.Status.Launches[0].Outcome = v1beta1.LaunchNotMade
		n.Status.Launches = append(n.Status.Launches, v1beta1.LaunchAttempt{Number: 2, RequestedAt: metav1.NewTime(f.clock.Now()), Outcome: v1beta1.LaunchRequested})
		if err := f.kube.Status().Update(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	f.cloud.add = &app.CloudError{Failure: app.NotMade, Message: "refused by a proxy"}
	f.pass(time.Second)
	if n := f.machine("a"); len(n.Status.Launches) != 2 || n.Status.Launches[1].Outcome != v1beta1.LaunchRequested {
		t.Errorf("ledger %+v; the answer to the first request was written to the second", n.Status.Launches)
	}
}

func TestFrozenReplicaDeletesNothing(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", bought("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	for range 3 {
		f.step("a", 6*time.Second)
	}
	f.cloud.waits = func() { f.clock.Step(2 * time.Minute) }
	f.pass(time.Second)
	if len(f.cloud.deleted) > 0 {
		t.Errorf("deleted %v on a listing of two minutes ago", f.cloud.deleted)
	}
	f.cloud.waits = nil
	f.pass(10 * time.Second)
	if len(f.cloud.deleted) != 1 {
		t.Errorf("deleted %v once awake, want m1", f.cloud.deleted)
	}
}

// TestFrozenReplicaCountsNoSighting lets a replica wake up after its successor has seen the machine go and taken it
// off the object: what it has listed is no sighting of the machine that may come.
func TestFrozenReplicaCountsNoSighting(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", bought("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	for range 3 {
		f.step("a", 6*time.Second)
	}
	f.pass(time.Second)
	f.cloud.onWorkers = func() {
		n := f.machine("a")
		n.Status.Identifier, n.Status.Hostname, n.Status.DeleteRequestedAt = "", "", nil
		if err := f.kube.Status().Update(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	f.pass(11 * time.Second)
	if n := f.machine("a"); len(f.cloud.deleted) != 1 || n.Status.AbsentSightings > 0 {
		t.Errorf("deleted %v, %d sightings of a machine that the object does not name any more", f.cloud.deleted, n.Status.AbsentSightings)
	}
}

// TestDeletionIsReadAfreshBeforeTheCall changes the object between the list and the call.
func TestDeletionIsReadAfreshBeforeTheCall(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", bought("m1", "host-1"), retired))
	f.cloud.machines = []launch.Listed{{Identifier: "m1", Hostname: "host-1", Size: small}}
	for range 3 {
		f.step("a", 6*time.Second)
	}
	f.getting = func(key client.ObjectKey, o client.Object) error {
		if _, ok := o.(*v1beta1.VPSieNode); !ok {
			return nil
		}
		f.getting = nil
		n := &v1beta1.VPSieNode{}
		if err := f.kube.Get(context.Background(), key, n); err != nil {
			return err
		}
		n.Status.DeleteRequestedAt, n.Status.Phase = nil, v1beta1.PhaseReady
		return f.kube.Status().Update(context.Background(), n)
	}
	f.pass(time.Second)
	if len(f.cloud.deleted) > 0 {
		t.Errorf("deleted %v although nobody wants that any more", f.cloud.deleted)
	}
}

package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// TestFrozenReplicaLaunchesNothing stops the process between the ledger and the call for longer than another
// replica needs to take over.
func TestFrozenReplicaLaunchesNothing(t *testing.T) {
	f := newFixture(t, group(), intent("a"))
	f.cloud.waits = func() { f.clock.Step(2 * time.Minute) }
	f.pass(time.Second)
	n := f.machine("a")
	if f.cloud.asked > 0 || n.Status.Launches[0].Outcome != v1beta1.LaunchNotMade || n.Status.Phase != v1beta1.PhasePending {
		t.Errorf("asked %d times, %+v; want nothing launched on an entry of two minutes ago", f.cloud.asked, n.Status)
	}
	f.cloud.waits = nil
	f.pass(10 * time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("asked %d times once awake, want once", f.cloud.asked)
	}
}

// TestReplicaThatWasFrozenAfterTheListingLaunchesNothing stops the process before the ledger: whose the listed machines
// are may have changed meanwhile.
func TestReplicaThatWasFrozenAfterTheListingLaunchesNothing(t *testing.T) {
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
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
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

// leavingFleet returns a fixture with machines a to d, whose Nodes are drained, and others that stay, without which a listing that lacks some
// would be doubted.
func leavingFleet(t *testing.T) *fixture {
	t.Helper()
	objects := []client.Object{group()}
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		objects = append(objects, node("host-"+name, "m-"+name), intent(name, launched("m-"+name, "host-"+name), retired))
	}
	f := newFixture(t, objects...)
	for _, name := range names {
		f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: "m-" + name, Hostname: "host-" + name, Size: small})
	}
	f.fleet(8, 0)
	for range 3 {
		f.clock.Step(6 * time.Second)
		for _, name := range names {
			f.step(name, 0)
		}
	}
	return f
}

// TestPassEndsWhenItsListingIsOld has deletions wait for the rate limit for so long that the listing is too old before the last: the pass
// reads nothing for those that it can do nothing for.
func TestPassEndsWhenItsListingIsOld(t *testing.T) {
	f := leavingFleet(t)
	f.cloud.waits = func() { f.clock.Step(40 * time.Second) }
	read := map[string]bool{}
	f.getting = func(key client.ObjectKey, o client.Object) error {
		if _, ok := o.(*v1beta1.VPSieNode); ok {
			read[key.Name] = true
		}
		return nil
	}
	f.pass(time.Second)
	if len(f.cloud.deleted) != 1 || len(read) != 2 {
		t.Errorf("deleted %v and read %v, want one deletion and one that comes too late", f.cloud.deleted, read)
	}
}

// TestSightingsDoNotWaitBehindDeletions asks again for the deletion of machines that stay listed, so slowly that the pass ends at the first: it
// has seen before that another one is gone.
func TestSightingsDoNotWaitBehindDeletions(t *testing.T) {
	f := leavingFleet(t)
	f.cloud.deletionHangs = true
	f.pass(time.Second)
	f.cloud.machines = slices.DeleteFunc(f.cloud.machines, func(m launch.Listed) bool { return m.Identifier == "m-d" })
	f.cloud.waits = func() { f.clock.Step(2 * time.Minute) }
	f.pass(2 * time.Minute)
	if n := f.machine("d"); len(f.cloud.deleted) != 4 || n.Status.AbsentSightings != 1 {
		t.Errorf("deleted %v, %d sightings of d, which is gone, want one", f.cloud.deleted, n.Status.AbsentSightings)
	}
}

// TestFrozenReplicaCountsNoSighting lets a replica wake up after its successor has seen the machine go and taken it
// off the object: what it has listed is no sighting of the machine that may come.
func TestFrozenReplicaCountsNoSighting(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
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
	f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1"), retired))
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

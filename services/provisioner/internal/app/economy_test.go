package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// work looks at the cluster as often as it asks for, and takes all machines further in between, until nothing is
// to be done any more.
func (f *fixture) work(done func() bool) {
	f.t.Helper()
	for range 1000 {
		if done() {
			return
		}
		wait, err := f.clusters.Reconcile(f.t.Context(), clusterID)
		if err != nil {
			f.t.Fatal(err)
		}
		f.clock.Step(max(wait, time.Millisecond))
		for _, n := range f.objects() {
			if n.Spec.Retirement == nil && n.DeletionTimestamp == nil {
				continue
			}
			if _, err := f.nodes.Reconcile(f.t.Context(), client.ObjectKeyFromObject(&n)); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	f.t.Fatal("the work does not end")
}

// TestCallsPerMachine launches and retires a fleet and counts what VPSie is asked.
func TestCallsPerMachine(t *testing.T) {
	const machines = 100
	f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 2 * machines }))
	// A large cluster keeps some of its machines, without which a listing that lacks others would be doubted.
	const staying = 10
	for i := range staying {
		id := fmt.Sprintf("stays-%d", i)
		f.create(intent(id, launched(id, id)))
		f.cloud.machines = append(f.cloud.machines, launch.Listed{Identifier: id, Hostname: id, Size: small})
	}
	for i := range machines {
		f.create(intent(fmt.Sprintf("n%03d", i)))
	}
	f.cloud.calls = 0
	f.work(func() bool {
		for _, n := range f.objects() {
			if n.Status.Identifier == "" {
				return false
			}
		}
		return true
	})
	launched := f.cloud.calls
	for _, n := range f.objects() {
		if strings.HasPrefix(n.Name, "stays-") {
			continue
		}
		retired(&n)
		if err := f.kube.Update(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
	}
	f.work(func() bool { return len(f.objects()) == staying })
	if len(f.cloud.deleted) != machines {
		t.Errorf("%d deletions of %d machines", len(f.cloud.deleted), machines)
	}
	retirement := f.cloud.calls - launched
	t.Logf("%d calls to launch %d machines, %d to retire them", launched, machines, retirement)
	if perMachine := float64(f.cloud.calls) / (2 * machines); perMachine > 1.5 {
		t.Errorf("%.2f calls for each machine created or deleted, want at most 1.5", perMachine)
	}
}

// TestIdleCalls looks at a quiet cluster for a quarter of an hour, with machines in use and listings compared.
func TestIdleCalls(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(10, 0)
	f.catalogue.Listen(func(_ context.Context, cluster string, listing app.Listing, at time.Time) {
		f.clusters.Survey(cluster, listing, at)
	})
	f.cloud.calls = 0
	for range 15 * 60 {
		f.clock.Step(time.Second)
		f.runCatalogueOnce()
		if _, err := f.clusters.Reconcile(t.Context(), clusterID); err != nil {
			t.Fatal(err)
		}
	}
	if perMinute := float64(f.cloud.calls) / 15; perMinute > 6 {
		t.Errorf("%.1f calls a minute, want at most 6", perMinute)
	}
}

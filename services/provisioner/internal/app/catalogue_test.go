package app_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

// guarded is a cloud that is used by several goroutines.
type guarded struct {
	*cloud
	mu sync.Mutex
}

func (g *guarded) Workers(ctx context.Context, cluster string) (app.Listing, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cloud.Workers(ctx, cluster)
}

func (g *guarded) Offerings(ctx context.Context, datacenter string) ([]app.Offering, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cloud.Offerings(ctx, datacenter)
}

func (g *guarded) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

func (g *guarded) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = err
}

// TestCatalogueLooksWhenSomethingIsDue counts calls to VPSie while nothing else happens.
func TestCatalogueLooksWhenSomethingIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		vpsie := &guarded{cloud: f.cloud}
		catalogue := app.NewCatalogue(vpsie, vpsie, f.store, clock.RealClock{}, app.Config{ClusterPoll: 15 * time.Second}, slog.New(slog.DiscardHandler))
		go func() {
			if err := catalogue.Run(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		calls := func(d time.Duration) int {
			synctest.Wait()
			before := vpsie.count()
			time.Sleep(d)
			synctest.Wait()
			return vpsie.count() - before
		}
		calls(time.Second)
		if n := calls(10 * time.Minute); n < 40 || n > 43 {
			t.Errorf("%d calls in ten minutes, want a look every 15 s and the offerings every five minutes", n)
		}
		vpsie.fail(errors.New("VPSie is away"))
		calls(15 * time.Second)
		if n := calls(time.Minute); n < 29 || n > 31 {
			t.Errorf("%d calls in a minute, want what failed tried again every two seconds", n)
		}
		vpsie.fail(nil)
		calls(2 * time.Second)
		other := group()
		other.Name, other.Spec.Cluster.Identifier = "other", "another-cluster"
		if err := f.kube.Create(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		calls(16 * time.Second)
		d, err := catalogue.Describe(t.Context(), app.Target{Cluster: other.Spec.Cluster.Identifier, Datacenter: other.Spec.Cluster.Datacenter})
		if err != nil || !d.Cluster.Found {
			t.Errorf("16 s after its NodeGroup was made, the cluster is not known: %+v, %v", d.Cluster, err)
		}
		// The planner asks about a NodeGroup as soon as it sees it.
		third := group()
		third.Name, third.Spec.Cluster.Identifier = "third", "a-third-cluster"
		if err := f.kube.Create(t.Context(), third); err != nil {
			t.Fatal(err)
		}
		target := app.Target{Cluster: third.Spec.Cluster.Identifier, Datacenter: third.Spec.Cluster.Datacenter}
		if _, err := catalogue.Describe(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d, err := catalogue.Describe(t.Context(), target); err != nil || !d.Cluster.Found {
			t.Errorf("the cluster that was asked about is not known: %+v, %v", d.Cluster, err)
		}
	})
}

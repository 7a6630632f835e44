//go:build load

package load_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/performance/load"
	"github.com/vpsie/vpsie-autoscaler/test/proxy"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	churnLasts = 10 * time.Second
	churnBeat  = 500 * time.Millisecond
	// unneededFor lets machines go while pods still come.
	unneededFor = 2 * time.Second
	// Of every window, VPSie refuses everything for a part, and says after how many seconds to come again.
	limitWindow       = 4 * time.Second
	limitRefuses      = 1500 * time.Millisecond
	retryAfterSeconds = 1
	refusedAtLeast    = 2
	// vpsieLatency is how long every call to VPSie takes at least, vpsieJitter what may come on top, apiServerLatency what every
	// question to the API server takes longer.
	vpsieLatency     = 500 * time.Millisecond
	vpsieJitter      = 500 * time.Millisecond
	apiServerLatency = 100 * time.Millisecond
)

// newFleet returns a corner of the stack with a fleet whose pods need a machine each.
func newFleet(t *testing.T, unneededFor time.Duration) *load.Fleet {
	t.Helper()
	s := stacktest.New(t)
	f, err := load.New(t.Context(), s.Stack, s.Namespace, load.Size{Groups: *groups, Nodes: *machines, Pods: *machines}, unneededFor)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wantLifecycle fills a fleet and empties it: each machine that is needed is launched once, and each goes.
func wantLifecycle(t *testing.T, f *load.Fleet) (load.Filled, load.Emptied) {
	t.Helper()
	filled, err := f.Fill(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if filled.Machines != *machines {
		t.Errorf("%d machines were launched for %d pods, want one each", filled.Machines, *machines)
	}
	emptied, err := f.Empty(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if emptied.Machines != filled.Machines {
		t.Errorf("%d machines were removed, want %d", emptied.Machines, filled.Machines)
	}
	t.Logf("%d machines: %d calls and %s to fill, %d calls and %s to empty", filled.Machines,
		filled.Calls.Total, filled.Took.Round(time.Millisecond), emptied.Calls.Total, emptied.ObjectsGone.Round(time.Millisecond))
	return filled, emptied
}

// TestStressChurn lets pods come and go while machines are launched and removed: in the end there is just what the pods that are left need. What
// the ledger shows is judged when the test ends.
func TestStressChurn(t *testing.T) {
	f := newFleet(t, unneededFor)
	changes, err := f.Churn(t.Context(), *lasts, churnBeat, rand.New(rand.NewPCG(3, 4)))
	if err != nil {
		t.Fatal(err)
	}
	launched, err := f.Launched(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if alive := load.Alive(launched); alive != *machines {
		t.Errorf("%d machines are left, want %d", alive, *machines)
	}
	t.Logf("%d changes: %d machines were launched, %d of them removed", changes, len(launched), len(launched)-load.Alive(launched))
}

// TestStressRateLimit has VPSie refuse all calls again and again for a while because of its rate limit: everything that is needed is launched all
// the same, once, and goes.
func TestStressRateLimit(t *testing.T) {
	f := newFleet(t, 0)
	// Some launches and deletions meet it in any case.
	for _, endpoint := range []string{addWorker, deleteWorker} {
		_, err := f.Sim.AddFaults(t.Context(), vpsiesim.Fault{Endpoint: endpoint, Kind: vpsiesim.FaultStatus429, Count: refusedAtLeast, RetryAfterSeconds: retryAfterSeconds})
		if err != nil {
			t.Fatal(err)
		}
	}
	limited, stop := context.WithCancel(t.Context())
	var limiting sync.WaitGroup
	limiting.Go(func() { limit(limited, t, f) })
	mend(t, func(ctx context.Context) error {
		stop()
		limiting.Wait()
		return f.Sim.ClearFaults(ctx)
	})
	filled, emptied := wantLifecycle(t, f)
	refused := 0
	for _, calls := range []vpsiesim.Calls{filled.Calls, emptied.Calls} {
		for _, e := range calls.Endpoints {
			refused += e.Outcomes["fault-"+string(vpsiesim.FaultStatus429)]
		}
	}
	if refused < 2*refusedAtLeast {
		t.Errorf("%d calls were refused, so the test shows nothing", refused)
	}
	t.Logf("%d calls were refused", refused)
}

// limit is VPSie's rate limit, used up at the begin of each window, until ctx ends.
func limit(ctx context.Context, t *testing.T, f *load.Fleet) {
	ticker := time.NewTicker(limitWindow)
	defer ticker.Stop()
	for {
		_, err := f.Sim.AddFaults(ctx, vpsiesim.Fault{
			Kind: vpsiesim.FaultStatus429, DurationSeconds: limitRefuses.Seconds(), RetryAfterSeconds: retryAfterSeconds,
		})
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// TestStressLatency has VPSie and the API server answer slowly.
func TestStressLatency(t *testing.T) {
	f := newFleet(t, 0)
	before, err := f.Sim.Switches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sim.SetSwitches(t.Context(), map[string]any{"latency": vpsieLatency.String(), "latencyJitter": vpsieJitter.String()}); err != nil {
		t.Fatal(err)
	}
	mend(t, func(ctx context.Context) error {
		return errors.Join(f.Sim.SetSwitches(ctx, stacktest.AsSwitches(before)), slow(f, proxy.Fault{}))
	})
	if err := slow(f, proxy.Latency(apiServerLatency)); err != nil {
		t.Fatal(err)
	}
	wantLifecycle(t, f)
}

// slow sets what happens between the services and the API server.
func slow(f *load.Fleet, fault proxy.Fault) error {
	var problems []error
	for _, name := range stack.Services() {
		problems = append(problems, f.Service(name).Link(stack.Kubernetes).Set(fault))
	}
	return errors.Join(problems...)
}

// mend makes good at the test's end, before its corner is cleaned, what it broke.
func mend(t *testing.T, good func(ctx context.Context) error) {
	t.Cleanup(func() {
		// The test's own context has ended.
		ctx, cancel := context.WithTimeout(context.Background(), stacktest.Patience)
		defer cancel()
		if err := good(ctx); err != nil {
			t.Error(err)
		}
	})
}

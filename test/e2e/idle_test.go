//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

const (
	idleDefault = time.Minute
	// callsPerMinute is how often VPSie may be called while nothing happens.
	callsPerMinute = 6
	// quietFor is how long no write must have happened before idleness is measured.
	quietFor = 20 * time.Second
)

// TestIdleIsQuiet measures what the services do while a small cluster needs nothing: no writes to
// Kubernetes but of Leases, and next to no calls of VPSie. IDLE_SECONDS says for how long.
func TestIdleIsQuiet(t *testing.T) {
	idle := idleDefault
	if text := os.Getenv("IDLE_SECONDS"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("IDLE_SECONDS: %v", err)
		}
		idle = time.Duration(seconds) * time.Second
	}
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 3), workload.Deployment(s.Namespace, "web", 2, workload.OnePerNode))
	s.AwaitRunning("web", 2)
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)

	log := s.AuditLog()
	if log == "" {
		t.Fatal("the API server does not record writes; use a cluster that \"make cluster\" started, or let the tests start one")
	}
	last, since := "", time.Now()
	s.Eventually("the services have done their work", func(context.Context) (bool, string) {
		writes := asText(writesSoFar(t, log))
		if writes != last {
			last, since = writes, time.Now()
		}
		return time.Since(since) >= quietFor, "the last writes were " + last
	})
	before := writesSoFar(t, log)
	if err := s.Sim.ResetCalls(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What happens in this time is what is measured.
	select {
	case <-time.After(idle):
	case <-t.Context().Done():
	}
	calls, err := s.Sim.Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range writesSoFar(t, log) {
		if n != before[what] {
			t.Errorf("%d writes in %s: %s", n-before[what], idle, what)
		}
	}
	if calls.PeakMinute > callsPerMinute {
		t.Errorf("%d calls to VPSie in a minute, want at most %d: %s", calls.PeakMinute, callsPerMinute, asText(calls.Endpoints))
	}
	t.Logf("%d calls to VPSie in %s", calls.Total, idle)
}

// writesSoFar counts the services' writes to Kubernetes, without those of Leases, by what they are,
// from the API server's own record.
func writesSoFar(t *testing.T, log string) map[string]int {
	t.Helper()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	writes := map[string]int{}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return writes // half a line is being written
		}
		if err != nil {
			t.Fatal(err)
		}
		var event struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef struct{ Resource, Subresource, Namespace, Name string }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("audit log: %v", err)
		}
		if o := event.ObjectRef; o.Resource != "leases" {
			writes[fmt.Sprintf("%s %s %s/%s %s/%s", event.User.Username, event.Verb, o.Resource, o.Subresource, o.Namespace, o.Name)]++
		}
	}
}

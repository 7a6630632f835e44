//go:build load

package load_test

import (
	"os"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/performance/load"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

// small is what takes half a minute. As many machines of samples stay as make a listing believable that lacks the others.
var small = load.Size{Groups: 5, Nodes: 20, Pods: 400, Samples: 8}

const (
	addWorker    = "k8s.addSlaveToGroup"
	deleteWorker = "k8s.deleteSlave"
	// deletesAMachine is how many requests a machine's deletion may take, in tenths.
	deletesAMachine = 12
)

// TestLoad runs what the command measures at a small size. It holds what does not depend on the machine that it runs on; times are for
// the command.
func TestLoad(t *testing.T) {
	s := stacktest.New(t)
	r, err := load.Measure(t.Context(), s.Stack, s.Namespace, small, time.Second, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	table := r.Table()
	if err := table.Write(t.Output()); err != nil {
		t.Error(err)
	}
	if r.Filled.Machines != small.Nodes || r.Waits.Machines != small.Samples {
		t.Errorf("%d and %d machines were launched, want %d and %d", r.Filled.Machines, r.Waits.Machines, small.Nodes, small.Samples)
	}
	if adds := r.Filled.Calls.Endpoints[addWorker].Total; adds != small.Nodes {
		t.Errorf("%d requests for %d machines, want one each", adds, small.Nodes)
	}
	deletes := r.Emptied.Calls.Endpoints[deleteWorker].Total
	if r.Emptied.Machines != small.Nodes || 10*deletes > deletesAMachine*small.Nodes {
		t.Errorf("%d machines were removed by %d requests, want %d by at most 1.2 each", r.Emptied.Machines, deletes, small.Nodes)
	}
	for name, calls := range map[string]int{"filling": r.Filled.Calls.PeakMinute, "emptying": r.Emptied.Calls.PeakMinute} {
		if calls > requestsPerMinute+requestsBurst {
			t.Errorf("%d calls in a minute of %s, want at most %d and a burst of %d", calls, name, requestsPerMinute, requestsBurst)
		}
	}
	if !r.Verdict.Clean() {
		t.Errorf("the ledger shows %+v", r.Verdict)
	}
}

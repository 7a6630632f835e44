//go:build load

package load_test

import (
	"os"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/performance/load"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

// small is what takes half a minute.
var small = load.Size{Groups: 5, Nodes: 20, Pods: 400, Samples: 5}

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
	if err := r.Table().Write(t.Output()); err != nil {
		t.Error(err)
	}
	if r.Filled.Machines != small.Nodes || r.Waits.Machines != small.Samples {
		t.Errorf("%d and %d machines were bought, want %d and %d", r.Filled.Machines, r.Waits.Machines, small.Nodes, small.Samples)
	}
	if adds := r.Filled.Calls.Endpoints[addWorker].Total; adds != small.Nodes {
		t.Errorf("%d requests for %d machines, want one each", adds, small.Nodes)
	}
	if all := small.Nodes + small.Samples; r.Emptied.Machines != all || 10*r.Emptied.Calls.Endpoints[deleteWorker].Total > deletesAMachine*all {
		t.Errorf("%d machines were removed by %d requests, want %d by at most 1.2 each", r.Emptied.Machines, r.Emptied.Calls.Endpoints[deleteWorker].Total, all)
	}
	if !r.Verdict.Clean() {
		t.Errorf("the ledger shows %+v", r.Verdict)
	}
}

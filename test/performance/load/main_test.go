//go:build load

package load_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

// What the provisioner may ask of VPSie.
const (
	requestsPerMinute = 1200
	requestsBurst     = 60
)

// Flags make the stress tests larger than they are in every run of all tests.
var (
	groups   = flag.Int("groups", 4, "how many NodeGroups the stress tests have")
	machines = flag.Int("machines", 8, "how many machines they need, a multiple of the groups")
	lasts    = flag.Duration("churn", churnLasts, "how long pods come and go")
)

func TestMain(m *testing.M) {
	flag.Parse()
	stacktest.Main(m, stack.Options{
		// Every service gets to everything through a proxy, which can be slow.
		Links:   true,
		SimArgs: []string{fmt.Sprintf("--worker-cap=%d", 4*max(*machines, small.Nodes+small.Samples))},
		ServiceArgs: map[string][]string{
			stack.Provisioner: {fmt.Sprintf("--vpsie-requests-per-minute=%d", requestsPerMinute), fmt.Sprintf("--vpsie-burst=%d", requestsBurst)},
		},
	})
}

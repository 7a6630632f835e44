//go:build load

package load_test

import (
	"flag"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/performance/load"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

// Flags make the stress tests larger than they are in every run of all tests.
var (
	groups   = flag.Int("groups", 4, "how many NodeGroups the stress tests have")
	machines = flag.Int("machines", 12, "how many machines they need, a multiple of the groups")
	lasts    = flag.Duration("churn", churnLasts, "how long pods come and go")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Every service gets to everything through a proxy, which can be slow.
	o := load.Options(load.Size{Groups: *groups, Nodes: max(*machines, small.Nodes), Samples: small.Samples}, nil)
	o.Links = true
	stacktest.Main(m, o)
}

//go:build chaos

// Package chaos_test breaks what the product depends on, at moments that dice choose, while work comes and goes,
// and looks whether anything was lost, leaked or wrongly deleted.
package chaos_test

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

func TestMain(m *testing.M) {
	stacktest.Main(m, stack.Options{
		Links:   true,
		Restart: true,
		ServiceArgs: map[string][]string{
			// A request whose machine another one was given is waited for until then.
			stack.Planner: {"--launch-deadline=90s"},
			stack.Provisioner: {
				"--vpsie-timeout=5s",
				"--cluster-poll=3s",
				// Longer than any listing of these tests lags.
				"--missing-after=12s",
			},
		},
	})
}

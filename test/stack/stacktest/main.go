// Package stacktest shares one stack between the tests of a package and looks at it as tests do.
package stacktest

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

// shared is the stack of the test process, set by Main.
var shared *stack.Stack

// Main runs the tests of a package on one stack, which takes most of a short test's time to start.
// The environment variable KUBECONFIG names a cluster to use instead of a new one.
func Main(m *testing.M, o stack.Options) { os.Exit(run(m, o)) }

func run(m *testing.M, o stack.Options) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o.Kubeconfig, o.Log = os.Getenv("KUBECONFIG"), os.Stderr
	s, err := stack.Start(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = s
	code := m.Run()
	if code != 0 {
		s.KeepFiles()
		fmt.Fprintf(os.Stderr, "stack: tests failed; logs are kept in %s\n", filepath.Join(s.Dir, "logs"))
	}
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop stack:", err)
		return 1
	}
	return code
}

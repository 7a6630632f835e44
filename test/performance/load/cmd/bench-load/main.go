// Command bench-load puts the whole product under load and prints what it measures beside the goals of the design.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/performance/load"
)

// exitMissed is the exit status when everything was measured and a goal is missed.
const exitMissed = 3

var errMissed = errors.New("goals are missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errMissed):
		fmt.Fprintln(os.Stderr, "bench-load:", err)
		os.Exit(exitMissed)
	default:
		fmt.Fprintln(os.Stderr, "bench-load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, messages io.Writer) error {
	size, inMemory := load.Full, false
	flags := flag.NewFlagSet("bench-load", flag.ContinueOnError)
	flags.SetOutput(messages)
	flags.IntVar(&size.Groups, "groups", size.Groups, "how many NodeGroups")
	flags.IntVar(&size.Nodes, "nodes", size.Nodes, "how many machines")
	flags.IntVar(&size.Pods, "pods", size.Pods, "how many pods, a multiple of the machines")
	flags.IntVar(&size.Samples, "samples", size.Samples, "how many single pods come afterwards")
	rest := flags.Duration("rest", time.Minute, "how long nothing happens before memory at rest is read")
	flags.BoolVar(&inMemory, "in-memory", false, "use a cluster in memory instead of a control plane with KWOK")
	if err := flags.Parse(args); err != nil {
		return err
	}
	measure := load.Run
	if inMemory {
		measure = load.RunInMemory
	}
	report, err := measure(ctx, size, *rest, messages)
	if err != nil {
		return err
	}
	table := report.Table()
	if err := table.Write(out); err != nil {
		return err
	}
	if missed := table.Missed(); len(missed) > 0 {
		return fmt.Errorf("%d %w", len(missed), errMissed)
	}
	return nil
}

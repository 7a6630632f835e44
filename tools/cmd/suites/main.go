// Command suites runs make targets with tests beside each other, and prints a table of what each took.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/vpsie/vpsie-autoscaler/tools/internal/suites"
)

const usage = `usage: suites ['TARGET...' ...] [-behind 'TARGET...' ...]

Each argument is a list of make targets that run one after the other, each with the variables
that follow it; the lists run beside each other.
Those after -behind get the time of processors that the others leave. A target hands $TESTFLAGS to "go test".
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	var lanes []suites.Lane
	behind := false
	for _, arg := range args {
		if arg == "-behind" {
			behind = true
			continue
		}
		lanes = append(lanes, suites.ParseLane(arg, behind))
	}
	if err := suites.Run(ctx, lanes, suites.Make, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		return 1
	}
	return 0
}

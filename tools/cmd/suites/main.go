// Command suites runs make targets with tests beside each other, and prints a table of what each took.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/vpsie/vpsie-autoscaler/tools/internal/suites"
)

const usage = `usage: suites 'TARGET...' ...

Each argument is a list of make targets that run one after the other; the lists run beside each other.
A target hands $TESTFLAGS to "go test".
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
	for _, arg := range args {
		lanes = append(lanes, strings.Fields(arg))
	}
	if err := suites.Run(ctx, lanes, suites.Make, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		return 1
	}
	return 0
}

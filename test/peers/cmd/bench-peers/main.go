// Command bench-peers prints a table of how Karpenter and this repository's engine plan for the same pods.
// Its exit status is 0 also where the engine loses; it is 1 when there is no table, and when kube-scheduler's
// own filters refuse one of the engine's plans.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/vpsie/vpsie-autoscaler/test/peers/contest"
)

func main() {
	runs := flag.Int("runs", 3, "how often each planner plans; medians are shown")
	soft := flag.Bool("soft", false, "also plan, once, for 4,000 pods with preferences, which takes Karpenter minutes")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *runs, *soft); err != nil {
		fmt.Fprintln(os.Stderr, "bench-peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, runs int, soft bool) error {
	contests, err := contest.Suite(runs)
	if err != nil {
		return err
	}
	if soft {
		contests = append(contests, contest.Soft()...)
	}
	if _, err := fmt.Fprintf(out, "%s\nMedians of %d runs of each.\n\n", contest.Setting(), runs); err != nil {
		return err
	}
	if err := contest.WriteHead(out); err != nil {
		return err
	}
	var refused error
	for _, c := range contests {
		row, err := contest.Hold(ctx, c)
		if err != nil {
			return err
		}
		if err := row.Write(out); err != nil {
			return err
		}
		if row.Refused != nil {
			refused = errors.Join(refused, fmt.Errorf("%s: %w", row.Name, row.Refused))
		}
	}
	if _, err := fmt.Fprint(out, contest.Legend); err != nil {
		return err
	}
	return refused
}

package suites

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what became of a suite.
type Result struct {
	Suite  string
	Counts Counts
	Took   time.Duration
	// Err is nil when the suite passed.
	Err      error
	failures []failure
	// repeated are the tests that passed when they were repeated alone.
	repeated []string
}

// printTable writes the table of suites, how long all of them took together, and what failed.
func printTable(out io.Writer, results []Result, took time.Duration) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "suite\ttests\tfailed\tskipped\tseconds")
	var sum Counts
	for _, r := range results {
		end := ""
		if r.Err != nil {
			end = "FAILED"
		} else if len(r.repeated) > 0 {
			end = "passed when repeated alone: " + strings.Join(r.repeated, ", ")
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.0f\t%s\n", r.Suite, r.Counts.Tests, r.Counts.Failed, r.Counts.Skipped, r.Took.Seconds(), end)
		sum.Tests, sum.Failed, sum.Skipped = sum.Tests+r.Counts.Tests, sum.Failed+r.Counts.Failed, sum.Skipped+r.Counts.Skipped
	}
	fmt.Fprintf(w, "together\t%d\t%d\t%d\t%.0f\n", sum.Tests, sum.Failed, sum.Skipped, took.Seconds())
	w.Flush() //nolint:errcheck // nobody is left to tell
	printFailures(out, results)
}

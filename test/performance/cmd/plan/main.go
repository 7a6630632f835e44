// Command plan plans machines for waiting pods and prints the plan as JSON.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/performance/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// exitWrongInput is the exit status when what is asked for cannot be planned.
const exitWrongInput = 2

const usage = `usage: plan -types FILE -pods FILE

Plans the cheapest machines for pods that wait, starting from an empty cluster, and prints one JSON object:

  nodes               machines to launch: type, zone, and the pods on each
  unplaced            pods that no machine is launched for, and why
  costPerHour         dollars
  lowerBoundPerHour   what any plan for the same pods costs at least, by their requests alone
  wallSeconds         the time of planning, without reading the files and without the bound
  peakMiB             the most memory that the process had
  seed                always 0: nothing is drawn, so the same input gives the same plan

Files that cannot be read give an error and exit status 2.

`

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "plan:", err)
		os.Exit(exitWrongInput)
	}
}

// result is what is printed.
type result struct {
	*plan.Plan
	LowerBoundPerHour float64 `json:"lowerBoundPerHour"`
	WallSeconds       float64 `json:"wallSeconds"`
	PeakMiB           float64 `json:"peakMiB"`
	Seed              int     `json:"seed"`
}

// run writes to out only when there is a plan.
func run(args []string, out, messages io.Writer) error {
	flags := flag.NewFlagSet("plan", flag.ContinueOnError)
	flags.SetOutput(messages)
	flags.Usage = func() { fmt.Fprint(messages, usage); flags.PrintDefaults() }
	types := flags.String("types", "", "`file` of machine types")
	pods := flags.String("pods", "", "`file` with a PodList")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case *types == "" || *pods == "":
		return errors.New("both -types and -pods are needed (TYPES= and PODS= with make)")
	case flags.NArg() > 0:
		return fmt.Errorf("argument %q is not understood: files are named by -types and -pods", flags.Arg(0))
	}
	w, err := workload.Read(*types, *pods)
	if err != nil {
		return err
	}
	r, err := resultOf(&w)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

func resultOf(w *workload.Workload) (*result, error) {
	start := time.Now()
	batch, err := w.Batch()
	if err != nil {
		return nil, err
	}
	problem := batch.Problem()
	packed := packing.Pack(problem)
	r := &result{WallSeconds: time.Since(start).Seconds()}
	r.Plan = plan.Of(batch, &problem, packed)
	r.LowerBoundPerHour = r.Plan.LowerBoundPerHour()
	r.PeakMiB, err = peakMiB()
	return r, err
}

// peakMiB is the most memory that the process has had resident.
func peakMiB() (float64, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("read the memory that was used: %w", err)
	}
	const kibibytes = 1024 // Linux counts in KiB
	return float64(usage.Maxrss) / kibibytes, nil
}

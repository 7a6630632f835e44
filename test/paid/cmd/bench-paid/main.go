// Command bench-paid prints what is paid for neutral workloads once a real kube-scheduler has bound every pod.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/paid"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// publishedSeed makes the workloads for which other planners' figures are known.
const publishedSeed = 42

var makers = map[string]func(int, uint64) workload.Workload{
	"plain": workload.Plain, "diverse": workload.Diverse, "soft": workload.Soft, "zonal": workload.Zonal,
	"preferred": workload.Preferred, "deployments": workload.Deployments,
}

type options struct {
	workloads, sizes, over string
	runs                   int
	plannerArgs            string
	ours, unnominated      bool
	karpenter, crds        string
	verbose                bool
}

func main() {
	var o options
	flag.StringVar(&o.workloads, "workloads", "plain,diverse,soft,zonal,preferred,deployments", "which workloads")
	flag.StringVar(&o.sizes, "pods", "100,1000,5000", "how many pods")
	flag.StringVar(&o.over, "over", "0s,30s", "over which times pods are created")
	flag.IntVar(&o.runs, "runs", 1, "how often each case runs")
	flag.StringVar(&o.plannerArgs, "planner-args", "", "further flags of the planner, separated by spaces")
	flag.BoolVar(&o.ours, "ours", true, "run each case with the product")
	flag.BoolVar(&o.unnominated, "without-nominations", true, "run each case without nominations as well")
	flag.StringVar(&o.karpenter, "karpenter", "", "a build of Karpenter with its kwok provider to run each case with as well")
	flag.StringVar(&o.crds, "karpenter-crds", "", "folders of its custom resource definitions, separated by commas")
	flag.BoolVar(&o.verbose, "v", false, "tell what starts and stops")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-paid:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, o options) error {
	cases, err := casesOf(o)
	if err != nil {
		return err
	}
	log := io.Discard
	if o.verbose {
		log = os.Stderr
	}
	if err := paid.WriteHead(out); err != nil {
		return err
	}
	for _, c := range cases {
		plan, err := paid.PlanOf(c.Workload)
		if err != nil {
			return err
		}
		for range o.runs {
			for _, r := range o.runners(log) {
				row, err := r.run(ctx, c)
				if err != nil {
					return fmt.Errorf("%s, %s, %d pods: %w", r.name, c.Workload.Name, len(c.Workload.Pods), err)
				}
				row.Who = r.name
				if err := row.Write(out, plan); err != nil {
					return err
				}
			}
		}
	}
	_, err = fmt.Fprint(out, paid.Legend)
	return err
}

type runner struct {
	name string
	run  func(context.Context, paid.Case) (paid.Row, error)
}

// runners are who runs each case, one after the other.
func (o options) runners(log io.Writer) []runner {
	args := strings.Fields(o.plannerArgs)
	var all []runner
	if o.ours {
		all = append(all, runner{"ours", func(ctx context.Context, c paid.Case) (paid.Row, error) { return paid.Ours(ctx, c, log, args...) }})
	}
	if o.unnominated {
		all = append(all, runner{"without nominations", func(ctx context.Context, c paid.Case) (paid.Row, error) {
			return paid.Ours(ctx, c, log, append(args, "--nominate=false")...)
		}})
	}
	if o.karpenter != "" {
		k := paid.Karpenter{Path: o.karpenter, CRDs: strings.Split(o.crds, ",")}
		all = append(all, runner{"Karpenter", func(ctx context.Context, c paid.Case) (paid.Row, error) { return k.Run(ctx, c, log) }})
	}
	return all
}

func casesOf(o options) ([]paid.Case, error) {
	var cases []paid.Case
	for over := range strings.SplitSeq(o.over, ",") {
		d, err := time.ParseDuration(over)
		if err != nil {
			return nil, fmt.Errorf("over: %w", err)
		}
		for size := range strings.SplitSeq(o.sizes, ",") {
			n, err := strconv.Atoi(size)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("pods: %q is not a number of pods", size)
			}
			for name := range strings.SplitSeq(o.workloads, ",") {
				if makers[name] == nil {
					return nil, fmt.Errorf("workloads: %q is none of plain, diverse, soft, zonal, preferred, deployments", name)
				}
				cases = append(cases, paid.Case{Workload: makers[name](n, publishedSeed), Over: d})
			}
		}
	}
	return cases, nil
}

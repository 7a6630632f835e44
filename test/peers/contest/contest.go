// Package contest has the engine and Karpenter plan for the same pods on the same machines, and tells what each
// of them does better.
package contest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/judge"
	"github.com/vpsie/vpsie-autoscaler/test/peers/engine"
	"github.com/vpsie/vpsie-autoscaler/test/peers/karpenter"
	"github.com/vpsie/vpsie-autoscaler/test/peers/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// Contest is one input for both planners.
type Contest struct {
	Name     string
	Workload workload.Workload
	// Types are the workload's types as Karpenter takes them.
	Types []*cloudprovider.InstanceType
	// Preferences are what Karpenter does with them; the engine launches what a share of the price is enough for.
	Preferences karpenter.Preferences
	// Runs is how often each planner plans, in turn with the other; 1 at least.
	Runs int
}

// Outcome tells a planner's runs by the median of each figure, the lower one of an even number of runs.
type Outcome struct {
	// CostHour is in dollars.
	CostHour    float64
	Nodes, Left int
	Took        time.Duration
	// CPUPercent and MemoryPercent are the shares of what is launched that pods request.
	CPUPercent, MemoryPercent float64
}

// Row is a contest and how it ended.
type Row struct {
	Contest
	Ours, Theirs Outcome
	// Refused is what kube-scheduler has against our plan, nil if nothing.
	Refused error
}

// Hold runs a contest. The error tells why there is no result; losing and being refused are results.
func Hold(ctx context.Context, c Contest) (Row, error) {
	if c.Runs < 1 {
		return Row{}, fmt.Errorf("contest %q has %d runs: ask for 1 at least", c.Name, c.Runs)
	}
	row := Row{Contest: c}
	var ours, theirs []plan.Plan
	for run := range c.Runs {
		runtime.GC() // what one planner leaves behind is not the other's to collect
		mine, err := engine.Plan(&c.Workload)
		if err != nil {
			return Row{}, fmt.Errorf("contest %q: plan with the engine: %w", c.Name, err)
		}
		if run == 0 {
			if row.Refused, err = refusals(ctx, &mine); err != nil {
				return Row{}, fmt.Errorf("contest %q: %w", c.Name, err)
			}
		} else if !slices.EqualFunc(ours[0].Machines, mine.Machines, alike) {
			return Row{}, fmt.Errorf("contest %q: the engine's plan of run %d is not that of the first: it must depend on its input alone", c.Name, run+1)
		}
		ours = append(ours, mine.Plan)
		runtime.GC()
		other, err := karpenter.Plan(ctx, c.Workload.Pods, c.Types, c.Preferences)
		if err != nil {
			return Row{}, fmt.Errorf("contest %q: plan with Karpenter: %w", c.Name, err)
		}
		theirs = append(theirs, other)
	}
	row.Ours, row.Theirs = outcomeOf(ours), outcomeOf(theirs)
	return row, nil
}

func alike(a, b plan.Machine) bool { return a.Type == b.Type && a.Zone == b.Zone && a.Pods == b.Pods }

// refusals replays a plan by kube-scheduler's filters. Refused is what they have against it.
func refusals(ctx context.Context, r *engine.Result) (refused, err error) {
	err = judge.Judge(ctx, cluster.Objects{}, r.Nodes, r.Placements)
	var by *judge.RefusedError
	if errors.As(err, &by) {
		return err, nil
	}
	return nil, err
}

func outcomeOf(runs []plan.Plan) Outcome {
	return Outcome{
		CostHour:      median(runs, (*plan.Plan).Cost),
		Nodes:         median(runs, func(p *plan.Plan) int { return len(p.Machines) }),
		Left:          median(runs, func(p *plan.Plan) int { return p.Left }),
		Took:          median(runs, func(p *plan.Plan) time.Duration { return p.Took }),
		CPUPercent:    median(runs, func(p *plan.Plan) float64 { return p.Fill(corev1.ResourceCPU) }),
		MemoryPercent: median(runs, func(p *plan.Plan) float64 { return p.Fill(corev1.ResourceMemory) }),
	}
}

func median[T int | float64 | time.Duration](runs []plan.Plan, figure func(*plan.Plan) T) T {
	figures := make([]T, 0, len(runs))
	for i := range runs {
		figures = append(figures, figure(&runs[i]))
	}
	slices.Sort(figures)
	return figures[(len(figures)-1)/2]
}

// noise is the difference in cost, as a share, that adding up prices makes.
const noise = 1e-9

// Lost names what our plan is worse in: "pods" left without a machine, "cost" and "speed".
func (r *Row) Lost() []string {
	var out []string
	if r.Ours.Left > r.Theirs.Left {
		out = append(out, "pods")
	}
	if r.Ours.CostHour > r.Theirs.CostHour*(1+noise) {
		out = append(out, "cost")
	}
	if r.Ours.Took > r.Theirs.Took {
		out = append(out, "speed")
	}
	return out
}

// CostRatio is our cost as a share of Karpenter's: below 1 is cheaper.
func (r *Row) CostRatio() float64 { return r.Ours.CostHour / r.Theirs.CostHour }

// SpeedRatio is how many pods a second we plan for each of Karpenter's: above 1 is faster.
func (r *Row) SpeedRatio() float64 { return r.Theirs.Took.Seconds() / r.Ours.Took.Seconds() }

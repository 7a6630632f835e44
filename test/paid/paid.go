// Package paid measures what users pay: the price of all machines once a real kube-scheduler has bound every pod of a workload.
// A plan is cheaper than that where pods are planned in pieces or bound elsewhere than planned.
package paid

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/performance/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// Case is a workload and the time over which its pods are created; zero is as fast as the API server takes them.
type Case struct {
	Workload workload.Workload
	Over     time.Duration
}

// Row is what became of a case.
type Row struct {
	Case
	// Who tells what ran: a planner and how it was set.
	Who string
	// PaidHour is the price of all machines in the end, in dollars an hour.
	PaidHour float64
	Machines int
	// Decisions are the plans that launched; Late are those of them made after the last pod was created.
	Decisions, Late int
	// FirstRequest and AllBound count from the creation of the first pod.
	FirstRequest, AllBound time.Duration
	// Nominated are the pods that were nominated when they were bound, Followed those of them bound where nominated.
	Nominated, Followed int

	began time.Time
}

// Plan is what the engine plans for a workload that it sees whole.
type Plan struct{ CostHour, BoundHour float64 }

// PlanOf plans a workload at once.
func PlanOf(w workload.Workload) (Plan, error) {
	batch, err := w.Batch()
	if err != nil {
		return Plan{}, err
	}
	problem := batch.Problem()
	p := plan.Of(batch, &problem, packing.Pack(problem))
	if len(p.Unplaced) > 0 {
		return Plan{}, fmt.Errorf("the engine leaves %d pods of %s: the case must be one that can be served", len(p.Unplaced), w.Name)
	}
	return Plan{CostHour: p.CostPerHour, BoundHour: p.LowerBoundPerHour()}, nil
}

const (
	heading = "%-12s %6s %5s %-22s %8s %8s %8s %7s %9s %8s %5s %8s %8s %10s"
	line    = "%-12s %6d %5s %-22s %8.3f %8.3f %8.3f %7.3f %9d %8d %5d %8.1f %8.1f %10s"
)

// WriteHead writes the head of the table.
func WriteHead(w io.Writer) error {
	head := fmt.Sprintf(heading, "workload", "pods", "over", "who", "bound", "plan", "paid", "ratio", "machines", "plans", "late", "first s", "bound s", "followed")
	_, err := fmt.Fprintf(w, "%s\n%s\n", head, strings.Repeat("-", len(head)))
	return err
}

// Write writes a line of the table; p is the plan of the whole.
func (r *Row) Write(w io.Writer, p Plan) error {
	followed := "-"
	if r.Nominated > 0 {
		followed = fmt.Sprintf("%d/%d", r.Followed, r.Nominated)
	}
	_, err := fmt.Fprintf(w, line+"\n", r.Workload.Name, len(r.Workload.Pods), fmt.Sprintf("%.0fs", r.Over.Seconds()), r.Who, p.BoundHour, p.CostHour,
		r.PaidHour, r.PaidHour/p.BoundHour, r.Machines, r.Decisions, r.Late, r.FirstRequest.Seconds(), r.AllBound.Seconds(), followed)
	return err
}

// Legend explains the table.
const Legend = `
bound is what any plan costs an hour at least, plan what the engine's plan of the whole costs, paid what all machines cost once every pod is bound
by kube-scheduler and nothing was launched for five seconds; ratio is paid over bound. plans are the plans that launched, late those made after the
last pod was created. first is the time from the creation of the first pod to the first request for a machine, bound s to the last pod's binding.
At Karpenter first is not known, and plans are those that its log tells.
followed are the pods that were bound where they were nominated, of those that were nominated.
`

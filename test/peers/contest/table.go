package contest

import (
	"fmt"
	"io"
	"strings"
)

const (
	headings = "%-28s %6s %5s | %36s | %36s | %6s %7s  %-8s %s"
	columns  = "%9s %5s %5s %7s %7s"
	lines    = "%-28s %6d %5d | %36s | %36s | %6.3f %7.2f  %-8s %s"
)

// WriteHead writes the head of the table.
func WriteHead(w io.Writer) error {
	of := fmt.Sprintf(columns, "$/h", "nodes", "left", "s", "fill %")
	above := fmt.Sprintf(headings, "", "", "", "ours", "Karpenter", "cost", "pods/s", "", "")
	head := fmt.Sprintf(headings, "workload", "pods", "types", of, of, "ratio", "ratio", "filters", "lost on")
	_, err := fmt.Fprintf(w, "%s\n%s\n%s\n", strings.TrimRight(above, " "), head, strings.Repeat("-", len(head)))
	return err
}

// Write writes a line of the table.
func (r *Row) Write(w io.Writer) error {
	verdict, lost := "agree", "-"
	if r.Refused != nil {
		verdict = "REFUSE"
	}
	if l := r.Lost(); len(l) > 0 {
		lost = strings.ToUpper(strings.Join(l, ", "))
	}
	_, err := fmt.Fprintf(w, lines+"\n", r.Name, len(r.Workload.Pods), len(r.Types), r.Ours, r.Theirs, r.CostRatio(), r.SpeedRatio(), verdict, lost)
	return err
}

// String spells an outcome in the table's columns; fill is processors/memory.
func (o Outcome) String() string {
	return fmt.Sprintf(columns, fmt.Sprintf("%.3f", o.CostHour), fmt.Sprint(o.Nodes), fmt.Sprint(o.Left),
		fmt.Sprintf("%.3f", o.Took.Seconds()), fmt.Sprintf("%.0f/%.0f", o.CPUPercent, o.MemoryPercent))
}

// Legend explains the table.
const Legend = `
s is the time from pods to plan: ours with telling the pods' shapes and making the state, Karpenter's one Solve without its set-up, as its
own benchmark takes it. fill is the share of the launched processors/memory that pods request. Ratios are ours over Karpenter's: cost below 1 is
cheaper, pods/s above 1 is faster. filters: whether kube-scheduler's own filters agree with each placement of our plan, in its order.
The 400 types are Karpenter's test types at its test prices. Where preferences are at stake each planner ran once.
`

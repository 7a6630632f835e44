package load

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Row is a line of the table.
type Row struct {
	What, Goal, Measured string
	// Met says whether the goal is; it means nothing where there is no goal.
	Met bool
}

// Table is what was measured, with the goals beside it.
type Table []Row

func (t *Table) info(what, format string, args ...any) {
	*t = append(*t, Row{What: what, Measured: fmt.Sprintf(format, args...)})
}

func (t *Table) duration(what string, goal, measured time.Duration) {
	*t = append(*t, Row{What: what, Goal: "≤ " + short(goal), Measured: short(measured), Met: measured <= goal})
}

func (t *Table) ratio(what string, goal, measured float64) {
	*t = append(*t, Row{What: what, Goal: fmt.Sprintf("≤ %.1f", goal), Measured: fmt.Sprintf("%.2f", measured), Met: measured <= goal})
}

func (t *Table) count(what string, goal, measured int) {
	*t = append(*t, Row{What: what, Goal: fmt.Sprint(goal), Measured: fmt.Sprint(measured), Met: measured == goal})
}

func (t *Table) memory(what string, goal int64, m Memory) {
	var parts []string
	for _, name := range order(m) {
		parts = append(parts, fmt.Sprintf("%s %.0f", name, float64(m[name])/megabyte))
	}
	*t = append(*t, Row{
		What: what, Goal: fmt.Sprintf("≤ %.0f MB", float64(goal)/megabyte),
		Measured: fmt.Sprintf("%.0f MB (%s)", float64(m.Total())/megabyte, strings.Join(parts, ", ")), Met: m.Total() <= goal,
	})
}

// Missed are the goals that are not met.
func (t Table) Missed() []Row {
	var missed []Row
	for _, row := range t {
		if row.Goal != "" && !row.Met {
			missed = append(missed, row)
		}
	}
	return missed
}

// Write writes the table.
func (t Table) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintf(tw, "what\tgoal\tmeasured\tmet\n----\t----\t--------\t---\n"); err != nil {
		return err
	}
	for _, row := range t {
		goal, met := row.Goal, "-"
		if goal == "" {
			goal = "-"
		} else if met = "yes"; !row.Met {
			met = "no"
		}
		if _, err := fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", row.What, goal, row.Measured, met); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// short writes a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
}

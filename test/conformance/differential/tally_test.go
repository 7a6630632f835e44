package differential

import (
	"fmt"
	"strings"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
)

// counts are the verdicts compared, by outcome.
type counts [falseRefusal + 1]int

func (c *counts) total() int { return c[bothFit] + c[bothRefuse] + c[falseFit] + c[falseRefusal] }

func (c *counts) String() string {
	return fmt.Sprintf("%7d verdicts, %7d both fit, %7d both refuse, %d false fits, %d false refusals",
		c.total(), c[bothFit], c[bothRefuse], c[falseFit], c[falseRefusal])
}

// tally counts all verdicts, and those about pods with each kind of constraint.
type tally struct {
	all       counts
	kinds     map[generate.Kind]*counts
	scenarios int
}

func newTally() *tally {
	t := &tally{kinds: map[generate.Kind]*counts{}}
	for _, kind := range generate.Kinds {
		t.kinds[kind] = &counts{}
	}
	return t
}

func (t *tally) add(c comparison) {
	t.all[c.outcome()]++
	for _, kind := range c.arrival.Kinds {
		t.kinds[kind][c.outcome()]++
	}
}

// summary is one line for people who only want to know how much was compared.
func (t *tally) summary() string {
	return fmt.Sprintf("conformance with kube-scheduler: %d scenarios, %s", t.scenarios, strings.TrimSpace(t.all.String()))
}

func (t *tally) String() string {
	var b strings.Builder
	b.WriteString(t.summary())
	for _, kind := range generate.Kinds {
		fmt.Fprintf(&b, "\n%-16s %s", kind, t.kinds[kind])
	}
	return b.String()
}

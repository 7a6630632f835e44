package differential

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/oracle"
)

var (
	verdictsMin = flag.Int("verdicts", 100_000, "how many verdicts to compare at least")
	firstSeed   = flag.Uint64("seed", 1, "the seed of the first scenario; the others follow it")
)

// compared is what the run counted, for TestMain to print: go test shows no log of a test that passes.
var compared *tally

func TestMain(m *testing.M) {
	code := m.Run()
	if compared != nil {
		fmt.Println(compared.summary())
	}
	os.Exit(code)
}

const (
	// examplesMax is how many differences are worth reading.
	examplesMax = 6
	// falseRefusalsMax is how many false refusals are borne, in a thousand verdicts.
	falseRefusalsMax = 1
)

func newArena(t *testing.T) *arena {
	t.Helper()
	o, err := oracle.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &arena{oracle: o}
}

func TestEngineAgreesWithTheScheduler(t *testing.T) {
	a, total := newArena(t), newTally()
	compared = total
	var examples []example
	for seed := *firstSeed; total.all.total() < *verdictsMin; seed++ {
		s := generate.New(seed)
		total.scenarios++
		err := a.replay(t.Context(), s, func(c comparison) {
			total.add(c)
			examples = keep(examples, s, c)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Log(total)
	for _, e := range examples {
		t.Log(a.explain(t.Context(), e.scenario, e.difference))
	}
	if n := total.all[falseFit]; n > 0 {
		t.Errorf("%d false fits, want none", n)
	}
	if n := total.all[falseRefusal]; n*1000 > falseRefusalsMax*total.all.total() {
		t.Errorf("%d false refusals in %d verdicts, want %d in a thousand at most", n, total.all.total(), falseRefusalsMax)
	}
}

// example is a scenario with a difference.
type example struct {
	scenario   generate.Scenario
	difference difference
}

// keep adds an example of a difference that there is none of yet.
func keep(examples []example, s generate.Scenario, c comparison) []example {
	d := c.difference()
	if d.outcome == bothFit || d.outcome == bothRefuse || len(examples) == examplesMax {
		return examples
	}
	for _, e := range examples {
		if e.difference == d {
			return examples
		}
	}
	return append(examples, example{s, d})
}

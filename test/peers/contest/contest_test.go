package contest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/karpenter/pkg/cloudprovider"

	"github.com/vpsie/vpsie-autoscaler/test/peers/contest"
	"github.com/vpsie/vpsie-autoscaler/test/peers/karpenter"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

func TestLost(t *testing.T) {
	base := contest.Outcome{CostHour: 2, Took: time.Second}
	for name, c := range map[string]struct {
		ours contest.Outcome
		want []string
	}{
		"Nothing":         {base, nil},
		"Rounding":        {contest.Outcome{CostHour: 2 * (1 + 1e-12), Took: time.Second}, nil},
		"Cost":            {contest.Outcome{CostHour: 2.0001, Took: time.Second}, []string{"cost"}},
		"Speed":           {contest.Outcome{CostHour: 1, Took: time.Second + 1}, []string{"speed"}},
		"PodsComeFirst":   {contest.Outcome{CostHour: 3, Took: 2 * time.Second, Left: 1}, []string{"pods", "cost", "speed"}},
		"NodesDoNotCount": {contest.Outcome{CostHour: 2, Took: time.Second, Nodes: 9}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			row := contest.Row{Ours: c.ours, Theirs: base}
			if got := row.Lost(); !slices.Equal(got, c.want) {
				t.Errorf("lost %v, want %v", got, c.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	row := contest.Row{
		Contest: contest.Contest{Name: "plain 100, seed 42", Workload: workload.Workload{Pods: pods(3, "1", nil)}, Types: make([]*cloudprovider.InstanceType, 21)},
		Ours:    contest.Outcome{CostHour: 1.5, Nodes: 3, Took: 20 * time.Millisecond, CPUPercent: 98.4, MemoryPercent: 71.6},
		Theirs:  contest.Outcome{CostHour: 2, Nodes: 1, Left: 4, Took: 10 * time.Millisecond, CPUPercent: 77, MemoryPercent: 73},
	}
	refused := row
	refused.Refused, refused.Ours.CostHour, refused.Ours.Took = errors.New("no"), 2.5, time.Millisecond
	var out strings.Builder
	if err := contest.WriteHead(&out); err != nil {
		t.Fatal(err)
	}
	for _, r := range []contest.Row{row, refused} {
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.TrimPrefix(`
                                          |                                 ours |                            Karpenter |   cost  pods/s
workload                       pods types |       $/h nodes  left       s  fill % |       $/h nodes  left       s  fill % |  ratio   ratio  filters  lost on
------------------------------------------------------------------------------------------------------------------------------------------------------------
plain 100, seed 42                3    21 |     1.500     3     0   0.020   98/72 |     2.000     1     4   0.010   77/73 |  0.750    0.50  agree    SPEED
plain 100, seed 42                3    21 |     2.500     3     0   0.001   98/72 |     2.000     1     4   0.010   77/73 |  1.250   10.00  REFUSE   COST
`, "\n")
	if out.String() != want {
		t.Errorf("the table is\n%s\nwant\n%s", out.String(), want)
	}
}

func TestHold(t *testing.T) {
	w := workload.Workload{Pods: pods(5, "900m", nil), Types: []workload.Type{machine("two", 2, 1, "z1")}}
	types, err := karpenter.Types(w.Types)
	if err != nil {
		t.Fatal(err)
	}
	row, err := contest.Hold(t.Context(), contest.Contest{Name: "small", Workload: w, Types: types, Runs: 2})
	if err != nil {
		t.Fatal(err)
	}
	for planner, o := range map[string]contest.Outcome{"ours": row.Ours, "theirs": row.Theirs} {
		if o.CostHour != 3 || o.Nodes != 3 || o.Left != 0 || o.Took <= 0 || o.CPUPercent != 75 {
			t.Errorf("%s is %+v, want 3 machines at 1 dollar that are full to 75 %%", planner, o)
		}
	}
	if row.Refused != nil {
		t.Errorf("kube-scheduler refuses our plan: %v", row.Refused)
	}
	if row.CostRatio() != 1 {
		t.Errorf("cost ratio is %v, want 1", row.CostRatio())
	}
	if _, err := contest.Hold(t.Context(), contest.Contest{Workload: w, Types: types}); err == nil {
		t.Error("a contest without runs has a result")
	}
}

package performance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/performance/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

func planOf(t testing.TB, w workload.Workload) *plan.Plan {
	t.Helper()
	b, err := w.Batch()
	if err != nil {
		t.Fatal(err)
	}
	problem := b.Problem()
	return plan.Of(b, &problem, packing.Pack(problem))
}

// neutral is the plain or the diverse workload.
func neutral(mix string, pods int, seed uint64) workload.Workload {
	if mix == "plain" {
		return workload.Plain(pods, seed)
	}
	return workload.Diverse(pods, seed)
}

func TestPlansGetNoWorse(t *testing.T) {
	for _, tc := range []struct {
		mix  string
		pods int
		seed uint64
		// dollarsMax is what the plan may cost an hour, and peer what the best peer's costs, where that was measured.
		dollarsMax, peer float64
	}{
		{"plain", 100, 42, 1.02, 1.12},
		{"diverse", 100, 42, 1.40, 1.82},
		{"plain", 1000, 42, 11.80, 13.16},
		{"diverse", 1000, 42, 11.95, 15.02},
		{"plain", 5000, 42, 59.0, 65.7},
		{"diverse", 5000, 42, 59.6, 78.9},
		{"plain", 100, 7, 1.50, 0},
		{"diverse", 100, 7, 1.78, 0},
		{"plain", 1000, 7, 13.5, 0},
		{"diverse", 1000, 7, 13.65, 0},
		{"plain", 5000, 7, 68.5, 0},
		{"diverse", 5000, 7, 70, 0},
		{"plain", 100, 2026, 1.96, 0},
		{"diverse", 100, 2026, 2.16, 0},
		{"plain", 1000, 2026, 17.3, 0},
		{"diverse", 1000, 2026, 17.5, 0},
		{"plain", 5000, 2026, 87.5, 0},
		{"diverse", 5000, 2026, 90, 0},
	} {
		t.Run(fmt.Sprintf("%s/%d/seed%d", tc.mix, tc.pods, tc.seed), func(t *testing.T) {
			t.Parallel()
			p := planOf(t, neutral(tc.mix, tc.pods, tc.seed))
			if len(p.Unplaced) > 0 {
				t.Errorf("%d pods are left, the first is %v", len(p.Unplaced), p.Unplaced[0])
			}
			if p.CostPerHour > tc.dollarsMax {
				t.Errorf("costs %v dollars an hour, want at most %v", p.CostPerHour, tc.dollarsMax)
			}
			if tc.peer > 0 && p.CostPerHour >= tc.peer {
				t.Errorf("costs %v dollars an hour, want less than the best peer's %v", p.CostPerHour, tc.peer)
			}
		})
	}
}

func TestKarpentersMixNeedsNoMoreNodesThanItMust(t *testing.T) {
	t.Parallel()
	p := planOf(t, workload.KarpenterMix(1000))
	// A fifth of the pods want a node each.
	if len(p.Nodes) > 200 || len(p.Unplaced) > 0 {
		t.Errorf("%d nodes with %d pods left, want 200 and none", len(p.Nodes), len(p.Unplaced))
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if fill := p.Fill(name); fill < 0.78 {
			t.Errorf("%.1f %% of %s is requested, want at least 78 %%", 100*fill, name)
		}
	}
}

// Neither the order of pods and types nor an earlier run has a say in the plan.
func TestTheSameInputGivesTheSamePlan(t *testing.T) {
	for _, mix := range []string{"plain", "diverse"} {
		t.Run(mix, func(t *testing.T) {
			t.Parallel()
			w := neutral(mix, 1000, 42)
			want := planOf(t, w)
			for seed := range uint64(2) {
				random := rand.New(rand.NewPCG(seed, 1))
				shuffled := w
				shuffled.Pods, shuffled.Types = slices.Clone(w.Pods), slices.Clone(w.Types)
				if seed > 0 { // and once more as it is
					random.Shuffle(len(w.Pods), func(i, j int) { shuffled.Pods[i], shuffled.Pods[j] = shuffled.Pods[j], shuffled.Pods[i] })
					random.Shuffle(len(w.Types), func(i, j int) { shuffled.Types[i], shuffled.Types[j] = shuffled.Types[j], shuffled.Types[i] })
				}
				got := planOf(t, shuffled)
				if diff := cmp.Diff(want.Nodes, got.Nodes); diff != "" {
					t.Errorf("shuffle %d gives another plan: -want +got\n%s", seed, diff)
				}
			}
		})
	}
}

// The work depends on how many shapes of pods there are, and hardly on how many pods.
func TestTenTimesThePodsTakeNoMoreThanTwiceTheAllocations(t *testing.T) {
	for _, mix := range []string{"plain", "diverse"} {
		// Both are enough for the longest search, which allocates as much for few pods as for many.
		few, many := allocations(t, neutral(mix, 2500, 42)), allocations(t, neutral(mix, 25_000, 42))
		if many > 2*few {
			t.Errorf("%s: 25,000 pods take %.0f allocations and 2,500 of the same shapes %.0f: more than twice as many", mix, many, few)
		}
	}
}

func allocations(t *testing.T, w workload.Workload) float64 {
	t.Helper()
	b, err := w.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return testing.AllocsPerRun(1, func() { packing.Pack(b.Problem()) })
}

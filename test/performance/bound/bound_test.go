package bound_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/performance/bound"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

func lower(t *testing.T, w workload.Workload) float64 {
	t.Helper()
	b, err := w.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return workload.DollarsPerHour(bound.Lower(b.Demands(), b.Options))
}

// The figures are those of the neutral workloads' own column generation, and of plans that were found for them.
func TestLowerIsKnownForTheNeutralWorkloads(t *testing.T) {
	for pods, want := range map[int]struct{ bound, plan float64 }{100: {0.983, 1.000}, 1000: {11.738, 11.880}, 5000: {58.692, 59.528}} {
		t.Run(fmt.Sprint(pods), func(t *testing.T) {
			t.Parallel()
			got := lower(t, workload.Plain(pods, 42))
			if math.Abs(got-want.bound) > 0.005*want.bound {
				t.Errorf("bound %.4f, want %.3f within half a percent", got, want.bound)
			}
			if got > want.plan {
				t.Errorf("bound %.4f is above a plan of %.3f", got, want.plan)
			}
		})
	}
}

func TestLowerOfMachinesFilledExactly(t *testing.T) {
	types := []workload.Type{
		{Name: "one", VCPU: 1, MemGiB: 1, Pods: 10, PriceHour: 1, Zones: []string{"z"}},
		{Name: "ten", VCPU: 10, MemGiB: 10, Pods: 10, PriceHour: 8, Zones: []string{"z"}},
	}
	pod := func(milliCPU, gib int64) scheduling.Resources {
		return scheduling.Resources{corev1.ResourceCPU: milliCPU, corev1.ResourceMemory: gib << 30, corev1.ResourcePods: 1}
	}
	for name, tc := range map[string]struct {
		demands []packing.Demand
		want    float64
	}{
		"Nothing":       {nil, 0},
		"Fractions":     {[]packing.Demand{demand("a", pod(1000, 1), 5)}, 5}, // five may share no more than half of a ten
		"WholeMachines": {[]packing.Demand{demand("a", pod(1000, 1), 20)}, 16},
		"OneAMachine":   {[]packing.Demand{demand("a", pod(6000, 1), 3)}, 24},
		"PodsLimit":     {[]packing.Demand{demand("a", pod(1, 0), 30)}, 3},
		"TooLarge":      {[]packing.Demand{demand("a", pod(11_000, 1), 3)}, 0},
		"TwoResources":  {[]packing.Demand{demand("a", pod(9000, 1), 4), demand("b", pod(1000, 9), 4)}, 32},
	} {
		w := workload.Workload{Types: types}
		b, err := w.Batch()
		if err != nil {
			t.Fatal(err)
		}
		got := workload.DollarsPerHour(bound.Lower(tc.demands, b.Options))
		if got > tc.want || got < tc.want*0.998 {
			t.Errorf("%s: bound %v, want %v or at most 0.2 %% less", name, got, tc.want)
		}
	}
}

func demand(name string, requests scheduling.Resources, count int) packing.Demand {
	return packing.Demand{Item: scheduling.NewItem(scheduling.ShapeID(name), &scheduling.Shape{Requests: requests}), Count: count}
}

// No plan is below the bound: the cheapest of all plans for a few pods is found by trying every one.
func TestLowerIsBelowTheCheapestPlan(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		w := workload.Workload{Types: randomTypes(random)}
		b, err := w.Batch()
		if err != nil {
			t.Fatal(err)
		}
		var demands []packing.Demand
		var pods []scheduling.Resources
		for i := range 1 + random.IntN(4) {
			requests := scheduling.Resources{
				corev1.ResourceCPU: int64(100 * (1 + random.IntN(9))), corev1.ResourceMemory: int64(1+random.IntN(8)) << 28, corev1.ResourcePods: 1,
			}
			count := 1 + random.IntN(2)
			demands = append(demands, demand(fmt.Sprint(i), requests, count))
			for range count {
				pods = append(pods, requests)
			}
		}
		got, best := workload.DollarsPerHour(bound.Lower(demands, b.Options)), cheapest(pods, nil, b.Options)
		if got > best+1e-6 {
			t.Fatalf("round %d: bound %v is above the cheapest plan, %v", round, got, best)
		}
		if got < best/3 {
			t.Fatalf("round %d: bound %v is no use for a cheapest plan of %v", round, got, best)
		}
	}
}

func randomTypes(random *rand.Rand) []workload.Type {
	var types []workload.Type
	for i := range 1 + random.IntN(3) {
		types = append(types, workload.Type{
			Name: fmt.Sprint(i), VCPU: float64(1 + random.IntN(3)), MemGiB: float64(2 + random.IntN(4)), Pods: int64(2 + random.IntN(3)),
			PriceHour: float64(1+random.IntN(20)) / 10, Zones: []string{"z"},
		})
	}
	return types
}

// cheapest tries every way to put pods into groups and takes the cheapest machine for each group.
func cheapest(pods []scheduling.Resources, groups []scheduling.Resources, options []*packing.Option) float64 {
	if len(pods) == 0 {
		sum := 0.0
		for _, g := range groups {
			sum += machineFor(g, options)
		}
		return sum
	}
	best := math.Inf(1)
	for i := range groups {
		groups[i].Add(pods[0], 1)
		best = min(best, cheapest(pods[1:], groups, options))
		groups[i].Add(pods[0], -1)
	}
	return min(best, cheapest(pods[1:], append(groups[:len(groups):len(groups)], pods[0].Clone()), options))
}

func machineFor(requests scheduling.Resources, options []*packing.Option) float64 {
	best := math.Inf(1)
	for _, o := range options {
		fits := true
		for name, amount := range requests {
			fits = fits && amount <= o.Empty.Allocatable[name]
		}
		if fits {
			best = min(best, workload.DollarsPerHour(o.MonthlyPrice))
		}
	}
	return best
}

// More kinds of pods than the linear program has rows are rounded down. What they request together bounds them still.
func TestLowerOfManyKindsOfPods(t *testing.T) {
	w := workload.Workload{Types: []workload.Type{{Name: "g", VCPU: 8, MemGiB: 32, Pods: 110, PriceHour: 1, Zones: []string{"z"}}}}
	b, err := w.Batch()
	if err != nil {
		t.Fatal(err)
	}
	var demands []packing.Demand
	cores := 0.0
	for i := range 300 {
		milliCPU, mebibytes := int64(500+i%30), int64(1000+i/30)
		demands = append(demands, demand(fmt.Sprint(i), scheduling.Resources{corev1.ResourceCPU: milliCPU, corev1.ResourceMemory: mebibytes << 20, corev1.ResourcePods: 1}, 3))
		cores += 3 * float64(milliCPU) / 1000
	}
	if got := workload.DollarsPerHour(bound.Lower(demands, b.Options)); got < 0.999*cores/8 || got > 1.1*cores/8 {
		t.Errorf("bound %v, want a little more than the price of the cores alone, %v", got, cores/8)
	}
}

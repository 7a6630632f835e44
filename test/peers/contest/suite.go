package contest

import (
	"fmt"

	"github.com/vpsie/vpsie-autoscaler/test/peers/karpenter"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

const (
	// publishedSeed makes the workloads for which other planners' figures are known.
	publishedSeed = 42
	// mixPods is the size of Karpenter's own benchmark that is run, and softPods that of its benchmark of preferences.
	mixPods  = 1000
	softPods = 4000
)

// otherSeeds show whether the published workloads are a lucky draw.
var otherSeeds = []uint64{7, 2026}

// Suite are the contests on what pods require: neutral pods on the neutral catalogue, and Karpenter's benchmark on
// its own types.
func Suite(runs int) ([]Contest, error) {
	var out []Contest
	for _, size := range []int{100, 1000, 5000} {
		out = append(out, neutral(size, publishedSeed)...)
	}
	for _, seed := range otherSeeds {
		out = append(out, neutral(1000, seed)...)
	}
	types, err := karpenter.Types(workload.Catalogue())
	if err != nil {
		return nil, fmt.Errorf("neutral catalogue: %w", err)
	}
	for i := range out {
		out[i].Types = types
	}
	out = append(out, Contest{Name: "Karpenter's mix", Workload: workload.KarpenterMix(mixPods), Types: karpenter.OwnTypes()})
	for i := range out {
		out[i].Runs = runs
	}
	return out, nil
}

func neutral(size int, seed uint64) []Contest {
	return []Contest{
		{Name: fmt.Sprintf("plain, seed %d", seed), Workload: workload.Plain(size, seed)},
		{Name: fmt.Sprintf("diverse, seed %d", seed), Workload: workload.Diverse(size, seed)},
	}
}

// Soft are the contests on what pods only prefer, one deployment's spread over nodes and Karpenter's benchmark of
// preferences, each with one run, since Karpenter takes long where it respects them. Its other policy, to ignore
// them all, is shown as well.
func Soft() []Contest {
	var out []Contest
	for _, c := range []Contest{
		{Name: "soft spread", Workload: workload.Soft(softPods, publishedSeed)},
		{Name: "preferences", Workload: workload.Workload{Pods: karpenter.PreferringPods(softPods)}},
	} {
		c.Workload.Types, c.Types, c.Runs = workload.KarpenterTypes(karpenter.TypesCount), karpenter.OwnTypes(), 1
		for _, preferences := range []karpenter.Preferences{karpenter.Respected, karpenter.Ignored} {
			both := c
			both.Name, both.Preferences = c.Name+", "+preferences.String(), preferences
			out = append(out, both)
		}
	}
	return out
}

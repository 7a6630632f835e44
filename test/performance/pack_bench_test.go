package performance_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/performance/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// A limit of nodes of which the first is enough for the 1,000 pods of its workload, and the second is not.
const nodesEnough, nodesTooFew = 12, 6

// BenchmarkPack plans each workload from an empty cluster. Sub-benchmarks are named workload/pods x types; each type is offered in
// three zones. Making the problem is not timed, nor is the bound.
func BenchmarkPack(b *testing.B) {
	for _, make := range []func(int, uint64) workload.Workload{workload.Plain, workload.Diverse} {
		for _, pods := range []int{100, 1000, 10_000, 100_000} {
			benchmarkPack(b, make(pods, seed))
			benchmarkPack(b, with400(make(pods, seed)))
		}
	}
	for _, make := range []func(int, uint64) workload.Workload{workload.Preferred, workload.Zonal, workload.Big, workload.Tiny, workload.DaemonHeavy} {
		for _, pods := range []int{1000, 10_000} {
			benchmarkPack(b, make(pods, seed))
		}
		benchmarkPack(b, with400(make(1000, seed)))
	}
	for _, pods := range []int{4000, 100_000} {
		benchmarkPack(b, workload.Soft(pods, seed))
	}
	for _, pods := range []int{1000, 10_000} {
		benchmarkPack(b, workload.KarpenterMix(pods))
	}
	benchmarkPack(b, workload.Deployments(10_000, seed))
	benchmarkPack(b, with400(workload.Deployments(10_000, seed)))
	for _, pods := range []int{1000, 10_000} {
		benchmarkPack(b, workload.PreferredDeployments(pods, seed))
		benchmarkPack(b, workload.SoftDeployments(pods, seed))
	}
	enough, tooFew := workload.Limited(1000, seed, nodesEnough), workload.Limited(1000, seed, nodesTooFew)
	enough.Name, tooFew.Name = "limit-enough", "limit-too-low"
	benchmarkPack(b, enough)
	benchmarkPack(b, tooFew)
}

// with400 replaces the catalogue by one of 400 types.
func with400(w workload.Workload) workload.Workload {
	w.Types = workload.Catalogue400()
	return w
}

func benchmarkPack(b *testing.B, w workload.Workload) {
	b.Run(fmt.Sprintf("%s/%dx%d", w.Name, len(w.Pods), len(w.Types)), func(b *testing.B) {
		batch, err := w.Batch()
		if err != nil {
			b.Fatal(err)
		}
		var last *plan.Plan
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			b.StopTimer()
			problem := batch.Problem()
			b.StartTimer()
			packed := packing.Pack(problem)
			b.StopTimer()
			last = plan.Of(batch, &problem, packed)
			b.StartTimer()
		}
		b.StopTimer()
		report(b, last)
	})
}

// report adds how good a plan is to how long it took. The bound is one for the pods that are placed.
func report(b *testing.B, p *plan.Plan) {
	b.ReportMetric(float64(len(p.Nodes)), "nodes")
	b.ReportMetric(p.CostPerHour, "$/h")
	b.ReportMetric(100*max(p.Fill(corev1.ResourceCPU), p.Fill(corev1.ResourceMemory)), "fill-%")
	b.ReportMetric(100*p.LargestShare(), "largest-share-%")
	b.ReportMetric(float64(len(p.Unplaced)), "unplaced")
	if bound := p.LowerBoundPerHour(); bound > 0 {
		b.ReportMetric(p.CostPerHour/bound, "cost/bound")
	}
}

package judge_test

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/judge"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// TestEveryPodOfEveryPlanBinds plans the workloads of the benchmarks and has kube-scheduler's filters judge every
// placement.
func TestEveryPodOfEveryPlanBinds(t *testing.T) {
	const pods, seed = 1000, 42
	for _, w := range []workload.Workload{
		workload.Plain(pods, seed), workload.Diverse(pods, seed), workload.Diverse(5*pods, seed), workload.Soft(pods, seed), workload.Preferred(pods, seed),
		workload.Zonal(pods, seed), workload.Big(pods/10, seed), workload.Tiny(pods, seed), workload.Deployments(pods, seed),
		workload.DaemonHeavy(pods, seed), workload.KarpenterMix(pods), workload.Limited(pods, seed, 30),
	} {
		t.Run(w.Name, func(t *testing.T) {
			b, err := w.Batch()
			if err != nil {
				t.Fatal(err)
			}
			p := b.Problem()
			plan := packing.Pack(p)
			nodes := make([]*corev1.Node, len(plan.Launches))
			for i, launch := range plan.Launches {
				n := *launch.Option.Empty
				n.Name, n.Labels = p.State.NodeName(launch.Node), maps.Clone(n.Labels)
				n.Labels[corev1.LabelHostname] = n.Name
				nodes[i] = judge.NodeOf(&n)
			}
			waiting := maps.Clone(b.Pods)
			var placements []judge.Placement
			for _, placed := range plan.Placements {
				of := waiting[placed.Item.ID]
				for _, pod := range of[:placed.Count] {
					placements = append(placements, judge.Placement{Pod: pod, Node: p.State.NodeName(placed.Node)})
				}
				waiting[placed.Item.ID] = of[placed.Count:]
			}
			if len(placements) == 0 {
				t.Fatal("nothing is placed")
			}
			if err := judge.Judge(t.Context(), cluster.Objects{}, nodes, placements); err != nil {
				t.Error(err)
			}
			t.Logf("%d of %d pods on %d nodes", len(placements), len(w.Pods), len(nodes))
		})
	}
}

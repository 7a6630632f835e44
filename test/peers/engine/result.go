package engine

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/judge"
	"github.com/vpsie/vpsie-autoscaler/test/peers/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// addMachines adds the machines to launch.
func (r *Result) addMachines(packed *packing.Plan, batch *workload.Batch) {
	for _, launched := range packed.Launches {
		t := batch.Types[launched.Option]
		m := plan.Machine{
			Type: t.Name, Zone: launched.Option.Empty.Labels[corev1.LabelTopologyZone], PriceHour: t.PriceHour,
			Size: scheduling.Resources{corev1.ResourceCPU: t.MilliCPU(), corev1.ResourceMemory: t.MemoryBytes()},
			Used: scheduling.Resources{},
		}
		for id, n := range launched.Pods {
			m.Used.Add(batch.Items[id].Shape.Requests, int64(n))
			m.Pods += n
		}
		r.Machines = append(r.Machines, m)
	}
}

// addNodes makes the nodes that the launches become.
func (r *Result) addNodes(packed *packing.Plan, state *scheduling.State) {
	for _, launched := range packed.Launches {
		node := *launched.Option.Empty
		node.Name = state.NodeName(launched.Node)
		node.Labels = maps.Clone(node.Labels)
		node.Labels[corev1.LabelHostname] = node.Name
		r.Nodes = append(r.Nodes, judge.NodeOf(&node))
	}
}

// addPlacements names the pods that the plan counts: pods of one shape are interchangeable, so they are taken as they come.
func (r *Result) addPlacements(packed *packing.Plan, state *scheduling.State, batch *workload.Batch) error {
	next := map[scheduling.ShapeID]int{}
	for _, p := range packed.Placements {
		id := p.Item.ID
		first, end := next[id], next[id]+p.Count
		if end > len(batch.Pods[id]) {
			return fmt.Errorf("the plan places %d pods of shape %s, of which only %d wait", end, id, len(batch.Pods[id]))
		}
		for _, pod := range batch.Pods[id][first:end] {
			r.Placements = append(r.Placements, judge.Placement{Pod: pod, Node: state.NodeName(p.Node)})
		}
		next[id] = end
	}
	return nil
}

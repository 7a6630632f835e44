// Package plan turns the engine's answer to a workload into machines and pods by name, and into figures.
package plan

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/performance/bound"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// Plan is what to launch for a workload, in the order in which the engine launches it.
type Plan struct {
	Nodes    []Node     `json:"nodes"`
	Unplaced []Unplaced `json:"unplaced"`
	// CostPerHour is in dollars.
	CostPerHour float64 `json:"costPerHour"`

	batch  *workload.Batch
	packed packing.Plan
}

// Node is one machine to launch and the pods for which it is launched.
type Node struct {
	Type string   `json:"type"`
	Zone string   `json:"zone"`
	Pods []string `json:"pods"`
}

// Unplaced is a pod that no machine is launched for.
type Unplaced struct {
	Pod    string `json:"pod"`
	Reason string `json:"reason"`
}

// Of names what a packing says of a problem of the batch. Pods of one shape are interchangeable; they are taken in
// the order of their names. Pods are named by namespace and name where names alone repeat.
func Of(b *workload.Batch, problem *packing.Problem, packed packing.Plan) *Plan {
	p := &Plan{
		Nodes: []Node{}, Unplaced: []Unplaced{}, CostPerHour: workload.DollarsPerHour(packed.MonthlyPrice()), batch: b, packed: packed,
	}
	name := namer(b)
	taken := map[scheduling.ShapeID]int{}
	demands := b.Demands()
	for i := range packed.Launches {
		launched := &packed.Launches[i]
		n := Node{Type: launched.Option.OfferingName, Zone: launched.Option.Empty.Labels[corev1.LabelTopologyZone], Pods: []string{}}
		for _, d := range demands {
			id := d.Item.ID
			for range launched.Pods[id] {
				n.Pods = append(n.Pods, name(b.Pods[id][taken[id]]))
				taken[id]++
			}
		}
		p.Nodes = append(p.Nodes, n)
	}
	leave := func(item *scheduling.Item, why scheduling.Verdict) {
		for _, pod := range b.Pods[item.ID][taken[item.ID]:] {
			p.Unplaced = append(p.Unplaced, Unplaced{Pod: name(pod), Reason: fmt.Sprintf("%s [%s]", why.Message, why.Code)})
		}
	}
	for _, d := range demands {
		if packed.Left[d.Item.ID] > 0 {
			leave(d.Item, explain(problem, d.Item))
		}
	}
	for _, d := range b.Refused() {
		leave(d.Item, scheduling.Verdict{Code: d.Item.Shape.Unjudged, Message: d.Item.Shape.UnjudgedBecause + ", so no machine is launched on a guess"})
	}
	return p
}

// namer names pods, by their namespaces too where a name is there twice.
func namer(b *workload.Batch) func(*corev1.Pod) string {
	seen := map[string]int{}
	for _, pods := range b.Pods {
		for _, pod := range pods {
			seen[pod.Name]++
		}
	}
	return func(pod *corev1.Pod) string {
		if seen[pod.Name] > 1 {
			return pod.Namespace + "/" + pod.Name
		}
		return pod.Name
	}
}

// explain says why pods of an item are left, by the machine that comes nearest to taking one; of equals the largest.
func explain(problem *packing.Problem, item *scheduling.Item) scheduling.Verdict {
	options := slices.Clone(problem.Options)
	slices.SortStableFunc(options, func(a, b *packing.Option) int {
		return cmp.Or(cmp.Compare(b.MilliCPU, a.MilliCPU), cmp.Compare(b.MemoryBytes, a.MemoryBytes))
	})
	verdicts := make([]scheduling.Verdict, 0, len(options))
	for _, o := range options {
		v := problem.State.CheckNew(item, o.Empty)
		if v.OK() {
			v = scheduling.Verdict{Code: reason.NoScaleUpGroupLimit, Message: "a machine such as " + o.Empty.Name + " would take the pod, but the limits leave no room for one more"}
		}
		verdicts = append(verdicts, v)
	}
	return scheduling.Nearest(verdicts)
}

// LowerBoundPerHour is what any plan that serves the same pods costs an hour at least, in dollars. It looks at requests and
// the number of pods on a node only.
func (p *Plan) LowerBoundPerHour() float64 {
	var served []packing.Demand
	for _, d := range p.batch.Demands() {
		if d.Count -= p.packed.Left[d.Item.ID]; d.Count > 0 {
			served = append(served, d)
		}
	}
	return workload.DollarsPerHour(bound.Lower(served, p.batch.Options))
}

// LargestShare is the part of all placed pods that run on the node with the most of them.
func (p *Plan) LargestShare() float64 {
	most, all := 0, 0
	for i := range p.Nodes {
		most, all = max(most, len(p.Nodes[i].Pods)), all+len(p.Nodes[i].Pods)
	}
	if all == 0 {
		return 0
	}
	return float64(most) / float64(all)
}

// Fill is the part of a resource of all machines that pods request. What machines keep for themselves and for
// DaemonSets counts as empty.
func (p *Plan) Fill(name corev1.ResourceName) float64 {
	used, size := 0.0, 0.0
	for i := range p.packed.Launches {
		launched := &p.packed.Launches[i]
		switch name {
		case corev1.ResourceCPU:
			size += float64(launched.Option.MilliCPU)
		case corev1.ResourceMemory:
			size += float64(launched.Option.MemoryBytes)
		default:
			size += float64(launched.Option.Empty.Allocatable[name])
		}
		for id, n := range launched.Pods {
			used += float64(p.batch.Items[id].Shape.Requests[name] * int64(n))
		}
	}
	if size == 0 {
		return 0
	}
	return used / size
}

// Package engine plans a workload with this repository's engine.
package engine

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/judge"
	"github.com/vpsie/vpsie-autoscaler/test/peers/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// Result is a plan and what proves it.
type Result struct {
	plan.Plan
	// Nodes are the planned machines as nodes, and Placements their pods in an order in which kube-scheduler
	// can bind them: what the judge asks for.
	Nodes      []*corev1.Node
	Placements []judge.Placement
}

// Plan plans machines for a workload. The time covers everything from pods to plan: telling their shapes, making the
// options and the state, and packing. The same workload always gives the same plan.
func Plan(w *workload.Workload) (Result, error) {
	start := time.Now()
	batch, err := w.Batch()
	if err != nil {
		return Result{}, fmt.Errorf("read workload: %w", err)
	}
	problem := batch.Problem()
	packed := packing.Pack(problem)
	out := Result{Plan: plan.Plan{Took: time.Since(start)}}
	for _, n := range packed.Left {
		out.Left += n
	}
	out.addMachines(&packed, batch)
	out.addNodes(&packed, problem.State)
	if err := out.addPlacements(&packed, problem.State, batch); err != nil {
		return Result{}, err
	}
	if n := out.Served() + out.Left; n != len(w.Pods) || len(out.Placements) != out.Served() {
		return Result{}, fmt.Errorf("the plan places %d pods, puts %d on machines and leaves %d, of %d that wait: they must add up",
			len(out.Placements), out.Served(), out.Left, len(w.Pods))
	}
	return out, nil
}

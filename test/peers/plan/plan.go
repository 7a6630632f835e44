// Package plan holds what a planner would launch for a batch of waiting pods, in a form in which plans of different
// planners can be compared.
package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Machine is one machine to launch.
type Machine struct {
	Type, Zone string
	// PriceHour is in dollars. It is a float because Karpenter's catalogues are.
	PriceHour float64
	// Size is the whole machine, and Used what its pods request.
	Size, Used scheduling.Resources
	Pods       int
}

// Plan is what to launch for a batch of pods.
type Plan struct {
	Machines []Machine
	// Left counts the pods that no machine serves.
	Left int
	// Took is the wall-clock time of planning.
	Took time.Duration
}

// Cost is what all machines cost an hour, in dollars.
func (p *Plan) Cost() float64 {
	sum := 0.0
	for i := range p.Machines {
		sum += p.Machines[i].PriceHour
	}
	return sum
}

// Served counts the pods on machines.
func (p *Plan) Served() int {
	n := 0
	for i := range p.Machines {
		n += p.Machines[i].Pods
	}
	return n
}

// Fill is the share, in percent, of what the machines have of a resource that their pods request. It is 0 where
// they have nothing of it.
func (p *Plan) Fill(resource corev1.ResourceName) float64 {
	used, size := 0.0, 0.0
	for i := range p.Machines {
		used += float64(p.Machines[i].Used[resource])
		size += float64(p.Machines[i].Size[resource])
	}
	if size == 0 {
		return 0
	}
	return 100 * used / size
}

// PodsPerSecond is the speed of planning, pods that are left included.
func (p *Plan) PodsPerSecond() float64 {
	return float64(p.Served()+p.Left) / p.Took.Seconds()
}

package simulation

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// optionKey names an option within one Cluster.
type optionKey struct {
	group    string
	offering int64
}

// Option is what launching an offering for a group brings. It is made once.
func (c *Cluster) Option(g *fleet.Group, o *fleet.Offering) *packing.Option {
	key := optionKey{g.Key(), o.ID}
	if c.options[key] == nil {
		c.options[key] = NewOption(g, o, c.Daemons)
	}
	return c.options[key]
}

// NewOption is what launching an offering brings where only some DaemonSets run.
func NewOption(g *fleet.Group, o *fleet.Offering, daemons []*scheduling.Item) *packing.Option {
	empty := scheduling.NewNode("new-"+g.Name+"-"+o.Name, g.NodeGroup, &o.Offering, daemons)
	most := int64(g.Policy().ScaleUp.PodsPerNodeMax) + empty.Reserved[corev1.ResourcePods]
	empty.Allocatable[corev1.ResourcePods] = min(empty.Allocatable[corev1.ResourcePods], most)
	return &packing.Option{
		Group: g.Key(), Offering: o.ID, OfferingName: o.Name, Weight: g.Spec.Weight, MonthlyPrice: o.MonthlyPrice,
		MilliCPU: o.MilliCPU, MemoryBytes: o.MemoryBytes, Empty: empty,
	}
}

// Package fleet is what deciders see alike: the cluster as the feed shows it, the NodeGroups with what can be launched for them, and
// their machines.
package fleet

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Snapshot is everything that a decision depends on, but its time, the operator's policy and the memory of earlier decisions. It is
// only read once made.
type Snapshot struct {
	// Revision of the feed, and the Epoch in which it counts.
	Revision uint64
	Epoch    string
	Items    map[scheduling.ShapeID]*scheduling.Item
	Nodes    map[string]*scheduling.Node
	Pending  map[scheduling.ShapeID]*scheduling.Pending
	// Daemons are the shapes of DaemonSets' pods, by name of the DaemonSet.
	Daemons map[string]scheduling.ShapeID
	// Budgets are the disruptions that each PodDisruptionBudget allows, by namespace/name.
	Budgets map[string]int
	// Namespaces are the labels of each namespace.
	Namespaces map[string]map[string]string
	// Groups are the NodeGroups with what can be launched for each.
	Groups []Group
	// Machines are the VPSieNodes, those included that were made a moment ago.
	Machines []*v1beta1.VPSieNode
	// Paused says who stopped everything and why, empty while nobody did.
	Paused string
	// PausedUntil is when that ends by itself, zero where it does not.
	PausedUntil time.Time
}

// SortedGroups returns the groups in the order of their names.
func (s *Snapshot) SortedGroups() []*Group {
	out := make([]*Group, len(s.Groups))
	for i := range s.Groups {
		out[i] = &s.Groups[i]
	}
	slices.SortFunc(out, func(a, b *Group) int { return cmp.Compare(a.Key(), b.Key()) })
	return out
}

// SortedMachines are the machines in an order that does not hang on how they were listed.
func (s *Snapshot) SortedMachines() []*v1beta1.VPSieNode {
	machines := slices.Clone(s.Machines)
	slices.SortFunc(machines, func(a, b *v1beta1.VPSieNode) int {
		return cmp.Or(cmp.Compare(GroupOf(a), GroupOf(b)), cmp.Compare(a.Name, b.Name))
	})
	return machines
}

// DaemonItems returns the shapes of all DaemonSets' pods, in the order of the DaemonSets' names.
func (s *Snapshot) DaemonItems() []*scheduling.Item {
	var items []*scheduling.Item
	for _, name := range slices.Sorted(maps.Keys(s.Daemons)) {
		if item := s.Items[s.Daemons[name]]; item != nil {
			items = append(items, item)
		}
	}
	return items
}

// Counts are the machines of a group.
type Counts struct {
	// Machines occupy a place in the group, those that leave included; see Occupies.
	Machines, Launching, Leaving, Ready int
	// Cost is the price of the machines that VPSie has, Unpriced counts those without a known price.
	Cost     money.Micros
	Unpriced int
}

// Staying are the machines that nobody asked to leave.
func (c Counts) Staying() int { return c.Machines - c.Leaving }

// Count counts the machines of a group.
func (s *Snapshot) Count(g *Group) Counts {
	var c Counts
	for _, m := range s.Machines {
		if GroupOf(m) != g.Key() || !Occupies(m) || sabotage.InFlightCounting() && m.Status.Phase != v1beta1.PhaseReady && !IsLeaving(m) {
			continue
		}
		c.Machines++
		if m.Status.Identifier != "" {
			price, known := g.PriceOf(m)
			if c.Cost += price; !known {
				c.Unpriced++
			}
		}
		node := s.Nodes[NodeName(m)]
		switch {
		case IsLeaving(m):
			c.Leaving++
		case m.Status.Phase == v1beta1.PhaseReady:
			if node != nil && node.Ready {
				c.Ready++
			}
		default:
			c.Launching++
		}
	}
	return c
}

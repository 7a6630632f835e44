package simulation

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// makeState starts the simulation: nodes with their pods, and machines on their way as what their size
// promises.
func (c *Cluster) makeState() {
	byNode := map[string]*v1beta1.VPSieNode{}
	for _, m := range c.Snapshot.Machines {
		if name := fleet.NodeName(m); name != "" && !fleet.HasFailed(m) {
			byNode[name] = m
		}
	}
	c.State = scheduling.NewState(scheduling.Cluster{Items: c.Snapshot.Items, Namespaces: c.Snapshot.Namespaces})
	c.Index, c.becoming = map[string]int{}, map[int]bool{}
	c.Nominees, c.Allocatable, c.Nominated = map[string]bool{}, map[string]scheduling.Resources{}, countNominated(c.Snapshot)
	c.Assumed, c.Served, c.ServedBy = map[string]map[scheduling.ShapeID]int{}, map[scheduling.ShapeID]int{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(c.Snapshot.Nodes)) {
		node, machine := c.Snapshot.Nodes[name], byNode[name]
		launching := machine != nil && c.isFresh(machine) && !node.Ready
		if machine != nil && fleet.IsLeaving(machine) || launching {
			continue // the pods of a node that leaves look for another place soon
		}
		n := new(*node) // what is promised to it is ours to add
		settled := true
		if machine != nil {
			settled = c.promise(n, machine)
		}
		c.reserve(n, machine)
		if machine != nil {
			c.boundPods(n, machine)
		}
		switch {
		case !settled && c.isFresh(machine):
			c.become(n)
		case c.Nominated[n.Name] != nil:
			c.follow(n)
		}
		if machine != nil && c.IsFilling(machine) && !c.policy.Settled {
			c.assume(n)
		}
		index := c.State.AddNode(n)
		c.Index[name] = index
		if node.Ready {
			c.Existing = append(c.Existing, index)
		}
		if node.Ready && settled {
			c.Movable = append(c.Movable, index)
		}
		c.becoming[index] = machine != nil && !settled && !c.isFresh(machine)
	}
	c.addLaunching()
}

func (c *Cluster) addLaunching() {
	if sabotage.InFlightCounting() {
		return
	}
	for _, m := range c.Snapshot.SortedMachines() {
		// What should have joined by now may never come, so pods must not be left to wait for it.
		if fleet.IsLeaving(m) || fleet.HasFailed(m) || !c.isFresh(m) && !c.isUnseen(m) || outage.IsHeld(m) {
			continue
		}
		if node := c.Snapshot.Nodes[fleet.NodeName(m)]; node != nil && node.Ready {
			continue
		}
		if n := c.launchingNode(m); n != nil {
			c.Launching = append(c.Launching, n)
		} else {
			c.Blind[fleet.GroupOf(m)] = true
		}
	}
}

// boundPods keeps the number of pods on a machine within what its group allows, DaemonSets' pods not counted.
func (c *Cluster) boundPods(n *scheduling.Node, m *v1beta1.VPSieNode) {
	group := c.Find(fleet.GroupOf(m))
	if group == nil {
		return
	}
	most := int64(group.Policy().ScaleUp.PodsPerNodeMax) + n.Reserved[corev1.ResourcePods]
	for id, count := range n.Pods {
		if item := c.Snapshot.Items[id]; item != nil && item.Shape.IsDaemon() {
			most += int64(count)
		}
	}
	n.Allocatable = n.Allocatable.Clone()
	n.Allocatable[corev1.ResourcePods] = min(n.Allocatable[corev1.ResourcePods], most)
}

// launchingNode is the node that a machine on its way will be; nil when its size is unknown.
func (c *Cluster) launchingNode(m *v1beta1.VPSieNode) *scheduling.Node {
	group := c.Find(fleet.GroupOf(m))
	if group == nil {
		return nil
	}
	offering := offeringOf(group, m)
	if offering == nil {
		return nil
	}
	name := fleet.NodeName(m)
	if name == "" {
		name = m.Name
	}
	n := scheduling.NewNode(name, group.NodeGroup, offering, c.Daemons)
	n.Planned = fleet.PlannedPods(m)
	c.reserve(n, m)
	c.boundPods(n, m)
	if fleet.NodeName(m) != "" {
		c.become(n)
		c.assume(n)
	}
	return n
}

// offeringOf is the size of a machine; nil when its datacenter does not sell it any more.
func offeringOf(group *fleet.Group, m *v1beta1.VPSieNode) *scheduling.Offering {
	if o := group.Catalogue.Find(m.Spec.Offering); o != nil {
		return &o.Offering
	}
	return nil
}

package simulation

import (
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/evacuation"
)

// Evacuation finds out which nodes can go, one after the other: their pods find places on others, and a node that can go is gone
// for those that are looked at later. It changes the State of its Cluster.
type Evacuation struct {
	// Gone counts the nodes that were found able to go.
	Gone int
	// Budgets are the disruptions that each PodDisruptionBudget still allows, by namespace/name.
	Budgets map[string]int

	cluster   *Cluster
	simulator *evacuation.Simulator
}

// Evacuate begins an evacuation. The pods of nodes that leave already get their places first.
func (c *Cluster) Evacuate() *Evacuation {
	e := &Evacuation{Budgets: maps.Clone(c.Snapshot.Budgets), cluster: c, simulator: evacuation.New(c.State, c.Movable)}
	e.makeWay()
	return e
}

// Remove takes a node out if all of its pods fit elsewhere. Otherwise nothing changes, and it returns what finds no place.
func (e *Evacuation) Remove(node *scheduling.Node) (evacuation.Stuck, bool) {
	stuck, ok := e.simulator.Remove(e.cluster.Index[node.Name], e.cluster.Moves)
	if !ok {
		return stuck, false
	}
	e.Gone++
	for id, n := range node.Pods {
		if item := e.cluster.Snapshot.Items[id]; item != nil && e.cluster.Moves(item) {
			for _, budget := range item.Shape.Budgets {
				e.Budgets[budget] -= n
			}
		}
	}
	return stuck, true
}

// makeWay gives the pods of nodes that leave the room that they will need: it is not there for those of others. What finds
// none now finds none on nodes that stay either.
func (e *Evacuation) makeWay() {
	c := e.cluster
	var names []string
	for _, m := range c.Snapshot.Machines {
		if name := fleet.NodeName(m); fleet.IsLeaving(m) && c.Snapshot.Nodes[name] != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		node := c.Snapshot.Nodes[name]
		index := c.State.AddNode(new(*node))
		if _, ok := e.simulator.Remove(index, c.Moves); ok {
			continue
		}
		c.State.RemoveNode(index)
		for _, id := range slices.Sorted(maps.Keys(node.Pods)) {
			item, left := c.Snapshot.Items[id], node.Pods[id]
			if item == nil || !c.Moves(item) {
				continue
			}
			for _, target := range c.Movable {
				left -= c.State.PlaceUpTo(item, target, left)
			}
		}
	}
}

// Moves reports whether pods of an item look for another place when their node goes. Those that are being deleted do not:
// whoever makes another in their stead has made it, or makes it then.
func (c *Cluster) Moves(item *scheduling.Item) bool {
	return !item.Shape.IsDaemon() && !item.Shape.Terminating && !c.IsExpendable(item)
}

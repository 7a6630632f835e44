package simulation

import (
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// Policy is what the operator decides about pods for all groups together.
type Policy struct {
	// PriorityCutoff is the priority below which pods neither cause launches nor keep a node.
	PriorityCutoff int32
	// Nominate says that pods are nominated to the machines that were launched for them; otherwise all nominations are cleared.
	Nominate bool
	// Settled says that kube-scheduler has bound nothing to machines that opened for a while: pods that are still nominated to their Nodes find
	// no place there, and do not count as bound.
	Settled bool
}

// Cluster is the simulated cluster of one decision. It is not safe for concurrent use.
type Cluster struct {
	// Snapshot is what it was made from, with what was learned about the offerings of each group.
	Snapshot *fleet.Snapshot
	// Groups are the NodeGroups in the order of their names.
	Groups []*fleet.Group
	// Learned is what nodes of each kind turned out to have; the next Cluster gets it.
	Learned map[Kind]Learned
	// Daemons are the DaemonSets' pods, with what they ask for as they run.
	Daemons []*scheduling.Item

	// State holds the nodes, and Index finds one in it by name. Existing are those that pods can go to, Movable those that pods of other
	// nodes can move to.
	State    *scheduling.State
	Index    map[string]int
	Existing []int
	Movable  []int
	// Launching are the nodes on their way, which are not in the State.
	Launching []*scheduling.Node
	// Blind says of a group that machines are on their way whose size is unknown.
	Blind map[string]bool
	// Next is when time alone changes what some Node is, zero when it does not.
	Next time.Time

	// Nominees are the Nodes to which pods may be nominated, and Allocatable what those will have. Nominated counts the pods that
	// are nominated to each Node, and Assumed those of them that count as bound there; Served counts the latter by shape, and ServedBy by
	// Node.
	Nominees    map[string]bool
	Allocatable map[string]scheduling.Resources
	Nominated   map[string]map[scheduling.ShapeID]int
	Assumed     map[string]map[scheduling.ShapeID]int
	Served      map[scheduling.ShapeID]int
	ServedBy    map[string]int

	policy Policy
	now    time.Time
	byName map[string]*fleet.Group
	// becoming are the nodes that still get what nodes of their kind have.
	becoming map[int]bool
	options  map[optionKey]*packing.Option
	shut     map[string]closure
	// replacing are the machines that were launched in the place of others.
	replacing []*v1beta1.VPSieNode
}

// New makes the cluster of a snapshot, of which it changes nothing. It depends on its arguments alone.
func New(s fleet.Snapshot, policy Policy, learned map[Kind]Learned, now time.Time) *Cluster {
	// What is learned about sizes must not reach the caller's snapshot.
	s.Groups = slices.Clone(s.Groups)
	for i := range s.Groups {
		s.Groups[i].Catalogue.Offerings = slices.Clone(s.Groups[i].Catalogue.Offerings)
	}
	c := &Cluster{
		Snapshot: &s, Groups: s.SortedGroups(), Blind: map[string]bool{}, policy: policy, now: now,
		byName: map[string]*fleet.Group{}, options: map[optionKey]*packing.Option{}, shut: map[string]closure{},
	}
	for _, g := range c.Groups {
		c.byName[g.Key()] = g
	}
	for _, machine := range s.SortedMachines() {
		if len(machine.Spec.Replaces) > 0 {
			c.replacing = append(c.replacing, machine)
		}
	}
	c.Learned = c.learn(learned)
	for _, g := range c.Groups {
		for i := range g.Catalogue.Offerings {
			expect(&g.Catalogue.Offerings[i].Offering, g, c.Learned)
		}
	}
	c.Daemons = c.daemonsAsTheyRun()
	c.makeState()
	for _, g := range c.Groups {
		c.shut[g.Key()] = c.judge(g)
	}
	return c
}

// Find returns a group by namespace/name, nil when there is none.
func (c *Cluster) Find(group string) *fleet.Group { return c.byName[group] }

// IsExpendable reports whether pods of an item neither cause launches nor keep a node.
func (c *Cluster) IsExpendable(item *scheduling.Item) bool {
	return item.Shape.Priority < c.policy.PriorityCutoff
}

// IsBecoming reports whether a Node still gets what nodes of its kind have: a device, a label, or an agent that takes its taint off.
func (c *Cluster) IsBecoming(node string) bool {
	index, known := c.Index[node]
	return known && c.becoming[index]
}

func (c *Cluster) due(at time.Time) {
	if at.After(c.now) && (c.Next.IsZero() || at.Before(c.Next)) {
		c.Next = at
	}
}

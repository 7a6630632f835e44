package simulation

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Learned is what nodes of a kind turned out to have: their allocatable, the volumes of each CSI driver that they attach, and
// what agents and drivers put on them besides their template.
type Learned struct {
	Allocatable  scheduling.Resources
	AttachLimits map[string]int64
	// Labels are nil as long as no node was there for long enough.
	Labels map[string]string
	// Varying are the labels that every node has with a value of its own.
	Varying map[string]bool
	Taints  []corev1.Taint
	Static  []*scheduling.Item
}

// Kind is a size within a group, or everywhere when the group is empty, or all of a group when the size is empty.
type Kind struct{ Group, Size string }

// specimen is a node that something is learned from.
type specimen struct {
	*scheduling.Node
	// warm nodes have been Ready for a while, and settled ones for so long that they are what they are.
	warm, settled bool
	// static counts the static pods on the node.
	static map[scheduling.ShapeID]int
}

// learn finds out what nodes of each kind become, from those of the same group and size, else from those of the same group or of
// the same size. It is remembered when the nodes are gone: otherwise a pod that fits the estimate and not the node would have
// machines launched and retired in turns.
func (c *Cluster) learn(was map[Kind]Learned) map[Kind]Learned {
	specimens := c.specimens()
	learned := map[Kind]Learned{}
	for kind, past := range was {
		if kind.Group == "" || c.Find(kind.Group) != nil {
			learned[kind] = past
		}
	}
	for kind, nodes := range specimens {
		learned[kind] = c.learnFrom(kind, nodes, was[kind])
	}
	forgetOwn(learned, specimens)
	return learned
}

// expect tells a size what a node of it becomes in a group.
func expect(o *scheduling.Offering, g *fleet.Group, learned map[Kind]Learned) {
	size := strconv.FormatInt(o.ID, 10)
	own, known := learned[Kind{g.Key(), size}]
	if !known {
		own = learned[Kind{"", size}]
		own.Allocatable = own.Allocatable.Clone()
		for name := range g.Spec.Template.Resources {
			delete(own.Allocatable, name) // what the group declares counts more than what other groups' nodes have
		}
	}
	if len(own.Allocatable) > 0 {
		o.Allocatable, o.AttachLimits = own.Allocatable, own.AttachLimits
	}
	if all := learned[Kind{g.Key(), ""}]; own.Labels == nil || !known {
		own.Labels, own.Taints, own.Static = all.Labels, all.Taints, all.Static
	}
	o.Labels, o.Taints, o.Static = own.Labels, own.Taints, own.Static
}

// specimens are the Ready nodes of each kind.
func (c *Cluster) specimens() map[Kind][]specimen {
	machines := map[string]*v1beta1.VPSieNode{}
	for _, m := range c.Snapshot.Machines {
		if name := fleet.NodeName(m); name != "" && !fleet.HasFailed(m) {
			machines[name] = m
		}
	}
	groups := make(map[string]string, len(c.Groups))
	for _, g := range c.Groups {
		groups[scheduling.GroupLabel(g.Namespace, g.Name)] = g.Key()
	}
	out := map[Kind][]specimen{}
	for _, name := range slices.Sorted(maps.Keys(c.Snapshot.Nodes)) {
		node := c.Snapshot.Nodes[name]
		size, group := node.Labels[v1beta1.LabelOffering], groups[node.Labels[v1beta1.LabelNodeGroup]]
		if size == "" || len(node.Allocatable) == 0 || !node.Ready {
			continue
		}
		s := specimen{Node: node, warm: true, settled: true}
		if m := machines[name]; m != nil {
			s.warm, s.settled = !c.isFresh(m), !c.isFresh(m) && !c.isBecoming(m)
		}
		for id, count := range node.Pods {
			if item := c.Snapshot.Items[id]; item != nil && item.Shape.IsStatic() {
				if s.static == nil {
					s.static = map[scheduling.ShapeID]int{}
				}
				s.static[id] = count
			}
		}
		out[Kind{"", size}] = append(out[Kind{"", size}], s)
		if group != "" {
			out[Kind{group, size}] = append(out[Kind{group, size}], s)
			out[Kind{group, ""}] = append(out[Kind{group, ""}], s)
		}
	}
	return out
}

func (c *Cluster) declared(group string) corev1.ResourceList {
	if g := c.Find(group); g != nil {
		return g.Spec.Template.Resources
	}
	return nil
}

// learnFrom learns from the nodes of a kind. A size alone says nothing of what agents do, and a group alone nothing of amounts.
func (c *Cluster) learnFrom(kind Kind, nodes []specimen, was Learned) Learned {
	out := was
	if kind.Size != "" {
		out.Allocatable, out.AttachLimits = allocatable(nodes, was.Allocatable, c.declared(kind.Group)), attachLimits(nodes, was.AttachLimits)
	}
	if kind.Group == "" {
		return out
	}
	warm := filter(nodes, func(s specimen) bool { return s.warm })
	settled := filter(nodes, func(s specimen) bool { return s.settled })
	judged := settled
	if len(judged) == 0 {
		judged = warm
	}
	if len(judged) > 0 {
		out.Labels, out.Varying = commonLabels(judged, was.Varying)
		out.Static = c.commonStatic(warm)
	}
	if len(settled) > 0 {
		out.Taints = commonTaints(settled)
	}
	return out
}

func filter(nodes []specimen, keep func(specimen) bool) []specimen {
	return slices.DeleteFunc(slices.Clone(nodes), func(s specimen) bool { return !keep(s) })
}

// Allocatable is what nodes of a kind have of each resource. What plugins register counts from nodes that had the time to, as
// nothing where they did not; what the group declares, and what is remembered when one node is there at most, counts as one node.
func allocatable(nodes []specimen, was scheduling.Resources, declared corev1.ResourceList) scheduling.Resources {
	names := map[corev1.ResourceName]bool{}
	for _, n := range nodes {
		for name := range n.Allocatable {
			names[name] = true
		}
	}
	for name := range was {
		names[name] = true
	}
	for name := range declared {
		names[name] = true
	}
	out := scheduling.Resources{}
	for name := range names {
		var votes []int64
		for _, n := range nodes {
			amount, told := n.Allocatable[name]
			if told && (amount > 0 || n.settled) || !told && n.settled && !isNative(name) {
				votes = append(votes, amount)
			}
		}
		if remembered, known := was[name]; known && len(votes) <= 1 {
			votes = append(votes, remembered)
		}
		if quantity, says := declared[name]; says {
			votes = append(votes, quantity.Value())
		}
		if len(votes) > 0 {
			out[name] = typical(votes, isHugePages(name))
		}
	}
	return out
}

// isNative reports whether kubelet itself tells how much of a resource a node has.
func isNative(name corev1.ResourceName) bool {
	return !scheduling.IsExtended(name) && !isHugePages(name)
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func attachLimits(nodes []specimen, was map[string]int64) map[string]int64 {
	votes := map[string][]int64{}
	for _, n := range nodes {
		for driver, limit := range n.AttachLimits {
			votes[driver] = append(votes[driver], limit)
		}
	}
	out := maps.Clone(was)
	if out == nil {
		out = map[string]int64{}
	}
	for driver, limits := range votes {
		out[driver] = typical(limits, false)
	}
	return out
}

// oddPercent is how far below the typical node an amount may be to count: nodes of a size differ a little, and the least of
// them is what can be relied on; one that has much less has given it away or lost it.
const oddPercent = 90

// typical is the least amount that is not far below what the middle one of several nodes has. Of an even number the upper middle
// counts, or the lower one for what is set up by hand on some nodes.
func typical(amounts []int64, byHand bool) int64 {
	slices.Sort(amounts)
	middle := amounts[len(amounts)/2]
	if byHand {
		middle = amounts[(len(amounts)-1)/2]
	}
	for _, amount := range amounts {
		if amount*100 >= middle*oddPercent {
			return amount
		}
	}
	return middle
}

// commonTaints are the taints that nodes got besides their template: three of four nodes have them, and more than one, since a
// person may have put one on any single node.
func commonTaints(nodes []specimen) []corev1.Taint {
	counts := map[corev1.Taint]int{}
	for _, n := range nodes {
		for _, t := range n.Taints {
			if !isCondition(&t) {
				counts[corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect}]++
			}
		}
	}
	var out []corev1.Taint
	for t, count := range counts {
		if count > 1 && count*4 >= len(nodes)*3 {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b corev1.Taint) int { return strings.Compare(a.ToString(), b.ToString()) })
	return out
}

// commonStatic are the static pods that most nodes run.
func (c *Cluster) commonStatic(nodes []specimen) []*scheduling.Item {
	counts := map[scheduling.ShapeID][]int{}
	for _, n := range nodes {
		for id, count := range n.static {
			counts[id] = append(counts[id], count)
		}
	}
	var out []*scheduling.Item
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		of := append(counts[id], make([]int, len(nodes)-len(counts[id]))...)
		slices.Sort(of)
		for range of[(len(of)-1)/2] {
			out = append(out, c.Snapshot.Items[id])
		}
	}
	return out
}

// askedMax bounds the nodes that are looked at for what DaemonSets' pods ask for.
const askedMax = 64

// daemonsAsTheyRun are the shapes of the DaemonSets' pods as they run, without those that waiting pods preempt in any case.
func (c *Cluster) daemonsAsTheyRun() []*scheduling.Item {
	var nodes []*scheduling.Node
	names := slices.Sorted(maps.Keys(c.Snapshot.Nodes))
	for i := 0; i < len(names); i += len(names)/askedMax + 1 {
		if node := c.Snapshot.Nodes[names[i]]; node.Ready {
			nodes = append(nodes, new(*node))
		}
	}
	daemons := scheduling.AsTheyRun(c.Snapshot.DaemonItems(), nodes, c.Snapshot.Items)
	return slices.DeleteFunc(daemons, c.IsExpendable)
}

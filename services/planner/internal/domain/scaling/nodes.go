package scaling

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// makeState starts the simulation: nodes with their pods, and machines on their way as what their size
// promises.
func (p *planner) makeState() {
	byNode := map[string]*v1beta1.VPSieNode{}
	for _, m := range p.snapshot.Machines {
		if name := fleet.NodeName(m); name != "" && !fleet.HasFailed(m) {
			byNode[name] = m
		}
	}
	p.state = scheduling.NewState(scheduling.Cluster{Items: p.snapshot.Items, Namespaces: p.snapshot.Namespaces})
	p.nodeIndex, p.becoming = map[string]int{}, map[int]bool{}
	p.nominees, p.allocatable, p.nominated = map[string]bool{}, map[string]scheduling.Resources{}, p.snapshot.countNominated()
	p.assumed, p.served, p.servedBy = map[string]map[scheduling.ShapeID]int{}, map[scheduling.ShapeID]int{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(p.snapshot.Nodes)) {
		node, machine := p.snapshot.Nodes[name], byNode[name]
		launching := machine != nil && p.isFresh(machine) && !node.Ready
		if machine != nil && fleet.IsLeaving(machine) || launching {
			continue // the pods of a node that leaves look for another place soon
		}
		n := new(*node) // what is promised to it is ours to add
		settled := true
		if machine != nil {
			settled = p.promise(n, machine)
		}
		p.reserve(n, machine)
		if machine != nil {
			p.boundPods(n, machine)
		}
		switch {
		case !settled && p.isFresh(machine):
			p.become(n)
		case p.nominated[n.Name] != nil:
			p.follow(n)
		}
		if machine != nil && p.isFilling(machine) {
			p.assume(n)
		}
		index := p.state.AddNode(n)
		p.nodeIndex[name] = index
		if node.Ready {
			p.existing = append(p.existing, index)
		}
		if node.Ready && settled {
			p.movable = append(p.movable, index)
		}
		p.becoming[index] = machine != nil && !settled && !p.isFresh(machine)
	}
	p.addLaunching()
}

func (p *planner) addLaunching() {
	if sabotage.InFlightCounting() {
		return
	}
	for _, m := range p.snapshot.SortedMachines() {
		// What should have joined by now may never come, so pods must not be left to wait for it.
		if fleet.IsLeaving(m) || fleet.HasFailed(m) || !p.isFresh(m) && !p.isUnseen(m) || outage.IsHeld(m) {
			continue
		}
		if node := p.snapshot.Nodes[fleet.NodeName(m)]; node != nil && node.Ready {
			continue
		}
		if n := p.launchingNode(m); n != nil {
			p.launching = append(p.launching, n)
		} else {
			p.blind[fleet.GroupOf(m)] = true
		}
	}
}

// boundPods keeps the number of pods on a machine within what its group allows, DaemonSets' pods not counted.
func (p *planner) boundPods(n *scheduling.Node, m *v1beta1.VPSieNode) {
	group := p.find(fleet.GroupOf(m))
	if group == nil || group.Spec.ScaleUp.MaxPodsPerNode == nil {
		return
	}
	most := int64(*group.Spec.ScaleUp.MaxPodsPerNode) + n.Reserved[corev1.ResourcePods]
	for id, count := range n.Pods {
		if item := p.snapshot.Items[id]; item != nil && item.Shape.IsDaemon() {
			most += int64(count)
		}
	}
	n.Allocatable = n.Allocatable.Clone()
	n.Allocatable[corev1.ResourcePods] = min(n.Allocatable[corev1.ResourcePods], most)
}

// DescribePlannedPods is the value of the annotation that says for which pods a machine is bought.
func DescribePlannedPods(pods map[string]int) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(pods)) {
		parts = append(parts, id+"="+strconv.Itoa(pods[id]))
	}
	return strings.Join(parts, ",")
}

// PlannedPods reads what DescribePlannedPods wrote; what cannot be read is left out.
func PlannedPods(m *v1beta1.VPSieNode) map[string]int {
	pods := map[string]int{}
	for part := range strings.SplitSeq(m.Annotations[v1beta1.AnnotationPlannedPods], ",") {
		id, text, _ := strings.Cut(part, "=")
		if count, err := strconv.Atoi(text); err == nil && count > 0 {
			pods[id] = count
		}
	}
	return pods
}

// launchingNode is the node that a machine on its way will be; nil when its size is unknown.
func (p *planner) launchingNode(m *v1beta1.VPSieNode) *scheduling.Node {
	group := p.find(fleet.GroupOf(m))
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
	n := scheduling.NewNode(name, group.NodeGroup, offering, p.daemons)
	n.Planned = PlannedPods(m)
	p.reserve(n, m)
	p.boundPods(n, m)
	if fleet.NodeName(m) != "" {
		p.become(n)
		p.assume(n)
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

func (p *planner) find(name string) *fleet.Group { return p.byName[name] }

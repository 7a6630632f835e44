package scaling

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// learn corrects the expected allocatable of each size by what nodes of it turned out to have; of
// several the smallest counts. It is remembered when the nodes are gone: otherwise a pod that fits the
// estimate and not the node would have machines bought and retired in turns.
func (p *planner) learn(learned map[string]scheduling.Resources) {
	seen := map[string]scheduling.Resources{}
	for _, name := range slices.Sorted(maps.Keys(p.snapshot.Nodes)) {
		node := p.snapshot.Nodes[name]
		size := node.Labels[v1beta1.LabelOffering]
		if size == "" || len(node.Allocatable) == 0 {
			continue
		}
		if seen[size] == nil {
			seen[size] = node.Allocatable.Clone()
			continue
		}
		for resource, amount := range seen[size] {
			seen[size][resource] = min(amount, node.Allocatable[resource])
		}
	}
	for size, allocatable := range learned {
		if seen[size] == nil {
			seen[size] = allocatable
		}
	}
	p.plan.Memory.Learned = seen
	for _, g := range p.groups {
		for i := range g.Catalogue.Offerings {
			o := &g.Catalogue.Offerings[i]
			if allocatable := seen[strconv.FormatInt(o.ID, 10)]; allocatable != nil {
				o.Allocatable = allocatable
			}
		}
	}
}

// makeBins turns nodes into bins with what their pods leave free, and machines on their way into
// bins with what their size promises.
func (p *planner) makeBins() {
	byNode := map[string]*v1beta1.VPSieNode{}
	for _, m := range p.snapshot.Machines {
		if name := nodeName(m); name != "" && !isFailed(m) {
			byNode[name] = m
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.snapshot.Nodes)) {
		node, machine := p.snapshot.Nodes[name], byNode[name]
		if !node.Ready || machine != nil && isLeaving(machine) {
			continue
		}
		bin := p.binOf(node)
		if machine != nil && p.isFresh(machine) {
			p.promise(bin, machine)
		}
		p.existing = append(p.existing, bin)
	}
	machines := slices.Clone(p.snapshot.Machines)
	slices.SortFunc(machines, func(a, b *v1beta1.VPSieNode) int {
		return cmp.Or(cmp.Compare(groupOf(a), groupOf(b)), cmp.Compare(a.Name, b.Name))
	})
	for _, m := range machines {
		if isLeaving(m) || isFailed(m) || !p.isFresh(m) {
			continue
		}
		if node := p.snapshot.Nodes[nodeName(m)]; node != nil && node.Ready {
			continue
		}
		if bin := p.launchingBin(m); bin != nil {
			p.launching = append(p.launching, bin)
		} else {
			p.blind[groupOf(m)] = true
		}
	}
}

func (p *planner) binOf(node *Node) *scheduling.Bin {
	bin := &scheduling.Bin{
		Name: node.Name, Labels: node.Labels, Taints: node.Taints, Unschedulable: node.Unschedulable, Free: node.Allocatable.Clone(),
	}
	for id, count := range node.Pods {
		if item := p.snapshot.Items[id]; item != nil {
			bin.Free.Add(item.Shape.Requests, int64(-count))
		}
	}
	return bin
}

// freshFor is how long after its first Ready a Node may still be on its way into the feed, or wear
// the taints that Kubernetes takes off a new Node a moment later.
const freshFor = time.Minute

// isFresh reports whether the machine's Node is not yet what it will be.
func (p *planner) isFresh(m *v1beta1.VPSieNode) bool {
	return m.Status.Phase != v1beta1.PhaseReady || m.Status.ReadyAt != nil && p.now.Sub(m.Status.ReadyAt.Time) < freshFor
}

// promise makes of a fresh Node's bin what it will be: with the labels and taints of its group, and
// without those that Kubernetes and the network's and the storage's agents take off a moment later.
// Otherwise pods would seem to fit nowhere for a moment, and another machine would be bought for them.
func (p *planner) promise(bin *scheduling.Bin, m *v1beta1.VPSieNode) {
	group := p.find(groupOf(m))
	if group == nil {
		return
	}
	labels := maps.Clone(bin.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, scheduling.NodeLabels(group.NodeGroup, m.Spec.Offering, m.Spec.OfferingName))
	bin.Labels = labels
	bin.Taints = group.Spec.Template.Taints
}

// launchingBin is the node that a machine on its way will be; nil when its size is unknown.
func (p *planner) launchingBin(m *v1beta1.VPSieNode) *scheduling.Bin {
	group := p.find(groupOf(m))
	if group == nil {
		return nil
	}
	for i := range group.Catalogue.Offerings {
		if o := &group.Catalogue.Offerings[i]; o.ID == m.Spec.Offering {
			name := nodeName(m)
			if name == "" {
				name = m.Name
			}
			return scheduling.NewBin(name, group.NodeGroup, &o.Offering, p.daemons)
		}
	}
	return nil
}

func (p *planner) find(name string) *Group {
	for _, g := range p.groups {
		if g.name() == name {
			return g
		}
	}
	return nil
}

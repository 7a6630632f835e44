package scaling

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// learn corrects what is expected of each size by what nodes of it turned out to have; of several that report a
// resource the smallest counts. It is remembered when the nodes are gone: otherwise a pod that fits the estimate and not
// the node would have machines bought and retired in turns.
func (p *planner) learn(learned map[string]Learned) {
	seen := map[string]Learned{}
	for _, name := range slices.Sorted(maps.Keys(p.snapshot.Nodes)) {
		node := p.snapshot.Nodes[name]
		size := node.Labels[v1beta1.LabelOffering]
		if size == "" || len(node.Allocatable) == 0 {
			continue
		}
		if _, known := seen[size]; !known {
			seen[size] = Learned{Allocatable: scheduling.Resources{}, AttachLimits: map[string]int64{}}
		}
		least(seen[size].Allocatable, node.Allocatable)
		least(seen[size].AttachLimits, node.AttachLimits)
	}
	for size, was := range learned {
		if _, known := seen[size]; !known {
			seen[size] = was
			continue
		}
		// A fresh node reports its devices and drivers a while after it is Ready.
		remember(seen[size].Allocatable, was.Allocatable)
		remember(seen[size].AttachLimits, was.AttachLimits)
	}
	p.plan.Memory.Learned = seen
	for _, g := range p.groups {
		for i := range g.Catalogue.Offerings {
			o := &g.Catalogue.Offerings[i]
			if has, known := seen[strconv.FormatInt(o.ID, 10)]; known {
				o.Allocatable, o.AttachLimits = has.Allocatable, has.AttachLimits
			}
		}
	}
}

// remember adds what is not known anew.
func remember[K comparable](into, from map[K]int64) {
	for name, amount := range from {
		if _, known := into[name]; !known {
			into[name] = amount
		}
	}
}

// least takes the smaller of the amounts of what both name; what one does not name is unknown, not zero.
func least[K comparable](into, from map[K]int64) {
	for name, amount := range from {
		if have, known := into[name]; !known || amount < have {
			into[name] = amount
		}
	}
}

// makeState starts the simulation: nodes with their pods, and machines on their way as what their size
// promises.
func (p *planner) makeState() {
	byNode := map[string]*v1beta1.VPSieNode{}
	for _, m := range p.snapshot.Machines {
		if name := nodeName(m); name != "" && !isFailed(m) {
			byNode[name] = m
		}
	}
	p.state = scheduling.NewState(scheduling.Cluster{Items: p.snapshot.Items, Namespaces: p.snapshot.Namespaces})
	p.nodeIndex = map[string]int{}
	p.becoming, p.allocatable, p.nominated = map[string]bool{}, map[string]scheduling.Resources{}, p.snapshot.countNominated()
	for _, name := range slices.Sorted(maps.Keys(p.snapshot.Nodes)) {
		node, machine := p.snapshot.Nodes[name], byNode[name]
		launching := machine != nil && p.isFresh(machine) && !node.Ready
		if machine != nil && isLeaving(machine) || launching {
			continue // the pods of a node that leaves look for another place soon
		}
		n := p.nodeOf(node)
		settled := true
		if machine != nil {
			settled = p.promise(n, machine)
		}
		n.Reserve(p.daemons, p.snapshot.Items)
		if machine != nil {
			p.boundPods(n, machine)
		}
		if !settled {
			p.become(n)
		}
		index := p.state.AddNode(n)
		p.nodeIndex[name] = index
		if node.Ready {
			p.existing = append(p.existing, index)
		}
		if node.Ready && settled {
			p.movable = append(p.movable, index)
		}
	}
	p.addLaunching()
}

func (p *planner) addLaunching() {
	if sabotage.InFlightCounting() {
		return
	}
	machines := slices.Clone(p.snapshot.Machines)
	slices.SortFunc(machines, func(a, b *v1beta1.VPSieNode) int {
		return cmp.Or(cmp.Compare(groupOf(a), groupOf(b)), cmp.Compare(a.Name, b.Name))
	})
	for _, m := range machines {
		// What should have joined by now may never come, so pods must not be left to wait for it.
		if isLeaving(m) || isFailed(m) || !p.isFresh(m) && !p.isUnseen(m) || outage.IsHeld(m) {
			continue
		}
		if node := p.snapshot.Nodes[nodeName(m)]; node != nil && node.Ready {
			continue
		}
		if n := p.launchingNode(m); n != nil {
			p.launching = append(p.launching, n)
		} else {
			p.blind[groupOf(m)] = true
		}
	}
}

func (p *planner) nodeOf(node *Node) *scheduling.Node {
	return &scheduling.Node{
		Name: node.Name, Labels: node.Labels, Taints: node.Taints, Unschedulable: node.Unschedulable,
		Allocatable: node.Allocatable, AttachLimits: node.AttachLimits, Pods: node.Pods,
	}
}

// passing are the prefixes of taints that an agent takes off a node once it is ready, as Cluster Autoscaler
// knows them, and passingFor is how long after its first Ready a machine's Node is expected to lose them.
var passing = []string{"startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/"}

const passingFor = 10 * time.Minute

func withoutPassing(taints []corev1.Taint) []corev1.Taint {
	return slices.DeleteFunc(slices.Clone(taints), func(t corev1.Taint) bool {
		return slices.ContainsFunc(passing, func(prefix string) bool { return strings.HasPrefix(t.Key, prefix) })
	})
}

// freshFor is how long after its first Ready a Node may still be on its way into the feed, or wear
// the taints that Kubernetes takes off a new Node a moment later.
const freshFor = time.Minute

// isFresh reports whether the machine's Node is not yet what it will be.
func (p *planner) isFresh(m *v1beta1.VPSieNode) bool {
	return m.Status.Phase != v1beta1.PhaseReady || m.Status.ReadyAt != nil && p.now.Sub(m.Status.ReadyAt.Time) < freshFor
}

// promise makes of a fresh machine's Node what it will be: with the labels and taints of its group, and without those
// that Kubernetes and the network's and the storage's agents take off a moment later. Otherwise pods would seem to fit
// nowhere for a moment, and another machine would be bought for them. It reports whether the Node is that already, so
// that pods can run there now.
func (p *planner) promise(n *scheduling.Node, m *v1beta1.VPSieNode) bool {
	group := p.find(groupOf(m))
	if group == nil {
		return true
	}
	if !p.isFresh(m) {
		kept := withoutPassing(n.Taints)
		if len(kept) == len(n.Taints) || m.Status.ReadyAt != nil && p.now.Sub(m.Status.ReadyAt.Time) >= passingFor {
			return true
		}
		n.Taints = kept
		return false
	}
	labels := maps.Clone(n.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, scheduling.NodeLabels(group.NodeGroup, m.Spec.Offering, m.Spec.OfferingName))
	n.Planned = PlannedPods(m)
	n.Labels = labels
	n.Taints = group.Spec.Template.Taints
	return false
}

// boundPods keeps the number of pods on a machine within what its group allows, DaemonSets' pods not counted.
func (p *planner) boundPods(n *scheduling.Node, m *v1beta1.VPSieNode) {
	group := p.find(groupOf(m))
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
			n := scheduling.NewNode(name, group.NodeGroup, &o.Offering, p.daemons)
			n.Planned = PlannedPods(m)
			p.boundPods(n, m)
			if nodeName(m) != "" {
				p.become(n)
			}
			return n
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

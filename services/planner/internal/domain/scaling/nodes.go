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
	for _, name := range slices.Sorted(maps.Keys(p.snapshot.Nodes)) {
		node, machine := p.snapshot.Nodes[name], byNode[name]
		launching := machine != nil && p.isFresh(machine) && !node.Ready
		if machine != nil && isLeaving(machine) || launching {
			continue // the pods of a node that leaves look for another place soon
		}
		n := p.nodeOf(node)
		if machine != nil && p.isFresh(machine) {
			p.promise(n, machine)
		}
		n.Reserve(p.daemons, p.snapshot.Items)
		index := p.state.AddNode(n)
		p.nodeIndex[name] = index
		if node.Ready {
			p.existing = append(p.existing, index)
		}
	}
	p.addLaunching()
}

func (p *planner) addLaunching() {
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
		if n := p.launchingNode(m); n != nil {
			p.launching = append(p.launching, n)
		} else {
			p.blind[groupOf(m)] = true
		}
	}
}

func (p *planner) nodeOf(node *Node) *scheduling.Node {
	return &scheduling.Node{
		Name: node.Name, Labels: node.Labels, Taints: withoutPassing(node.Taints), Unschedulable: node.Unschedulable,
		Allocatable: node.Allocatable, AttachLimits: node.AttachLimits, Pods: node.Pods,
	}
}

// passing are the prefixes of taints that an agent takes off a node once it is ready, as Cluster Autoscaler
// knows them: such a node is as good as free of them.
var passing = []string{"startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/"}

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

// promise makes of a fresh Node what it will be: with the labels and taints of its group, and
// without those that Kubernetes and the network's and the storage's agents take off a moment later.
// Otherwise pods would seem to fit nowhere for a moment, and another machine would be bought for them.
func (p *planner) promise(n *scheduling.Node, m *v1beta1.VPSieNode) {
	group := p.find(groupOf(m))
	if group == nil {
		return
	}
	labels := maps.Clone(n.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, scheduling.NodeLabels(group.NodeGroup, m.Spec.Offering, m.Spec.OfferingName))
	n.Planned = PlannedPods(m)
	n.Labels = labels
	n.Taints = group.Spec.Template.Taints
}

// DescribePlannedPods is the value of the annotation that says for which pods a machine is bought.
func DescribePlannedPods(pods map[scheduling.ShapeID]int) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(pods)) {
		parts = append(parts, string(id)+"="+strconv.Itoa(pods[id]))
	}
	return strings.Join(parts, ",")
}

// PlannedPods reads what DescribePlannedPods wrote; what cannot be read is left out.
func PlannedPods(m *v1beta1.VPSieNode) map[scheduling.ShapeID]int {
	pods := map[scheduling.ShapeID]int{}
	for part := range strings.SplitSeq(m.Annotations[v1beta1.AnnotationPlannedPods], ",") {
		id, text, _ := strings.Cut(part, "=")
		if count, err := strconv.Atoi(text); err == nil && count > 0 {
			pods[scheduling.ShapeID(id)] = count
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

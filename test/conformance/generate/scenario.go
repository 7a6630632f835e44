// Package generate draws random small clusters, and pods that arrive in them, for comparing two judges
// of where pods fit. The alphabets are small so that constraints meet often, and what is drawn is what
// an API server would store: defaults are set and matchLabelKeys are merged into selectors.
package generate

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
)

// Kind is a kind of constraint.
type Kind string

// The kinds of constraints. A pod of kind Plain has a little cpu and memory and nothing else to ask for.
const (
	Plain         Kind = "plain"
	Resources     Kind = "resources"
	NodeSelection Kind = "node selection"
	Taints        Kind = "taints"
	HostPorts     Kind = "host ports"
	Spread        Kind = "topology spread"
	PodAffinity   Kind = "pod affinity"
	Volumes       Kind = "volumes"
)

// Kinds are all kinds of constraints, in the order of reports.
var Kinds = []Kind{Plain, Resources, NodeSelection, Taints, HostPorts, Spread, PodAffinity, Volumes}

// Scenario is a cluster and what happens in it, one step after the other.
type Scenario struct {
	Seed    uint64
	Objects cluster.Objects
	Steps   []Step
}

// Step is one thing that happens; one of its fields is set.
type Step struct {
	// Arrive is a pod that waits for a node.
	Arrive *Arrival
	// Add is a node without pods that joins. Its CSINode, if it has one, is among the Objects from the start.
	Add *corev1.Node
	// Remove names a node that leaves with the pods on it.
	Remove string
}

// Arrival is a pod and the kinds of constraints that it has.
type Arrival struct {
	Pod   *corev1.Pod
	Kinds []Kind
}

// Pods lists the pods that arrive.
func (s *Scenario) Pods() []*corev1.Pod {
	var out []*corev1.Pod
	for _, step := range s.Steps {
		if step.Arrive != nil {
			out = append(out, step.Arrive.Pod)
		}
	}
	return out
}

// builder draws one scenario.
type builder struct {
	source
	// theme is the few kinds of constraints that the scenario is about, so that they meet each other.
	theme   []Kind
	objects cluster.Objects
	// zones are those that the cluster has nodes in.
	zones []string
	count int
}

// New draws the scenario of a seed.
func New(seed uint64) Scenario {
	b := &builder{source: newSource(seed)}
	b.theme = some(b.source, 2, Kinds...)
	b.namespaces()
	b.zones = zoneNames[:b.between(1, len(zoneNames))]
	for range b.between(3, 12) {
		b.objects.Nodes = append(b.objects.Nodes, b.node())
	}
	b.classes()
	for _, node := range b.objects.Nodes {
		for range b.between(0, 3) {
			b.objects.Pods = append(b.objects.Pods, b.running(node))
		}
	}
	return Scenario{Seed: seed, Steps: b.steps(), Objects: b.objects}
}

// steps draws what happens: pods arrive, some of them replicas of one that came before, and at times a
// node joins or leaves between them.
func (b *builder) steps() []Step {
	var steps []Step
	var last *Arrival
	for range b.between(2, 5) {
		arrival := b.arrival()
		if last != nil && b.chance(40) {
			arrival = b.replica(last)
		}
		last = arrival
		steps = append(steps, Step{Arrive: arrival})
	}
	if b.chance(30) {
		node := b.node()
		steps = slices.Insert(steps, b.between(0, len(steps)-1), Step{Add: node})
	}
	if b.chance(30) {
		gone := pick(b.source, b.objects.Nodes...)
		steps = slices.Insert(steps, b.between(0, len(steps)-1), Step{Remove: gone.Name})
	}
	return steps
}

// replica is another pod of the same template.
func (b *builder) replica(of *Arrival) *Arrival {
	pod := of.Pod.DeepCopy()
	pod.Name = b.name("pod")
	pod.UID = types.UID(pod.Name)
	return &Arrival{Pod: pod, Kinds: of.Kinds}
}

// name makes a name that nothing else in the scenario has.
func (b *builder) name(prefix string) string {
	b.count++
	return prefix + "-" + strconv.Itoa(b.count)
}

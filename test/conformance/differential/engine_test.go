package differential

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
)

// engine is a scenario's cluster in the engine's world of shapes and counts.
type engine struct {
	state  *scheduling.State
	nodes  map[string]int
	items  map[scheduling.ShapeID]*scheduling.Item
	store  *store
	limits map[string]map[string]int64
	// keep says which labels of pods some selector refers to; nil means all.
	keep map[string]bool
}

// newEngine translates the cluster of a scenario as the observer does. Pods that will arrive are
// pending already, and so count among those that use a claim.
func newEngine(s *generate.Scenario) (*engine, error) {
	e := &engine{
		nodes: map[string]int{}, items: map[scheduling.ShapeID]*scheduling.Item{}, limits: attachLimits(s.Objects.CSINodes),
		store: newStore(s.Objects, s.Pods()),
	}
	if s.Seed%2 == 0 {
		e.keep = referred(append(s.Pods(), s.Objects.Pods...))
	}
	onNode := map[string]map[scheduling.ShapeID]int{}
	for _, pod := range s.Objects.Pods {
		item, err := e.item(pod)
		if err != nil {
			return nil, err
		}
		if onNode[pod.Spec.NodeName] == nil {
			onNode[pod.Spec.NodeName] = map[scheduling.ShapeID]int{}
		}
		onNode[pod.Spec.NodeName][item.ID]++
	}
	c := scheduling.Cluster{Items: e.items, Namespaces: map[string]map[string]string{}}
	for _, ns := range s.Objects.Namespaces {
		c.Namespaces[ns.Name] = ns.Labels
	}
	for i, node := range s.Objects.Nodes {
		n := e.node(node)
		n.Pods = onNode[node.Name]
		c.Nodes = append(c.Nodes, n)
		e.nodes[node.Name] = i
	}
	e.state = scheduling.NewState(c)
	return e, nil
}

func (e *engine) node(node *corev1.Node) *scheduling.Node {
	return &scheduling.Node{
		Name: node.Name, Labels: node.Labels, Taints: node.Spec.Taints, Unschedulable: node.Spec.Unschedulable,
		Allocatable: scheduling.ResourcesOf(node.Status.Allocatable), AttachLimits: e.limits[node.Name],
	}
}

// item is the pod's shape; pods of equal shapes share it.
func (e *engine) item(pod *corev1.Pod) (*scheduling.Item, error) {
	volumes, problem := scheduling.VolumesOf(pod, e.store)
	c := scheduling.PodContext{Volumes: volumes, VolumesProblem: problem, DefaultSpread: defaultSpread(pod)}
	if e.keep != nil {
		c.KeepLabel = func(key string) bool { return e.keep[key] }
	}
	shape := scheduling.ShapeOf(pod, c)
	text, err := json.Marshal(shape)
	if err != nil {
		return nil, fmt.Errorf("name the shape of pod %s: %w", pod.Name, err)
	}
	sum := sha256.Sum256(text)
	id := scheduling.ShapeID(hex.EncodeToString(sum[:8]))
	if e.items[id] == nil {
		e.items[id] = scheduling.NewItem(id, &shape)
	}
	return e.items[id], nil
}

// check judges one more pod on a node. What the engine cannot judge fits nowhere.
func (e *engine) check(item *scheduling.Item, node string) scheduling.Verdict {
	if item.Shape.Unjudged != "" {
		return scheduling.Verdict{Code: item.Shape.Unjudged, Message: "the engine does not judge such a pod"}
	}
	return e.state.Check(item, e.nodes[node])
}

// place puts up to n pods on a node and returns how many its rules allow.
func (e *engine) place(item *scheduling.Item, node string, n int) int {
	return e.state.PlaceUpTo(item, e.nodes[node], n)
}

// force puts n pods on a node whatever its rules say; a negative n takes them back.
func (e *engine) force(item *scheduling.Item, node string, n int) {
	e.state.Place(item, e.nodes[node], n)
}

func (e *engine) addNode(node *corev1.Node) { e.nodes[node.Name] = e.state.AddNode(e.node(node)) }

func (e *engine) removeNode(name string) {
	if i, found := e.nodes[name]; found {
		e.state.RemoveNode(i)
		delete(e.nodes, name)
	}
}

// detour simulates what comes to nothing, and must leave no trace.
func (e *engine) detour(item *scheduling.Item, order []string) {
	e.state.Try(func() bool {
		for _, name := range order {
			e.state.Place(item, e.nodes[name], 1)
		}
		e.state.RemoveNode(e.nodes[order[0]])
		extra := e.state.AddNode(&scheduling.Node{Name: "detour", Labels: map[string]string{corev1.LabelTopologyZone: "z9", corev1.LabelHostname: "detour"}})
		e.state.Place(item, extra, 2)
		e.state.Check(item, extra)
		return false
	})
}

// defaultSpread are kube-scheduler's defaults for pods without constraints. They do not forbid anything.
func defaultSpread(pod *corev1.Pod) []corev1.TopologySpreadConstraint {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": pod.Labels["app"]}}
	return []corev1.TopologySpreadConstraint{
		{MaxSkew: 3, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector},
		{MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector},
	}
}

// referred are the keys of labels that a selector of some pod looks at.
func referred(pods []*corev1.Pod) map[string]bool {
	out := map[string]bool{"app": true}
	add := func(s *metav1.LabelSelector) {
		if s == nil {
			return
		}
		for key := range s.MatchLabels {
			out[key] = true
		}
		for _, r := range s.MatchExpressions {
			out[r.Key] = true
		}
	}
	for _, pod := range pods {
		for _, c := range pod.Spec.TopologySpreadConstraints {
			add(c.LabelSelector)
		}
		for _, t := range generate.PodTerms(pod) {
			add(t.LabelSelector)
		}
	}
	return out
}

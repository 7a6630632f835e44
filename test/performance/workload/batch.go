package workload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// group is the NodeGroup that every option belongs to.
const group = "default/workload"

// Batch is a workload as the engine takes it.
type Batch struct {
	// Options are one a type and zone, in the order of the types; Types are their types.
	Options []*packing.Option
	Types   map[*packing.Option]*Type
	Items   map[scheduling.ShapeID]*scheduling.Item
	// Pods are the waiting pods of each shape in the order of their namespaces and names.
	Pods map[scheduling.ShapeID][]*corev1.Pod
	// demands and refused are in the order in which their first pods come. The engine cannot judge those refused.
	demands, refused []packing.Demand
	limit            bounds.Limit
}

// Batch turns the workload into what the engine takes. Neither is changed by the other.
func (w *Workload) Batch() (*Batch, error) {
	b := &Batch{
		Types: map[*packing.Option]*Type{}, Items: map[scheduling.ShapeID]*scheduling.Item{},
		Pods: map[scheduling.ShapeID][]*corev1.Pod{}, limit: bounds.Unlimited,
	}
	if w.NodesMax > 0 {
		b.limit = b.limit.WithNodes(w.NodesMax)
	}
	if err := b.addPods(w.Pods); err != nil {
		return nil, err
	}
	daemons := make([]*scheduling.Item, 0, len(w.Daemons))
	for i, pod := range w.Daemons {
		shape := scheduling.ShapeOf(pod, scheduling.PodContext{})
		daemons = append(daemons, scheduling.NewItem(scheduling.ShapeID(fmt.Sprintf("daemon-%d", i)), &shape))
	}
	for i := range w.Types {
		b.addOptions(&w.Types[i], i, daemons)
	}
	return b, nil
}

// Problem is the batch to plan from an empty cluster. Planning changes a problem's state, so each plan takes a new one.
func (b *Batch) Problem() packing.Problem {
	return packing.Problem{
		State: scheduling.NewState(scheduling.Cluster{Items: b.Items}), Demands: b.demands, Options: b.Options,
		Limits: map[string]bounds.Limit{group: b.limit}, SoftShare: packing.SoftShareDefault,
	}
}

// Demands counts the pods of each shape that is planned for, in an order that does not depend on the order of the pods.
func (b *Batch) Demands() []packing.Demand { return sorted(b.demands) }

// Refused counts the pods, in the same order, for which nothing is launched on a guess: their shapes say why.
func (b *Batch) Refused() []packing.Demand { return sorted(b.refused) }

func sorted(demands []packing.Demand) []packing.Demand {
	return slices.SortedFunc(slices.Values(demands), func(x, y packing.Demand) int { return cmp.Compare(x.Item.ID, y.Item.ID) })
}

func (b *Batch) addPods(pods []*corev1.Pod) error {
	keys := selectedLabels(pods)
	var order []scheduling.ShapeID
	for _, pod := range pods {
		shape := scheduling.ShapeOf(pod, scheduling.PodContext{
			KeepLabel: func(key string) bool { return keys[key] }, VolumesProblem: volumesProblem(pod),
		})
		id, _, err := feed.EncodeShape(&shape)
		if err != nil {
			return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if b.Items[id] == nil {
			order = append(order, id)
			b.Items[id] = scheduling.NewItem(id, &shape)
		}
		b.Pods[id] = append(b.Pods[id], pod)
	}
	for _, id := range order {
		slices.SortFunc(b.Pods[id], func(x, y *corev1.Pod) int {
			return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
		})
		d := packing.Demand{Item: b.Items[id], Count: len(b.Pods[id])}
		if d.Item.Shape.Unjudged == "" {
			b.demands = append(b.demands, d)
		} else {
			b.refused = append(b.refused, d)
		}
	}
	return nil
}

// volumesProblem refuses pods with claims: what a claim says about nodes is nowhere in a workload.
func volumesProblem(pod *corev1.Pod) scheduling.Verdict {
	for i := range pod.Spec.Volumes {
		if scheduling.ClaimOf(pod, &pod.Spec.Volumes[i]) != "" {
			return scheduling.Verdict{Code: reason.NoScaleUpVolume, Message: "what a claim says about nodes is not in the workload"}
		}
	}
	return scheduling.Verdict{}
}

// selectedLabels are the keys that a selector of some pod refers to. Other labels, such as those that number the
// pods of a StatefulSet, would only make every pod a shape of its own.
func selectedLabels(pods []*corev1.Pod) map[string]bool {
	keys := map[string]bool{}
	for _, pod := range pods {
		for i := range pod.Spec.TopologySpreadConstraints {
			c := &pod.Spec.TopologySpreadConstraints[i]
			addSelected(keys, c.LabelSelector, c.MatchLabelKeys)
		}
		for _, term := range podTerms(pod.Spec.Affinity) {
			addSelected(keys, term.LabelSelector, term.MatchLabelKeys)
			addSelected(keys, nil, term.MismatchLabelKeys)
		}
	}
	return keys
}

func addSelected(keys map[string]bool, selector *metav1.LabelSelector, further []string) {
	for _, key := range further {
		keys[key] = true
	}
	if selector == nil {
		return
	}
	for key := range selector.MatchLabels {
		keys[key] = true
	}
	for i := range selector.MatchExpressions {
		keys[selector.MatchExpressions[i].Key] = true
	}
}

// podTerms are all terms of an affinity to pods, required and preferred.
func podTerms(affinity *corev1.Affinity) []corev1.PodAffinityTerm {
	var out []corev1.PodAffinityTerm
	add := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		out = append(out, required...)
		for i := range preferred {
			out = append(out, preferred[i].PodAffinityTerm)
		}
	}
	if affinity != nil && affinity.PodAffinity != nil {
		add(affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if affinity != nil && affinity.PodAntiAffinity != nil {
		add(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return out
}

// addOptions adds the options of a type, one a zone.
func (b *Batch) addOptions(t *Type, number int, daemons []*scheduling.Item) {
	for zone, name := range t.Zones {
		o := &packing.Option{
			Group: group, Offering: int64(number*zonesMax + zone), OfferingName: t.Name, MonthlyPrice: t.Price(),
			MilliCPU: t.MilliCPU(), MemoryBytes: t.MemoryBytes(), Empty: t.node(name),
		}
		o.Empty.Reserve(daemons, nil, nil)
		b.Options = append(b.Options, o)
		b.Types[o] = t
	}
}

// node is the node that launching the type in a zone brings.
func (t *Type) node(zone string) *scheduling.Node {
	name := t.Name + "-" + zone
	labels := map[string]string{
		corev1.LabelTopologyZone: zone, corev1.LabelHostname: name, corev1.LabelArchStable: t.Arch,
		corev1.LabelOSStable: string(corev1.Linux), corev1.LabelInstanceTypeStable: t.Name,
	}
	maps.Copy(labels, t.Labels)
	allocatable := scheduling.Resources{
		corev1.ResourceCPU: t.MilliCPU() - t.ReservedMilliCPU, corev1.ResourceMemory: t.MemoryBytes() - t.ReservedMiB<<20, corev1.ResourcePods: t.Pods,
	}
	maps.Copy(allocatable, scheduling.ResourcesOf(t.Extended))
	return &scheduling.Node{Name: name, Labels: labels, Allocatable: allocatable}
}

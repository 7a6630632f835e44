package scheduling

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// Item is a shape made ready for judging. It is immutable once made and may be shared between
// goroutines.
type Item struct {
	ID    ShapeID
	Shape *Shape

	affinity nodeaffinity.RequiredNodeAffinity
	// nodeKey spells everything about the shape that a node's labels and taints must meet.
	nodeKey string
	// nodeLabels are the label keys that nodeKey looks at; byName says that it looks at a node's name.
	nodeLabels []string
	byName     bool
	topologies []*nodeaffinity.NodeSelector
	affine     []podTerm
	repels     []podTerm
	spread     []spreadTerm
	// affinityKeys and topologyKeys are the topologies of which AffinityKeys and TopologyKeys tell.
	affinityKeys, topologyKeys []string
	// problem says which constraint could not be understood; such a shape fits nowhere.
	problem Verdict
	// daemonKey tells a DaemonSet's pods from those of others.
	daemonKey string
	// presence is such a pod without the room that it takes, for pods that belong to their node.
	presence *Item
	// Placement names everything about the shape that decides where its pods fit. Shapes that differ in what a budget or a
	// protection says, or in which of their labels somebody asks for, have the same.
	Placement string
}

// podTerm is a required term of affinity or anti-affinity to pods.
type podTerm struct {
	key        string
	namespaces []string
	selector   labels.Selector
	// of selects further namespaces by their labels; nil selects none.
	of labels.Selector
	// id spells the term, so that equal ones are counted once.
	id string
}

// spreadTerm is a topology spread constraint.
type spreadTerm struct {
	corev1.TopologySpreadConstraint
	selector  labels.Selector
	namespace string
	id        string
}

// NewItem prepares a shape.
func NewItem(id ShapeID, shape *Shape) *Item {
	item := &Item{ID: id, Shape: shape}
	var required *corev1.NodeSelector
	if a := shape.Affinity; a != nil {
		if a.NodeAffinity != nil {
			required = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
		if a.PodAffinity != nil {
			item.affine = item.podTerms(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
		if a.PodAntiAffinity != nil {
			item.repels = item.podTerms(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		}
	}
	affinity := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
	item.affinity = nodeaffinity.NewRequiredNodeAffinity(shape.NodeSelector, affinity)
	for _, v := range shape.Volumes {
		if v.Topology == nil {
			continue
		}
		selector, err := nodeaffinity.NewNodeSelector(v.Topology)
		if err != nil {
			item.problem = Verdict{reason.NoScaleUpVolume, "the topology of a volume is invalid: " + err.Error()}
			continue
		}
		item.topologies = append(item.topologies, selector)
	}
	item.describeNodes(required)
	for _, c := range shape.Spread {
		if c.WhenUnsatisfiable == corev1.DoNotSchedule {
			item.spread = append(item.spread, item.spreadTerm(c))
		}
	}
	item.nameTopologies()
	item.daemonKey = daemonKey(shape)
	item.Placement = item.placement()
	if shape.IsDaemon() && len(shape.Requests) > 0 {
		item.presence = presenceOf(id, shape)
	}
	return item
}

func (i *Item) placement() string {
	hash := fnv.New64a()
	put := func(text string) { _, _ = hash.Write([]byte(text + "\x00")) } // a hash never fails
	put(i.daemonKey)
	put(i.nodeKey)
	put(itoa(int64(i.Shape.Priority)))
	for _, t := range slices.Concat(i.affine, i.repels) {
		put(t.id)
	}
	for _, t := range i.spread {
		put(t.id + itoa(int64(t.MaxSkew)))
	}
	for _, p := range i.Shape.HostPorts {
		put(p.IP + string(p.Protocol) + itoa(int64(p.Port)))
	}
	for _, v := range i.Shape.Volumes {
		put(v.Driver + v.Handle)
	}
	return strconv.FormatUint(hash.Sum64(), 36)
}

func (i *Item) podTerms(terms []corev1.PodAffinityTerm) []podTerm {
	out := make([]podTerm, 0, len(terms))
	for j := range terms {
		out = append(out, i.podTerm(&terms[j]))
	}
	return out
}

func (i *Item) podTerm(t *corev1.PodAffinityTerm) podTerm {
	out := podTerm{key: t.TopologyKey, namespaces: slices.Sorted(slices.Values(t.Namespaces)), selector: i.selector(t.LabelSelector)}
	if t.NamespaceSelector != nil {
		out.of = i.selector(t.NamespaceSelector)
	} else if len(out.namespaces) == 0 {
		out.namespaces = []string{i.Shape.Namespace}
	}
	out.id = out.key + "|" + strings.Join(out.namespaces, ",") + "|" + out.selector.String()
	if out.of != nil {
		out.id += "|" + out.of.String() + "|of"
	}
	if _, all := out.selector.Requirements(); !all {
		out.id += "|nothing"
	}
	return out
}

func (i *Item) selector(s *metav1.LabelSelector) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		i.problem = Verdict{reason.NoScaleUpSelector, "a label selector of the pod is invalid: " + err.Error()}
		return labels.Nothing()
	}
	return selector
}

// matches reports whether pods of an item in a namespace with these labels are meant by the term.
func (t *podTerm) matches(item *Item, namespaceLabels map[string]string) bool {
	if !slices.Contains(t.namespaces, item.Shape.Namespace) && (t.of == nil || !t.of.Matches(labels.Set(namespaceLabels))) {
		return false
	}
	return t.selector.Matches(labels.Set(item.Shape.Labels))
}

func (i *Item) spreadTerm(c corev1.TopologySpreadConstraint) spreadTerm {
	t := spreadTerm{TopologySpreadConstraint: c, selector: i.selector(c.LabelSelector), namespace: i.Shape.Namespace}
	t.id = c.TopologyKey + "|" + i.Shape.Namespace + "|" + t.selector.String()
	if _, all := t.selector.Requirements(); !all {
		t.id += "|nothing"
	}
	return t
}

// matches reports whether pods of an item are counted by the constraint of a pod in a namespace.
func (t *spreadTerm) matches(item *Item, namespace string) bool {
	return item.Shape.Namespace == namespace && t.selector.Matches(labels.Set(item.Shape.Labels))
}

// honoursAffinity reports whether only nodes that the pod's selector and affinity admit are domains.
func (t *spreadTerm) honoursAffinity() bool {
	return t.NodeAffinityPolicy == nil || *t.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor
}

// honoursTaints reports whether only nodes whose taints the pod tolerates are domains.
func (t *spreadTerm) honoursTaints() bool {
	return t.NodeTaintsPolicy != nil && *t.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
}

// describeNodes writes down what the shape asks of a node's labels and taints.
func (i *Item) describeNodes(required *corev1.NodeSelector) {
	var b strings.Builder
	keys := map[string]bool{}
	for _, key := range slices.Sorted(mapKeys(i.Shape.NodeSelector)) {
		b.WriteString(key + "=" + i.Shape.NodeSelector[key] + ";")
		keys[key] = true
	}
	selectors := []*corev1.NodeSelector{required}
	for _, v := range i.Shape.Volumes {
		selectors = append(selectors, v.Topology)
	}
	for _, s := range selectors {
		i.describeSelector(&b, s, keys)
	}
	for _, t := range i.Shape.Tolerations {
		b.WriteString("~" + t.Key + " " + string(t.Operator) + " " + t.Value + " " + string(t.Effect))
	}
	i.nodeKey = b.String()
	i.nodeLabels = slices.Sorted(mapKeys(keys))
}

func (i *Item) describeSelector(b *strings.Builder, s *corev1.NodeSelector, keys map[string]bool) {
	if s == nil {
		return
	}
	b.WriteString("[")
	for _, term := range s.NodeSelectorTerms {
		b.WriteString("(")
		for _, r := range term.MatchExpressions {
			b.WriteString(r.Key + " " + string(r.Operator) + " " + strings.Join(r.Values, ",") + ";")
			keys[r.Key] = true
		}
		for _, r := range term.MatchFields {
			b.WriteString("." + r.Key + " " + string(r.Operator) + " " + strings.Join(r.Values, ",") + ";")
			i.byName = true
		}
		b.WriteString(")")
	}
	b.WriteString("]")
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// nameTopologies lists the topologies that the item's rules about other pods speak of.
func (i *Item) nameTopologies() {
	for _, t := range i.affine {
		if !slices.Contains(i.affinityKeys, t.key) {
			i.affinityKeys = append(i.affinityKeys, t.key)
		}
	}
	add := func(key string) {
		if key != corev1.LabelHostname && !slices.Contains(i.topologyKeys, key) {
			i.topologyKeys = append(i.topologyKeys, key)
		}
	}
	for _, key := range i.affinityKeys {
		add(key)
	}
	for _, t := range i.repels {
		add(t.key)
	}
	for j := range i.spread {
		add(i.spread[j].TopologyKey)
	}
}

// AffinityKeys are the topologies in which the item's pods want to be with others, or with each other, by rule. It must not be
// changed.
func (i *Item) AffinityKeys() []string { return i.affinityKeys }

// TopologyKeys are the topologies other than the node that the item's rules about other pods speak of. It must not be changed.
func (i *Item) TopologyKeys() []string { return i.topologyKeys }

// NodeKey spells everything about the item that a node's labels and taints must meet.
func (i *Item) NodeKey() string { return i.nodeKey }

// HostLimits are how many pods of its kind the item allows on a new node, by the rule that says so.
func (i *Item) HostLimits() map[string]int {
	limits := map[string]int{}
	for j := range i.spread {
		if t := &i.spread[j]; t.TopologyKey == corev1.LabelHostname && t.matches(i, i.Shape.Namespace) {
			limits["spread|"+t.id] = int(t.MaxSkew)
		}
	}
	for j := range i.repels {
		if t := &i.repels[j]; t.key == corev1.LabelHostname && t.matches(i, nil) {
			limits["anti|"+t.id] = 1
		}
	}
	return limits
}

// perNodeUnlimited is what PerNode says of an item without such rules.
const perNodeUnlimited = 1 << 30

// perNodeMax is how many pods of the item its own rules allow on a new node at most.
func (i *Item) perNodeMax() int {
	most := perNodeUnlimited
	for _, limit := range i.HostLimits() {
		most = min(most, limit)
	}
	return most
}

// IsFree reports whether pods of the item can be placed many at a time: nothing but room on the node
// and the node itself says where they go.
func (i *Item) IsFree() bool {
	return len(i.affine) == 0 && len(i.repels) == 0 && len(i.spread) == 0 && len(i.Shape.HostPorts) == 0 && !i.sharesVolumes()
}

func (i *Item) sharesVolumes() bool {
	return slices.ContainsFunc(i.Shape.Volumes, func(v Volume) bool { return v.Handle != "" })
}

// ByDecreasingSize orders items by priority, then by size at the price ratio of resources, then by id
// so that the order is total.
func ByDecreasingSize(a, b *Item) int {
	return cmp.Or(
		cmp.Compare(b.Shape.Priority, a.Shape.Priority),
		cmp.Compare(weigh(b.Shape.Requests), weigh(a.Shape.Requests)),
		cmp.Compare(a.ID, b.ID),
	)
}

// weigh is the size of a set of resources in thousandths of a core, a GiB of memory counting for
// a third of one: the ratio at which VPSie's sizes are priced.
func weigh(r Resources) int64 {
	return r[corev1.ResourceCPU] + r[corev1.ResourceMemory]*1000/(gibibytesPerCore<<30)
}

// gibibytesPerCore is how many GiB of memory cost as much as a core.
const gibibytesPerCore = 3

// Verdict is a refusal: the code and a text that names what is missing. The zero value means
// that the shape fits.
type Verdict struct {
	Code    reason.Code
	Message string
}

// OK reports whether nothing was refused.
func (v Verdict) OK() bool { return v.Code == "" }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

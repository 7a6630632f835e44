package generate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
)

// Labels of pods.
const (
	labelApp     = "app"
	labelTier    = "tier"
	labelVersion = "version"
)

var (
	apps     = []string{"api", "web"}
	tiers    = []string{"back", "front"}
	versions = []string{"v1", "v2"}
)

func (b *builder) namespaces() {
	for _, ns := range []struct {
		name   string
		labels map[string]string
	}{
		{"blue", map[string]string{"env": "prod", "team": "one"}},
		{"green", map[string]string{"env": "test", "team": "one"}},
		{"red", nil},
	} {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns.name, Labels: map[string]string{corev1.LabelMetadataName: ns.name}}}
		for key, value := range ns.labels {
			n.Labels[key] = value
		}
		b.objects.Namespaces = append(b.objects.Namespaces, n)
	}
}

// arrival draws a pod that waits for a node.
func (b *builder) arrival() *Arrival {
	kinds := b.kinds(75)
	return &Arrival{Pod: b.pod(kinds, ""), Kinds: kinds}
}

// running draws a pod that a node has. Nobody asked whether it fits there: nodes change under their
// pods, so the rules must hold up against whatever is there.
func (b *builder) running(node *corev1.Node) *corev1.Pod {
	kinds := b.kinds(60)
	pod := cluster.Bound(b.pod(kinds, node.Name), node.Name)
	if b.chance(b.often(Resources, 12, 2)) {
		b.resize(pod)
	}
	if b.chance(8) {
		deleted, grace := metav1.Unix(1_700_000_000, 0), int64(30)
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &deleted, &grace
	}
	if b.chance(10) {
		b.daemon(pod, node)
	}
	return pod
}

// daemon makes a pod one of a DaemonSet, which ties each of its pods to a node by name.
func (b *builder) daemon(pod *corev1.Pod, node *corev1.Node) {
	yes := true
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: "agent", Controller: &yes}}
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	pod.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node.Name}},
		}}},
	}}
}

// kinds draws the kinds of constraints of a pod from the theme, each with a chance of percent.
func (b *builder) kinds(percent int) []Kind {
	var out []Kind
	for _, kind := range b.theme {
		if kind != Plain && b.chance(percent) {
			out = append(out, kind)
		}
	}
	if len(out) == 0 {
		out = []Kind{Plain}
	}
	return out
}

// pod draws a pod with constraints of some kinds. One that runs has a node and only volumes that exist.
func (b *builder) pod(kinds []Kind, node string) *corev1.Pod {
	name := b.name("pod")
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{}}}
	p.Namespace = pick(b.source, "blue", "blue", "blue", "green", "red")
	b.podLabels(p.Labels)
	priority := pick(b.source, int32(-20), 0, 0, 1000)
	p.Spec.Priority = &priority
	p.Spec.Containers = []corev1.Container{b.container("main")}
	for _, kind := range Kinds {
		if slices.Contains(kinds, kind) {
			b.constrain(p, kind, node)
		}
	}
	if slices.Contains(kinds, Resources) && b.chance(15) {
		b.podLevel(p)
	}
	admit(p)
	return p
}

func (b *builder) constrain(p *corev1.Pod, kind Kind, node string) {
	switch kind {
	case Resources:
		b.resources(p)
	case NodeSelection:
		b.nodeSelection(p)
	case Taints:
		p.Spec.Tolerations = b.tolerations()
	case HostPorts:
		b.hostPorts(p)
	case Spread:
		p.Spec.TopologySpreadConstraints = b.spread(p)
	case PodAffinity:
		b.podAffinity(p)
	case Volumes:
		b.volumes(p, node)
	case Plain:
	}
}

func (b *builder) podLabels(labels map[string]string) {
	labels[labelApp] = pick(b.source, apps...)
	if b.chance(70) {
		labels[labelTier] = pick(b.source, tiers...)
	}
	if b.chance(70) {
		labels[labelVersion] = pick(b.source, versions...)
	}
}

// container draws a container that is small enough for a few of them to share any node.
func (b *builder) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "example.com/" + name}
	if b.chance(85) {
		c.Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU:    quantity(pick(b.source, "0", "1m", "50m", "100m")),
			corev1.ResourceMemory: quantity(pick(b.source, "0", "1Mi", "64Mi", "128M")),
		}
	}
	return c
}

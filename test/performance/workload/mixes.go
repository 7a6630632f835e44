package workload

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Soft makes one deployment of n pods that would rather be spread evenly over nodes. A planner that grants that
// at any price launches n machines.
func Soft(n int, seed uint64) Workload {
	d := deployments{n: n, seed: seed, count: 1, rules: []rule{spreadOver(corev1.LabelHostname, corev1.ScheduleAnyway)}}
	return Workload{Name: "soft", Types: Catalogue(), Pods: d.pods()}
}

// Preferred makes n pods in deployments that would rather, in turn, be in zone z1, be on the largest sizes, be together in
// a zone, be on nodes of their own, and be spread evenly over zones.
func Preferred(n int, seed uint64) Workload {
	d := deployments{n: n, seed: seed, rules: preferences()}
	return Workload{Name: "preferred", Types: Catalogue(), Pods: d.pods()}
}

func preferences() []rule {
	return []rule{
		prefersNodes(corev1.LabelTopologyZone, "z1"), prefersNodes(corev1.LabelInstanceTypeStable, "c-64", "g-64", "m-64"),
		prefersTogether(corev1.LabelTopologyZone), prefersApart(corev1.LabelHostname),
		spreadOver(corev1.LabelTopologyZone, corev1.ScheduleAnyway),
	}
}

// PreferredDeployments makes n pods in 1,000 deployments with the preferences of Preferred, each with selectors of its own.
func PreferredDeployments(n int, seed uint64) Workload {
	d := deployments{n: n, seed: seed, count: 1000, rules: preferences()}
	return Workload{Name: "preferred-deployments", Types: Catalogue(), Pods: d.pods()}
}

const weightMax = 100

func prefersNodes(key string, values ...string) rule {
	return func(spec *corev1.PodSpec, _ *metav1.LabelSelector) {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: weightMax, Preference: nodesWith(key, values...)}},
		}}
	}
}

func nodesWith(key string, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}}}
}

func prefersTogether(key string) rule {
	return func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
		spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: weighted(key, own)}}
	}
}

func prefersApart(key string) rule {
	return func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: weighted(key, own)}}
	}
}

func weighted(key string, own *metav1.LabelSelector) []corev1.WeightedPodAffinityTerm {
	return []corev1.WeightedPodAffinityTerm{{Weight: weightMax, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: own}}}
}

// SoftDeployments makes n pods in 1,000 deployments with selectors of their own that would all rather be spread over zones and
// nodes, and every second of them be on nodes of their own and beside its neighbours in a zone too.
func SoftDeployments(n int, seed uint64) Workload {
	both := func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
			{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: own},
			{MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: own},
		}
	}
	d := deployments{n: n, seed: seed, count: 1000, rules: []rule{both, func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
		both(spec, own)
		spec.Affinity = &corev1.Affinity{
			PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: weighted(corev1.LabelHostname, own)},
			PodAffinity:     &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: weighted(corev1.LabelTopologyZone, own)},
		}
	}}}
	return Workload{Name: "soft-deployments", Types: Catalogue(), Pods: d.pods()}
}

// Zonal makes n pods in deployments whose pods are, one after the other, tied to zone z1, z2 and z3, as pods are
// by volumes that exist in one zone.
func Zonal(n int, seed uint64) Workload {
	w := Workload{Name: "zonal", Types: Catalogue(), Pods: deployments{n: n, seed: seed}.pods()}
	for i, pod := range w.Pods {
		pod.Spec.Affinity = requiresNodes(corev1.LabelTopologyZone, zones[i%len(zones)])
	}
	return w
}

func requiresNodes(key string, values ...string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{nodesWith(key, values...)}},
	}}
}

// Big makes n pods that each take more than half of the largest type, so that each needs a machine of its own.
func Big(n int, seed uint64) Workload {
	d := deployments{n: n, seed: seed, milliCPU: []int{33_000, 40_000, 48_000, 56_000, 60_000}, mebibytes: []int{32 << 10, 64 << 10, 100 << 10, 120 << 10, 200 << 10}}
	return Workload{Name: "big", Types: Catalogue(), Pods: d.pods()}
}

// Tiny makes n pods so small that a node's limit of pods binds before its processors and memory do.
func Tiny(n int, seed uint64) Workload {
	d := deployments{n: n, seed: seed, milliCPU: []int{1, 2, 5}, mebibytes: []int{2, 4, 8}}
	return Workload{Name: "tiny", Types: Catalogue(), Pods: d.pods()}
}

// Deployments makes n pods in 1,000 deployments with the rules of Diverse, each with selectors of its own.
func Deployments(n int, seed uint64) Workload {
	d := deployments{n: n, seed: seed, count: 1000, rules: diverseRules()}
	return Workload{Name: "deployments", Types: Catalogue(), Pods: d.pods()}
}

// DaemonHeavy is Plain on nodes that each run ten pods of DaemonSets, with one core and 2,000 MiB together.
func DaemonHeavy(n int, seed uint64) Workload {
	w := Plain(n, seed)
	w.Name = "daemons"
	const daemonSets, milliCPU, mebibytes = 10, 100, 200
	for i := range daemonSets {
		name := fmt.Sprintf("agent-%d", i)
		pod := neutralPod(name, i, 0)
		pod.OwnerReferences[0].Kind = "DaemonSet"
		pod.Spec = podSpec(milliCPU, mebibytes)
		w.Daemons = append(w.Daemons, pod)
	}
	return w
}

// Limited is Plain with no more than so many nodes, and five priorities: the pods of app-0, app-5 and so on have the
// lowest, 0, those of app-4, app-9 and so on the highest, 4.
func Limited(n int, seed uint64, nodesMax int) Workload {
	const priorities = 5
	d := deployments{n: n, seed: seed}
	for priority := range int32(priorities) {
		d.rules = append(d.rules, func(spec *corev1.PodSpec, _ *metav1.LabelSelector) { spec.Priority = &priority })
	}
	return Workload{Name: "limited", Types: Catalogue(), Pods: d.pods(), NodesMax: nodesMax}
}

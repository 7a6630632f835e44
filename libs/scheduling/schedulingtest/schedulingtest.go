// Package schedulingtest makes nodes, pods and rules for the tests of the scheduling engine.
package schedulingtest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Size is the requests of a pod.
func Size(milliCPU, mebibytes int64) scheduling.Resources {
	return scheduling.Resources{corev1.ResourceCPU: milliCPU, corev1.ResourceMemory: mebibytes << 20, corev1.ResourcePods: 1}
}

// Node is an empty node of four cores in a zone.
func Node(name, zone string, change ...func(*scheduling.Node)) *scheduling.Node {
	n := &scheduling.Node{
		Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: zone},
		Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourceMemory: 8 << 30, corev1.ResourcePods: 110},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

// Item is a pod of an app with a quarter of a core.
func Item(id, app string, change ...func(*scheduling.Shape)) *scheduling.Item {
	s := &scheduling.Shape{Namespace: "shop", Labels: map[string]string{"app": app}, Requests: Size(250, 64), OwnerKind: "ReplicaSet"}
	for _, c := range change {
		c(s)
	}
	return scheduling.NewItem(scheduling.ShapeID(id), s)
}

// App selects the pods of an app.
func App(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

// Spread spreads a pod over a topology, with a skew of one among the pods of an app.
func Spread(key string, when corev1.UnsatisfiableConstraintAction, of string) func(*scheduling.Shape) {
	return func(s *scheduling.Shape) {
		s.Spread = append(s.Spread, corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: when, LabelSelector: App(of)})
	}
}

// Affinity wants a pod of an app in the same domain of a topology.
func Affinity(key, of string) func(*scheduling.Shape) {
	return func(s *scheduling.Shape) {
		s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: App(of)}}}}
	}
}

// AntiAffinity wants no pod of an app in the same domain of a topology.
func AntiAffinity(key, of string) func(*scheduling.Shape) {
	return func(s *scheduling.Shape) {
		s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: App(of)}}}}
	}
}

// Cluster is a simulation of nodes, of which the pods are of the items.
func Cluster(items []*scheduling.Item, nodes ...*scheduling.Node) *scheduling.State {
	c := scheduling.Cluster{Items: map[scheduling.ShapeID]*scheduling.Item{}, Nodes: nodes}
	for _, i := range items {
		c.Items[i.ID] = i
	}
	return scheduling.NewState(c)
}

// Cores is what a pod asks for of a node of four, in thousandths.
func Cores(milli int64) func(*scheduling.Shape) {
	return func(s *scheduling.Shape) { s.Requests = Size(milli, 64) }
}

// InZone ties a pod to a zone, as a volume does.
func InZone(zone string) func(*scheduling.Shape) {
	return func(s *scheduling.Shape) { s.NodeSelector = map[string]string{corev1.LabelTopologyZone: zone} }
}

// Holds puts pods on a node.
func Holds(pods map[scheduling.ShapeID]int) func(*scheduling.Node) {
	return func(n *scheduling.Node) { n.Pods = pods }
}

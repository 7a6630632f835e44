// Package fleettest builds fleet snapshots for tests, piece by piece.
package fleettest

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Noon is when everything happens.
var Noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// The offerings of every group.
const (
	SmallID = 1 // 4 vCPU, 8 GiB, $40
	LargeID = 2 // 16 vCPU, 32 GiB, $170: dearer a core
)

// World adds to a snapshot.
type World struct{ snapshot *fleet.Snapshot }

// NewWorld empties a snapshot but for NodeGroups, and returns what adds to it.
func NewWorld(s *fleet.Snapshot, groups ...*v1beta1.NodeGroup) World {
	*s = fleet.Snapshot{
		Revision: 7, Items: map[scheduling.ShapeID]*scheduling.Item{}, Nodes: map[string]*scheduling.Node{},
		Pending: map[scheduling.ShapeID]*scheduling.Pending{}, Daemons: map[string]scheduling.ShapeID{}, Budgets: map[string]int{},
	}
	for _, g := range groups {
		s.Groups = append(s.Groups, fleet.Group{NodeGroup: g, Catalogue: catalogue()})
	}
	return World{s}
}

func catalogue() fleet.Catalogue {
	return fleet.Catalogue{
		Health: fleet.Healthy, ClusterKnown: true, ClusterFound: true, Known: true,
		Offerings: []fleet.Offering{
			{Offering: scheduling.Offering{ID: SmallID, Name: "small", MilliCPU: 4000, MemoryBytes: 8 << 30, DiskBytes: 80 << 30, MonthlyPrice: 40_000_000}},
			{Offering: scheduling.Offering{ID: LargeID, Name: "large", MilliCPU: 16000, MemoryBytes: 32 << 30, DiskBytes: 320 << 30, MonthlyPrice: 170_000_000}},
		},
	}
}

// Group is a NodeGroup of namespace default that acts, with at most 20 nodes.
func Group(name string, change ...func(*v1beta1.NodeGroup)) *v1beta1.NodeGroup {
	g := &v1beta1.NodeGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: v1beta1.NodeGroupSpec{
			Mode: v1beta1.ModeEnforce, MaxNodes: 20, Cluster: v1beta1.ClusterReference{Identifier: "cluster", Datacenter: "dc"},
			ScaleDown: v1beta1.ScaleDownPolicy{UnneededFor: &metav1.Duration{Duration: time.Minute}},
		},
	}
	for _, c := range change {
		c(g)
	}
	return g
}

// Shape registers a shape of pods that a Deployment owns.
func (w World) Shape(id string, milliCPU, mebibytes int64, change ...func(*scheduling.Shape)) scheduling.ShapeID {
	s := &scheduling.Shape{
		Requests:  scheduling.Resources{corev1.ResourceCPU: milliCPU, corev1.ResourceMemory: mebibytes << 20, corev1.ResourcePods: 1},
		OwnerKind: "ReplicaSet",
	}
	for _, c := range change {
		c(s)
	}
	w.snapshot.Items[scheduling.ShapeID(id)] = scheduling.NewItem(scheduling.ShapeID(id), s)
	return scheduling.ShapeID(id)
}

// Wait has pods of a shape pend.
func (w World) Wait(id scheduling.ShapeID, count int) {
	p := &scheduling.Pending{Count: count}
	for i := range min(count, 5) {
		p.Sample = append(p.Sample, scheduling.PodReference{Namespace: "default", Name: fmt.Sprintf("%s-%d", id, i), UID: fmt.Sprintf("%s-%d", id, i)})
	}
	w.snapshot.Pending[id] = p
}

// Machine adds a machine of a group with its Node, in the phase given; phases before Ready come without a Node.
func (w World) Machine(g *v1beta1.NodeGroup, name string, phase v1beta1.Phase, pods map[scheduling.ShapeID]int) *v1beta1.VPSieNode {
	m := &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: name, UID: types.UID(name)},
		Spec:       v1beta1.VPSieNodeSpec{NodeGroup: g.Name, Offering: SmallID, OfferingName: "small", Cluster: g.Spec.Cluster},
		Status:     v1beta1.VPSieNodeStatus{Phase: phase},
	}
	w.snapshot.Machines = append(w.snapshot.Machines, m)
	if phase != v1beta1.PhaseReady && phase != v1beta1.PhaseDraining {
		return m
	}
	if phase == v1beta1.PhaseDraining {
		m.Status.DrainStartedAt = new(metav1.NewTime(Noon.Add(-time.Minute)))
	}
	m.Status.Identifier, m.Status.Hostname, m.Status.NodeName = "id-"+name, name, name
	m.Status.MonthlyPrice = "40.00"
	labels := scheduling.NodeLabels(g, SmallID, "small")
	labels[corev1.LabelHostname] = name
	w.snapshot.Nodes[name] = &scheduling.Node{
		Name: name, Labels: labels, Taints: g.Spec.Template.Taints, Ready: true, Pods: pods,
		Allocatable: scheduling.Resources{
			corev1.ResourceCPU: 3900, corev1.ResourceMemory: 8<<30 - 256<<20, corev1.ResourceEphemeralStorage: 72 << 30, corev1.ResourcePods: 110,
		},
	}
	return m
}

// Since adds a machine of a group with its Node, which became Ready a while ago.
func (w World) Since(g *v1beta1.NodeGroup, name string, ago time.Duration, pods map[scheduling.ShapeID]int) *scheduling.Node {
	m := w.Machine(g, name, v1beta1.PhaseReady, pods)
	m.Status.ReadyAt = new(metav1.NewTime(Noon.Add(-ago)))
	return w.snapshot.Nodes[name]
}

// LaunchedFor says of the newest machine which pods it was launched for.
func (w World) LaunchedFor(id scheduling.ShapeID) {
	m := w.snapshot.Machines[len(w.snapshot.Machines)-1]
	m.Annotations = map[string]string{v1beta1.AnnotationPlannedPods: fleet.DescribePlannedPods(map[string]int{w.snapshot.Items[id].Placement: 1})}
}

// Offerings has a group launch some offerings only.
func Offerings(ids ...int64) func(*v1beta1.NodeGroup) {
	return func(g *v1beta1.NodeGroup) { g.Spec.Offerings = ids }
}

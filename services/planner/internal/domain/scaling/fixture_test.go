package scaling_test

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const (
	smallID = 1 // 4 vCPU, 8 GiB, $40
	largeID = 2 // 16 vCPU, 32 GiB, $170: dearer a core
)

// world is a snapshot that is built up piece by piece.
type world struct{ scaling.Snapshot }

func newWorld(groups ...*v1beta1.NodeGroup) *world {
	w := &world{scaling.Snapshot{Snapshot: fleet.Snapshot{
		Revision: 7, Items: map[scheduling.ShapeID]*scheduling.Item{}, Nodes: map[string]*scheduling.Node{},
		Pending: map[scheduling.ShapeID]*scheduling.Pending{}, Daemons: map[string]scheduling.ShapeID{}, Budgets: map[string]int{},
	}}}
	for _, g := range groups {
		w.Groups = append(w.Groups, fleet.Group{NodeGroup: g, Catalogue: catalogue()})
	}
	return w
}

func catalogue() fleet.Catalogue {
	return fleet.Catalogue{
		Health: fleet.Healthy, ClusterKnown: true, ClusterFound: true, Known: true,
		Offerings: []fleet.Offering{
			{Offering: scheduling.Offering{ID: smallID, Name: "small", MilliCPU: 4000, MemoryBytes: 8 << 30, DiskBytes: 80 << 30, MonthlyPrice: 40_000_000}},
			{Offering: scheduling.Offering{ID: largeID, Name: "large", MilliCPU: 16000, MemoryBytes: 32 << 30, DiskBytes: 320 << 30, MonthlyPrice: 170_000_000}},
		},
	}
}

func group(name string, change ...func(*v1beta1.NodeGroup)) *v1beta1.NodeGroup {
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

// shape registers a shape of pods that a Deployment owns.
func (w *world) shape(id string, milliCPU, mebibytes int64, change ...func(*scheduling.Shape)) scheduling.ShapeID {
	s := &scheduling.Shape{
		Requests:  scheduling.Resources{corev1.ResourceCPU: milliCPU, corev1.ResourceMemory: mebibytes << 20, corev1.ResourcePods: 1},
		OwnerKind: "ReplicaSet",
	}
	for _, c := range change {
		c(s)
	}
	w.Items[scheduling.ShapeID(id)] = scheduling.NewItem(scheduling.ShapeID(id), s)
	return scheduling.ShapeID(id)
}

func (w *world) pending(id scheduling.ShapeID, count int) {
	p := &scheduling.Pending{Count: count}
	for i := range min(count, 5) {
		p.Sample = append(p.Sample, scheduling.PodReference{Namespace: "default", Name: fmt.Sprintf("%s-%d", id, i), UID: fmt.Sprintf("%s-%d", id, i)})
	}
	w.Pending[id] = p
}

// machine adds a machine of a group with its Node, in the phase given; phases before Ready come without a Node.
func (w *world) machine(g *v1beta1.NodeGroup, name string, phase v1beta1.Phase, pods map[scheduling.ShapeID]int) *v1beta1.VPSieNode {
	m := &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: name, UID: types.UID(name)},
		Spec:       v1beta1.VPSieNodeSpec{NodeGroup: g.Name, Offering: smallID, OfferingName: "small", Cluster: g.Spec.Cluster},
		Status:     v1beta1.VPSieNodeStatus{Phase: phase},
	}
	w.Machines = append(w.Machines, m)
	if phase != v1beta1.PhaseReady && phase != v1beta1.PhaseDraining {
		return m
	}
	if phase == v1beta1.PhaseDraining {
		m.Status.DrainStartedAt = new(metav1.NewTime(noon.Add(-time.Minute)))
	}
	m.Status.Identifier, m.Status.Hostname, m.Status.NodeName = "id-"+name, name, name
	m.Status.MonthlyPrice = "40.00"
	labels := scheduling.NodeLabels(g, smallID, "small")
	labels[corev1.LabelHostname] = name
	w.Nodes[name] = &scheduling.Node{
		Name: name, Labels: labels, Taints: g.Spec.Template.Taints, Ready: true, Pods: pods,
		Allocatable: scheduling.Resources{
			corev1.ResourceCPU: 3900, corev1.ResourceMemory: 8<<30 - 256<<20, corev1.ResourceEphemeralStorage: 72 << 30, corev1.ResourcePods: 110,
		},
	}
	return m
}

// bought counts the purchases of a plan by size.
func bought(p scaling.Plan) map[string]int {
	out := map[string]int{}
	for _, l := range p.Launches {
		for _, m := range l.Machines {
			if !l.Recommended {
				out[l.Group+"/"+m.OfferingName]++
			}
		}
	}
	return out
}

func retired(p scaling.Plan) []string {
	var out []string
	for _, r := range p.Retirements {
		if !r.Recommended {
			out = append(out, r.Node)
		}
	}
	return out
}

func condition(p scaling.Plan, group, kind string) scaling.Condition {
	for _, c := range p.Groups[group].Conditions {
		if c.Type == kind {
			return c
		}
	}
	return scaling.Condition{}
}

func offerings(ids ...int64) func(*v1beta1.NodeGroup) {
	return func(g *v1beta1.NodeGroup) { g.Spec.Offerings = ids }
}

func cpu(cores int) *resource.Quantity { return new(resource.MustParse(strconv.Itoa(cores))) }

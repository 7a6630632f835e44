package simulation

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// passing are the taints that an agent takes off a Node once it is ready, as Cluster Autoscaler and well-known agents name them.
var passing = struct{ prefixes, suffixes []string }{
	[]string{v1beta1.TaintOpening, "startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/"},
	[]string{"/agent-not-ready", "node.cloudprovider.kubernetes.io/uninitialized", corev1.TaintNodeNetworkUnavailable},
}

// conditions are the prefixes of taints that say how a Node is doing, or that it leaves: nobody takes them off because the
// Node has become ready for pods.
var conditions = []string{"node.kubernetes.io/", "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler", v1beta1.TaintDraining}

func isCondition(t *corev1.Taint) bool {
	return slices.ContainsFunc(conditions, func(prefix string) bool { return strings.HasPrefix(t.Key, prefix) })
}

// passes reports whether a taint is expected to go by itself: the group declares it, its name says so, or the machine was
// launched for pods and nobody knows the taint, which an agent that takes its time has put there.
func passes(t *corev1.Taint, group *fleet.Group, launched bool) bool {
	named := slices.ContainsFunc(passing.prefixes, func(prefix string) bool { return strings.HasPrefix(t.Key, prefix) }) ||
		slices.ContainsFunc(passing.suffixes, func(suffix string) bool { return strings.HasSuffix(t.Key, suffix) })
	declared := slices.ContainsFunc(group.Spec.Template.StartupTaints, func(d corev1.Taint) bool { return d.MatchTaint(t) })
	return named || declared || launched && !isCondition(t)
}

// promise makes of a machine's Node that is not yet what it will be what its kind is: with the labels, taints and devices of its
// group, and without the taints that Kubernetes and the network's and the storage's agents take off after a while. Otherwise
// pods would seem to fit nowhere meanwhile, and another machine would be launched for them. It reports whether the Node is that
// already, so that pods can run there now.
func (c *Cluster) promise(n *scheduling.Node, m *v1beta1.VPSieNode) bool {
	group := c.Find(fleet.GroupOf(m))
	if group == nil {
		return true
	}
	offering := offeringOf(group, m)
	if offering == nil { // not sold any more
		offering = &scheduling.Offering{ID: m.Spec.Offering, Name: m.Spec.OfferingName, Allocatable: n.Allocatable}
	}
	fresh := c.isFresh(m)
	taints := scheduling.FutureTaints(group.NodeGroup, offering)
	if !fresh {
		taints = c.lasting(n.Taints, taints, group, m)
	}
	became := !fresh && len(taints) == len(n.Taints)
	n.Taints = taints
	if fresh || c.isBecoming(m) {
		labelled := c.promiseLabels(n, group, offering, fresh)
		became = c.promiseDevices(n, group, offering) && labelled && became
	}
	if !became {
		n.Planned = fleet.PlannedPods(m)
		if m.Status.ReadyAt != nil {
			c.due(m.Status.ReadyAt.Add(becomingFor))
		}
	}
	return became
}

// lasting are the taints of a Node that it keeps.
func (c *Cluster) lasting(taints, future []corev1.Taint, group *fleet.Group, m *v1beta1.VPSieNode) []corev1.Taint {
	if m.Status.ReadyAt != nil && !c.isBecoming(m) {
		return taints
	}
	launched := m.Status.ReadyAt != nil && m.Annotations[v1beta1.AnnotationPlannedPods] != ""
	return slices.DeleteFunc(slices.Clone(taints), func(t corev1.Taint) bool {
		expected := slices.ContainsFunc(future, func(f corev1.Taint) bool { return f.MatchTaint(&t) })
		return !expected && passes(&t, group, launched)
	})
}

// promiseLabels adds the labels that the node will have. Those of the template that a Node loses later are its own affair.
func (c *Cluster) promiseLabels(n *scheduling.Node, group *fleet.Group, offering *scheduling.Offering, fresh bool) bool {
	labels := maps.Clone(n.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range scheduling.AgentLabels(group.NodeGroup, offering) {
		if _, has := labels[key]; !has {
			labels[key] = value
		}
	}
	if fresh {
		maps.Copy(labels, scheduling.NodeLabels(group.NodeGroup, offering.ID, offering.Name))
	}
	became := maps.Equal(labels, n.Labels)
	n.Labels = labels
	return became
}

// promiseDevices adds the extended resources that the node will have once their plugins have registered.
func (c *Cluster) promiseDevices(n *scheduling.Node, group *fleet.Group, offering *scheduling.Offering) bool {
	allocatable := n.Allocatable.Clone()
	for name, amount := range scheduling.NewNode(n.Name, group.NodeGroup, offering, nil).Allocatable {
		if scheduling.IsExtended(name) && allocatable[name] == 0 && amount > 0 {
			allocatable[name] = amount
		}
	}
	became := maps.Equal(allocatable, n.Allocatable)
	n.Allocatable = allocatable
	return became
}

// reserve holds back the room of pods that belong on the node and are not there yet. What the pods that the machine was launched
// for will preempt is not in their way.
func (c *Cluster) reserve(n *scheduling.Node, m *v1beta1.VPSieNode) {
	var static []*scheduling.Item
	if group := c.groupOfNode(m); group != nil {
		if offering := offeringOf(group, m); offering != nil {
			static = offering.Static
		}
	}
	n.Reserve(c.Daemons, static, c.Snapshot.Items)
	if m == nil || !c.isFresh(m) {
		return
	}
	planned, lowest := c.plannedFor(m)
	if planned == nil || n.Holds(planned, c.Snapshot.Items) {
		return
	}
	n.Pods = maps.Clone(n.Pods)
	maps.DeleteFunc(n.Pods, func(id scheduling.ShapeID, _ int) bool {
		item := c.Snapshot.Items[id]
		return item != nil && item.Shape.IsDaemon() && item.Shape.Priority < lowest
	})
	n.Reserve(AtLeast(c.Daemons, lowest), static, c.Snapshot.Items)
}

// plannedFor is what the waiting pods ask for that a machine was launched for, and the lowest of their priorities; nil for none.
func (c *Cluster) plannedFor(m *v1beta1.VPSieNode) (scheduling.Resources, int32) {
	var sum scheduling.Resources
	lowest := int32(0)
	planned := fleet.PlannedPods(m)
	for id := range c.Snapshot.Pending {
		item := c.Snapshot.Items[id]
		if item == nil || planned[item.Placement] == 0 {
			continue
		}
		if sum == nil {
			sum, lowest = scheduling.Resources{}, item.Shape.Priority
		}
		sum.Add(item.Shape.Requests, int64(planned[item.Placement]))
		lowest = min(lowest, item.Shape.Priority)
	}
	return sum, lowest
}

// AtLeast are the items of a priority or a higher one.
func AtLeast(items []*scheduling.Item, priority int32) []*scheduling.Item {
	return slices.DeleteFunc(slices.Clone(items), func(i *scheduling.Item) bool { return i.Shape.Priority < priority })
}

func (c *Cluster) groupOfNode(m *v1beta1.VPSieNode) *fleet.Group {
	if m == nil {
		return nil
	}
	return c.Find(fleet.GroupOf(m))
}

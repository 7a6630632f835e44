// Package feed is a copy of the cluster, in shapes and counts, that the observer writes into a
// NATS key-value bucket in memory and that planners read from there.
//
// A batch of records ends with a meta record; readers see the state as of a meta record only, so
// a pod is never seen both pending and bound, nor lost in between.
package feed

import (
	corev1 "k8s.io/api/core/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// SampleMax bounds the pods that a pending record names, besides up to NominatedMax that the planner has nominated.
const (
	SampleMax    = 100
	NominatedMax = 1000
)

// Node is a Kubernetes Node and what runs on it. It is not changed once made.
type Node struct {
	Name          string
	Labels        map[string]string
	Taints        []corev1.Taint
	Allocatable   scheduling.Resources
	Unschedulable bool
	Ready         bool
	// AttachLimits are the volumes of each CSI driver that the node can attach; absent means any number.
	AttachLimits map[string]int64
	// Pods counts the pods that take room on the node, by shape: those that are bound to it and not
	// finished, and those that wait for a preemption there.
	Pods map[scheduling.ShapeID]int
	// Protection forbids scale-down, empty where nothing does.
	Protection reason.Code
}

// PodReference names one pod.
type PodReference struct {
	Namespace, Name, UID string
	// NominatedNode is the Node to which the planner nominated the pod, empty where it did not.
	NominatedNode string
}

// Pending is the pods of one shape that have no node. It is not changed once made.
type Pending struct {
	// Count is the pods that the scheduler could not place, with those of the shape that it has not looked at yet.
	Count int
	// Arriving is the pods of a shape of which the scheduler has looked at none; Count is zero then.
	Arriving int
	// Sample names some of the pods: up to NominatedMax nominated by the planner, then up to SampleMax that are not nominated, each
	// the oldest first.
	Sample []PodReference
	// Traceparent is the trace context of the observation that first saw the shape waiting.
	Traceparent string
}

func (n *Node) encode() *feedv1.Node {
	record := &feedv1.Node{
		Name: n.Name, Labels: n.Labels, Allocatable: encodeResources(n.Allocatable), Unschedulable: n.Unschedulable,
		Ready: n.Ready, AttachLimits: n.AttachLimits, Pods: make(map[string]int32, len(n.Pods)), Protection: string(n.Protection),
	}
	for _, t := range n.Taints {
		record.Taints = append(record.Taints, &feedv1.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	for id, count := range n.Pods {
		record.Pods[string(id)] = bounded(count)
	}
	return record
}

func decodeNode(r *feedv1.Node) *Node {
	n := &Node{
		Name: r.GetName(), Labels: r.GetLabels(), Allocatable: decodeResources(r.GetAllocatable()), Unschedulable: r.GetUnschedulable(),
		Ready: r.GetReady(), AttachLimits: r.GetAttachLimits(), Pods: make(map[scheduling.ShapeID]int, len(r.GetPods())),
		Protection: reason.Code(r.GetProtection()),
	}
	for _, t := range r.GetTaints() {
		n.Taints = append(n.Taints, corev1.Taint{Key: t.GetKey(), Value: t.GetValue(), Effect: corev1.TaintEffect(t.GetEffect())})
	}
	for id, count := range r.GetPods() {
		n.Pods[scheduling.ShapeID(id)] = int(count)
	}
	return n
}

func (p *Pending) encode() *feedv1.Pending {
	record := &feedv1.Pending{Count: bounded(p.Count), Arriving: bounded(p.Arriving), Traceparent: p.Traceparent}
	for _, pod := range p.Sample[:min(len(p.Sample), SampleMax+NominatedMax)] {
		record.Sample = append(record.Sample, &feedv1.PodReference{
			Namespace: pod.Namespace, Name: pod.Name, Uid: pod.UID, NominatedNode: pod.NominatedNode,
		})
	}
	return record
}

func decodePending(r *feedv1.Pending) *Pending {
	p := &Pending{Count: int(r.GetCount()), Arriving: int(r.GetArriving()), Traceparent: r.GetTraceparent()}
	for _, pod := range r.GetSample() {
		p.Sample = append(p.Sample, PodReference{pod.GetNamespace(), pod.GetName(), pod.GetUid(), pod.GetNominatedNode()})
	}
	return p
}

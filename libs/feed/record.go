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

func encodeNode(n *scheduling.Node) *feedv1.Node {
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

func decodeNode(r *feedv1.Node) *scheduling.Node {
	n := &scheduling.Node{
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

func encodePending(p *scheduling.Pending) *feedv1.Pending {
	record := &feedv1.Pending{Count: bounded(p.Count), Arriving: bounded(p.Arriving), Traceparent: p.Traceparent}
	for _, pod := range p.Sample[:min(len(p.Sample), SampleMax+NominatedMax)] {
		record.Sample = append(record.Sample, &feedv1.PodReference{
			Namespace: pod.Namespace, Name: pod.Name, Uid: pod.UID, NominatedNode: pod.NominatedNode,
		})
	}
	return record
}

func decodePending(r *feedv1.Pending) *scheduling.Pending {
	p := &scheduling.Pending{Count: int(r.GetCount()), Arriving: int(r.GetArriving()), Traceparent: r.GetTraceparent()}
	for _, pod := range r.GetSample() {
		p.Sample = append(p.Sample, scheduling.PodReference{Namespace: pod.GetNamespace(), Name: pod.GetName(), UID: pod.GetUid(), NominatedNode: pod.GetNominatedNode()})
	}
	return p
}

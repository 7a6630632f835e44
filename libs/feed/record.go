// Package feed is a copy of the cluster, in shapes and counts, that the observer writes into a
// NATS key-value bucket in memory and that planners read from there.
//
// A batch of records ends with a meta record; readers see the state as of a meta record only, so
// a pod is never seen both pending and bound, nor lost in between.
package feed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Prefixes of the keys, and the key that ends a batch.
const (
	prefixShape     = "shape."
	prefixNode      = "node."
	prefixPending   = "pending."
	prefixDaemonSet = "daemonset."
	prefixBudget    = "pdb."
	keyMeta         = "meta"
)

// SampleMax bounds the pods that a pending record names.
const SampleMax = 100

// Node is a Kubernetes Node and what runs on it. It is not changed once made.
type Node struct {
	Name          string
	Labels        map[string]string
	Taints        []corev1.Taint
	Allocatable   scheduling.Resources
	Unschedulable bool
	Ready         bool
	// CordonedByUs tells our cordon from a person's.
	CordonedByUs bool
	// Pods counts the unfinished pods bound to the node, by shape.
	Pods map[scheduling.ShapeID]int
	// Protection forbids scale-down, empty where nothing does.
	Protection reason.Code
	CreatedAt  time.Time
}

// PodReference names one pod.
type PodReference struct{ Namespace, Name, UID string }

// Pending is the pods of one shape that the scheduler could not place. It is not changed once made.
type Pending struct {
	Count  int
	Oldest time.Time
	// Sample names up to SampleMax of the pods, oldest first.
	Sample []PodReference
	// Traceparent is the trace context of the observation that first saw the shape waiting.
	Traceparent string
}

// EncodeShape returns a shape's content address and its record. Equal shapes have the same
// address, whatever the order of their maps.
func EncodeShape(s *scheduling.Shape) (scheduling.ShapeID, *feedv1.Shape, error) {
	record := &feedv1.Shape{
		Requests:     encodeResources(s.Requests),
		NodeSelector: s.NodeSelector,
		HasAffinity:  s.Affinity != nil,
		Priority:     s.Priority,
		OwnerKind:    s.OwnerKind,
		Protection:   string(s.Protection),
		Unjudged:     string(s.Unjudged),
		Budgets:      s.Budgets,
	}
	if s.Affinity != nil {
		for _, term := range s.Affinity.NodeSelectorTerms {
			record.Affinity = append(record.Affinity, &feedv1.NodeSelectorTerm{
				Expressions: encodeRequirements(term.MatchExpressions), Fields: encodeRequirements(term.MatchFields),
			})
		}
	}
	for _, t := range s.Tolerations {
		record.Tolerations = append(record.Tolerations, &feedv1.Toleration{
			Key: t.Key, Operator: string(t.Operator), Value: t.Value, Effect: string(t.Effect),
		})
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(record)
	if err != nil {
		return "", nil, fmt.Errorf("encode shape: %w", err)
	}
	sum := sha256.Sum256(body)
	return scheduling.ShapeID(hex.EncodeToString(sum[:12])), record, nil
}

func decodeShape(r *feedv1.Shape) *scheduling.Shape {
	s := &scheduling.Shape{
		Requests:     decodeResources(r.GetRequests()),
		NodeSelector: r.GetNodeSelector(),
		Priority:     r.GetPriority(),
		OwnerKind:    r.GetOwnerKind(),
		Protection:   reason.Code(r.GetProtection()),
		Unjudged:     reason.Code(r.GetUnjudged()),
		Budgets:      r.GetBudgets(),
	}
	if r.GetHasAffinity() {
		s.Affinity = &corev1.NodeSelector{}
		for _, term := range r.GetAffinity() {
			s.Affinity.NodeSelectorTerms = append(s.Affinity.NodeSelectorTerms, corev1.NodeSelectorTerm{
				MatchExpressions: decodeRequirements(term.GetExpressions()), MatchFields: decodeRequirements(term.GetFields()),
			})
		}
	}
	for _, t := range r.GetTolerations() {
		s.Tolerations = append(s.Tolerations, corev1.Toleration{
			Key: t.GetKey(), Operator: corev1.TolerationOperator(t.GetOperator()), Value: t.GetValue(), Effect: corev1.TaintEffect(t.GetEffect()),
		})
	}
	return s
}

func encodeRequirements(in []corev1.NodeSelectorRequirement) []*feedv1.Requirement {
	out := make([]*feedv1.Requirement, len(in))
	for i, r := range in {
		out[i] = &feedv1.Requirement{Key: r.Key, Operator: string(r.Operator), Values: r.Values}
	}
	return out
}

func decodeRequirements(in []*feedv1.Requirement) []corev1.NodeSelectorRequirement {
	var out []corev1.NodeSelectorRequirement
	for _, r := range in {
		out = append(out, corev1.NodeSelectorRequirement{Key: r.GetKey(), Operator: corev1.NodeSelectorOperator(r.GetOperator()), Values: r.GetValues()})
	}
	return out
}

func encodeResources(in scheduling.Resources) map[string]int64 {
	out := make(map[string]int64, len(in))
	for name, amount := range in {
		out[string(name)] = amount
	}
	return out
}

func decodeResources(in map[string]int64) scheduling.Resources {
	out := make(scheduling.Resources, len(in))
	for name, amount := range in {
		out[corev1.ResourceName(name)] = amount
	}
	return out
}

func (n *Node) encode() *feedv1.Node {
	record := &feedv1.Node{
		Name: n.Name, Labels: n.Labels, Allocatable: encodeResources(n.Allocatable), Unschedulable: n.Unschedulable,
		Ready: n.Ready, CordonedByUs: n.CordonedByUs, Pods: make(map[string]int32, len(n.Pods)),
		Protection: string(n.Protection), CreatedAt: timestamppb.New(n.CreatedAt),
	}
	for _, t := range n.Taints {
		record.Taints = append(record.Taints, &feedv1.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	for id, count := range n.Pods {
		record.Pods[string(id)] = int32(min(count, 1<<30))
	}
	return record
}

func decodeNode(r *feedv1.Node) *Node {
	n := &Node{
		Name: r.GetName(), Labels: r.GetLabels(), Allocatable: decodeResources(r.GetAllocatable()), Unschedulable: r.GetUnschedulable(),
		Ready: r.GetReady(), CordonedByUs: r.GetCordonedByUs(), Pods: make(map[scheduling.ShapeID]int, len(r.GetPods())),
		Protection: reason.Code(r.GetProtection()), CreatedAt: r.GetCreatedAt().AsTime(),
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
	record := &feedv1.Pending{Count: int32(min(p.Count, 1<<30)), Oldest: timestamppb.New(p.Oldest), Traceparent: p.Traceparent}
	for _, pod := range p.Sample[:min(len(p.Sample), SampleMax)] {
		record.Sample = append(record.Sample, &feedv1.PodReference{Namespace: pod.Namespace, Name: pod.Name, Uid: pod.UID})
	}
	return record
}

func decodePending(r *feedv1.Pending) *Pending {
	p := &Pending{Count: int(r.GetCount()), Oldest: r.GetOldest().AsTime(), Traceparent: r.GetTraceparent()}
	for _, pod := range r.GetSample() {
		p.Sample = append(p.Sample, PodReference{pod.GetNamespace(), pod.GetName(), pod.GetUid()})
	}
	return p
}

// Contents is everything the feed says about a cluster.
type Contents struct {
	Shapes     map[scheduling.ShapeID]*feedv1.Shape
	Nodes      map[string]*Node
	Pending    map[scheduling.ShapeID]*Pending
	DaemonSets map[string]scheduling.ShapeID
	// Budgets are the disruptions that each PodDisruptionBudget, as namespace/name, allows now.
	Budgets map[string]int
	// Arriving counts pods that the scheduler has not looked at yet.
	Arriving int
	// Trouble says why the contents may be behind the cluster, empty while they are not. Readers do
	// not take such contents up, so they are stale before long.
	Trouble string
}

// records encodes the contents by key.
func (c *Contents) records() (map[string][]byte, error) {
	out := make(map[string][]byte, len(c.Shapes)+len(c.Nodes)+len(c.Pending)+len(c.DaemonSets)+len(c.Budgets))
	put := func(key string, m proto.Message) error {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode feed record %s: %w", key, err)
		}
		out[key] = body
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(c.Shapes)) {
		if err := put(prefixShape+string(id), c.Shapes[id]); err != nil {
			return nil, err
		}
	}
	for name, node := range c.Nodes {
		if err := put(prefixNode+name, node.encode()); err != nil {
			return nil, err
		}
	}
	for id, pending := range c.Pending {
		if err := put(prefixPending+string(id), pending.encode()); err != nil {
			return nil, err
		}
	}
	for name, shape := range c.DaemonSets {
		if err := put(prefixDaemonSet+name, &feedv1.DaemonSet{Shape: string(shape)}); err != nil {
			return nil, err
		}
	}
	for name, allowed := range c.Budgets {
		if err := put(prefixBudget+name, &feedv1.Budget{DisruptionsAllowed: int32(min(allowed, 1<<30))}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

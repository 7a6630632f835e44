package feed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// EncodeShape returns a shape's content address and its record. Equal shapes have the same
// address, whatever the order of their maps. The record shares the shape's maps.
func EncodeShape(s *scheduling.Shape) (scheduling.ShapeID, *feedv1.Shape, error) {
	record := &feedv1.Shape{
		Namespace:       s.Namespace,
		Labels:          s.Labels,
		Requests:        encodeResources(s.Requests),
		NodeSelector:    s.NodeSelector,
		SpreadByDefault: s.SpreadByDefault,
		Terminating:     s.Terminating,
		Priority:        s.Priority,
		OwnerKind:       s.OwnerKind,
		Protection:      string(s.Protection),
		Unjudged:        string(s.Unjudged),
		UnjudgedBecause: s.UnjudgedBecause,
		Budgets:         s.Budgets,
	}
	for _, t := range s.Tolerations {
		record.Tolerations = append(record.Tolerations, &feedv1.Toleration{
			Key: t.Key, Operator: string(t.Operator), Value: t.Value, Effect: string(t.Effect),
		})
	}
	for _, p := range s.HostPorts {
		record.HostPorts = append(record.HostPorts, &feedv1.HostPort{Ip: p.IP, Protocol: string(p.Protocol), Port: p.Port})
	}
	if err := encodeConstraints(record, s); err != nil {
		return "", nil, fmt.Errorf("encode shape: %w", err)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(record)
	if err != nil {
		return "", nil, fmt.Errorf("encode shape: %w", err)
	}
	sum := sha256.Sum256(body)
	return scheduling.ShapeID(hex.EncodeToString(sum[:12])), record, nil
}

// encodeConstraints adds what travels in Kubernetes' own encoding, which orders maps by their keys.
func encodeConstraints(record *feedv1.Shape, s *scheduling.Shape) error {
	if affinity := stated(s.Affinity); affinity != nil {
		body, err := affinity.Marshal()
		if err != nil {
			return fmt.Errorf("affinity: %w", err)
		}
		record.Affinity = body
	}
	for i := range s.Spread {
		body, err := s.Spread[i].Marshal()
		if err != nil {
			return fmt.Errorf("topology spread constraint: %w", err)
		}
		record.Spread = append(record.Spread, body)
	}
	for _, v := range s.Volumes {
		volume := &feedv1.Volume{Driver: v.Driver, Handle: v.Handle, Exclusive: v.Exclusive, Waits: v.Waits}
		if v.Topology != nil {
			body, err := v.Topology.Marshal()
			if err != nil {
				return fmt.Errorf("volume topology: %w", err)
			}
			volume.Topology = body
		}
		record.Volumes = append(record.Volumes, volume)
	}
	return nil
}

// stated is an affinity without its parts that say nothing. Many charts write such parts, and a pod of a
// DaemonSet has one where its template has none; its shape is that of the template all the same.
func stated(a *corev1.Affinity) *corev1.Affinity {
	if a == nil {
		return nil
	}
	out := *a
	if n := a.NodeAffinity; n != nil && n.RequiredDuringSchedulingIgnoredDuringExecution == nil && len(n.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		out.NodeAffinity = nil
	}
	if p := a.PodAffinity; p != nil && len(p.RequiredDuringSchedulingIgnoredDuringExecution)+len(p.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		out.PodAffinity = nil
	}
	if p := a.PodAntiAffinity; p != nil && len(p.RequiredDuringSchedulingIgnoredDuringExecution)+len(p.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		out.PodAntiAffinity = nil
	}
	if out == (corev1.Affinity{}) {
		return nil
	}
	return &out
}

func decodeShape(r *feedv1.Shape) (*scheduling.Shape, error) {
	s := &scheduling.Shape{
		Namespace:       r.GetNamespace(),
		Labels:          r.GetLabels(),
		Requests:        decodeResources(r.GetRequests()),
		NodeSelector:    r.GetNodeSelector(),
		SpreadByDefault: r.GetSpreadByDefault(),
		Terminating:     r.GetTerminating(),
		Priority:        r.GetPriority(),
		OwnerKind:       r.GetOwnerKind(),
		Protection:      reason.Code(r.GetProtection()),
		Unjudged:        reason.Code(r.GetUnjudged()),
		UnjudgedBecause: r.GetUnjudgedBecause(),
		Budgets:         r.GetBudgets(),
	}
	for _, t := range r.GetTolerations() {
		s.Tolerations = append(s.Tolerations, corev1.Toleration{
			Key: t.GetKey(), Operator: corev1.TolerationOperator(t.GetOperator()), Value: t.GetValue(), Effect: corev1.TaintEffect(t.GetEffect()),
		})
	}
	for _, p := range r.GetHostPorts() {
		s.HostPorts = append(s.HostPorts, scheduling.HostPort{IP: p.GetIp(), Protocol: corev1.Protocol(p.GetProtocol()), Port: p.GetPort()})
	}
	if err := decodeConstraints(s, r); err != nil {
		return nil, err
	}
	return s, nil
}

func decodeConstraints(s *scheduling.Shape, r *feedv1.Shape) error {
	if len(r.GetAffinity()) > 0 {
		s.Affinity = &corev1.Affinity{}
		if err := s.Affinity.Unmarshal(r.GetAffinity()); err != nil {
			return fmt.Errorf("affinity: %w", err)
		}
	}
	if len(r.GetSpread()) > 0 {
		s.Spread = make([]corev1.TopologySpreadConstraint, len(r.GetSpread()))
	}
	for i, body := range r.GetSpread() {
		if err := s.Spread[i].Unmarshal(body); err != nil {
			return fmt.Errorf("topology spread constraint: %w", err)
		}
	}
	for _, v := range r.GetVolumes() {
		volume := scheduling.Volume{Driver: v.GetDriver(), Handle: v.GetHandle(), Exclusive: v.GetExclusive(), Waits: v.GetWaits()}
		if v.Topology != nil {
			volume.Topology = &corev1.NodeSelector{}
			if err := volume.Topology.Unmarshal(v.GetTopology()); err != nil {
				return fmt.Errorf("volume topology: %w", err)
			}
		}
		s.Volumes = append(s.Volumes, volume)
	}
	return nil
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

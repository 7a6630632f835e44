// Package facts puts on record what was decided and what happened: on the bus, or, while the bus takes nothing, in Kubernetes, from
// where it is published later. What is announced to people is on record before, and what is done carries its record with it.
package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// Fact is a message about something that was decided or happened. Its id never changes, by which repeats are known.
type Fact struct {
	Topic                bus.Topic
	Namespace, NodeGroup string
	ID                   string
	Traceparent          string
	Message              proto.Message
}

// Decision is the fact that a decision was made, in the trace of ctx.
func Decision(ctx context.Context, namespace, nodeGroup string, r *busv1.DecisionRecord) Fact {
	return Fact{Topic: bus.TopicDecision, Namespace: namespace, NodeGroup: nodeGroup, ID: r.GetId(), Traceparent: telemetry.Traceparent(ctx), Message: r}
}

// PhaseChanged is the fact that a machine entered another phase of its life.
func PhaseChanged(n *v1beta1.VPSieNode, c v1beta1.PhaseChange) Fact {
	return Fact{Topic: bus.TopicPhase, Namespace: n.Namespace, NodeGroup: n.Spec.NodeGroup, ID: c.ID, Traceparent: c.Traceparent, Message: &busv1.NodePhaseChanged{
		Namespace: n.Namespace, VpsieNode: n.Name, NodeGroup: n.Spec.NodeGroup, From: string(c.From), To: string(c.To),
		Identifier: c.Identifier, NodeName: c.NodeName, Message: c.Message, Time: timestamppb.New(c.Time.Time),
		MonthlyPriceMicros: priceOf(n), DecisionId: c.DecisionID, Offering: n.Spec.Offering,
	}}
}

// priceOf is the price of a machine in micros a month, zero while that is unknown.
func priceOf(n *v1beta1.VPSieNode) int64 {
	price, _ := money.Parse(n.Status.MonthlyPrice)
	return int64(price)
}

// attachedBytesMax bounds the facts that one object carries.
const attachedBytesMax = 128 << 10

// Attach has an object carry a fact until it is published: whoever writes the object writes both or neither. A fact that is too large is carried
// in a shorter form. An object that may carry others needs MakeRoom before.
func Attach(o metav1.Object, f Fact) error {
	text, err := Text(f)
	if err != nil || sabotage.RecordWithAct() {
		return err
	}
	annotations := maps.Clone(o.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1beta1.AnnotationRecordPrefix+f.ID] = text
	o.SetAnnotations(annotations)
	return nil
}

// MakeRoom takes the oldest facts off an object that has no room for another and returns them, for Displace, because a record must not forbid
// the act. What cannot be read is left out.
func MakeRoom(o metav1.Object) []Fact {
	annotations := maps.Clone(o.GetAnnotations())
	displaced := map[string]string{}
	size := storedBytesMax
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(annotations))) { // ids sort by time
		if strings.HasPrefix(key, v1beta1.AnnotationRecordPrefix) {
			if size += len(annotations[key]); size > attachedBytesMax {
				displaced[key] = annotations[key]
				delete(annotations, key)
			}
		}
	}
	if len(displaced) == 0 {
		return nil
	}
	o.SetAnnotations(annotations)
	return parseAttached(displaced)
}

// Attached returns the facts that an object carries, oldest first. What cannot be read is left out.
func Attached(o metav1.Object) []Fact { return parseAttached(o.GetAnnotations()) }

// parseAttached reads the facts among annotations.
func parseAttached(annotations map[string]string) []Fact {
	var attached []Fact
	for key, text := range annotations {
		if !strings.HasPrefix(key, v1beta1.AnnotationRecordPrefix) {
			continue
		}
		if f, err := Parse(text); err == nil {
			attached = append(attached, f)
		}
	}
	slices.SortFunc(attached, func(a, b Fact) int { return strings.Compare(a.ID, b.ID) })
	return attached
}

// stored is a fact at rest. The message is kept as it will be on the bus, so that nothing of it is lost.
type stored struct {
	Topic       bus.Topic `json:"topic"`
	Namespace   string    `json:"namespace,omitempty"`
	NodeGroup   string    `json:"nodeGroup,omitempty"`
	ID          string    `json:"id"`
	Traceparent string    `json:"traceparent,omitempty"`
	Message     []byte    `json:"message"`
}

func encode(f Fact) (string, error) {
	body, err := proto.Marshal(f.Message)
	if err != nil {
		return "", fmt.Errorf("encode %s %q: %w", f.Topic, f.ID, err)
	}
	text, err := json.Marshal(stored{f.Topic, f.Namespace, f.NodeGroup, f.ID, f.Traceparent, body})
	return string(text), err
}

// Parse reads a fact at rest.
func Parse(text string) (Fact, error) {
	var s stored
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Fact{}, fmt.Errorf("decode fact: %w", err)
	}
	f := Fact{Topic: s.Topic, Namespace: s.Namespace, NodeGroup: s.NodeGroup, ID: s.ID, Traceparent: s.Traceparent}
	switch s.Topic {
	case bus.TopicDecision:
		f.Message = &busv1.DecisionRecord{}
	case bus.TopicPhase:
		f.Message = &busv1.NodePhaseChanged{}
	default:
		return Fact{}, fmt.Errorf("decode fact %q: no topic is called %q", s.ID, s.Topic)
	}
	if err := proto.Unmarshal(s.Message, f.Message); err != nil {
		return Fact{}, fmt.Errorf("decode fact %q: %w", s.ID, err)
	}
	return f, nil
}

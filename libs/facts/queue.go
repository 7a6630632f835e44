// Package facts tells the bus what happened without making anybody wait for it: facts are copies
// of what the custom resources hold, so a bus that is away costs history, never work.
package facts

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/id"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// queueMax bounds the facts that wait for the bus; further ones are dropped and counted.
const queueMax = 4096

// Publisher is what a queue needs of the bus.
type Publisher interface {
	// Publish stores a message or returns an error after a short time.
	Publish(ctx context.Context, t bus.Topic, namespace, nodeGroup, id string, m proto.Message) error
}

var _ Publisher = (*bus.Publisher)(nil)

// Queue publishes facts in order, in the background. Its methods are safe for concurrent use.
type Queue struct {
	publisher Publisher
	log       *slog.Logger
	facts     chan fact
	dropped   atomic.Int64
}

type fact struct {
	span             trace.SpanContext
	topic            bus.Topic
	namespace, group string
	id               string
	message          proto.Message
}

// NewQueue returns a queue that publishes nothing until Run.
func NewQueue(p Publisher, log *slog.Logger) *Queue {
	return &Queue{publisher: p, log: log, facts: make(chan fact, queueMax)}
}

// Decided queues a decision record.
func (q *Queue) Decided(ctx context.Context, namespace, group string, record *busv1.DecisionRecord) {
	q.add(fact{
		span: trace.SpanContextFromContext(ctx), topic: bus.TopicDecision, namespace: namespace, group: group,
		id: record.GetId(), message: record,
	})
}

// PhaseChanged queues that a machine entered another phase of its life.
func (q *Queue) PhaseChanged(ctx context.Context, n *v1beta1.VPSieNode, from, to v1beta1.Phase, message string) {
	q.add(fact{
		span: trace.SpanContextFromContext(ctx), topic: bus.TopicPhase, namespace: n.Namespace, group: n.Spec.NodeGroup,
		id: id.New(time.Now()), message: &busv1.NodePhaseChanged{
			Namespace: n.Namespace, VpsieNode: n.Name, NodeGroup: n.Spec.NodeGroup, From: string(from), To: string(to),
			Identifier: n.Status.Identifier, NodeName: n.Status.NodeName, Message: message, Time: timestamppb.New(time.Now()),
			MonthlyPriceMicros: int64(money.FromQuantity(n.Status.MonthlyPrice)), DecisionId: n.Spec.DecisionID, Offering: n.Spec.Offering,
		},
	})
}

func (q *Queue) add(f fact) {
	select {
	case q.facts <- f:
	default:
		q.dropped.Add(1)
	}
}

// Run publishes until ctx ends. A fact that the bus does not take is dropped, with one log line for
// each time that the bus stops or starts to take facts.
func (q *Queue) Run(ctx context.Context) error {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-q.facts:
			err := q.publisher.Publish(trace.ContextWithSpanContext(ctx, f.span), f.topic, f.namespace, f.group, f.id, f.message)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				q.dropped.Add(1)
				if !failing {
					q.log.WarnContext(ctx, "facts are not published; the custom resources hold the same", telemetry.KeyError, err)
				}
			case failing:
				q.log.InfoContext(ctx, "facts are published again", telemetry.KeyCount, q.dropped.Swap(0))
			}
			failing = err != nil
		}
	}
}

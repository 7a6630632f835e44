package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// publishTimeout bounds one Publish; what it published may still arrive later.
const publishTimeout = 2 * time.Second

// ErrInvalidMessage says that a message cannot be published at all: it is too large, or not well-formed.
var ErrInvalidMessage = errors.New("invalid message")

// Publisher publishes typed messages. It is safe for concurrent use.
type Publisher struct {
	transport message.Publisher
	source    string
}

// NewPublisher returns a publisher whose messages name source as their origin.
func NewPublisher(transport message.Publisher, source string) *Publisher {
	return &Publisher{transport: transport, source: source}
}

// Publish sends a message about a NodeGroup and waits until it is stored, for two seconds at
// most. A repeat, with the same topic, NodeGroup and id, is not stored again within an hour.
// After an error the message may or may not be stored.
func (p *Publisher) Publish(ctx context.Context, t Topic, namespace, nodeGroup, id string, m proto.Message) error {
	subject := Subject(t, namespace, nodeGroup)
	if id == "" || strings.ContainsAny(subject, " \t\r\n*>") {
		return fmt.Errorf("publish %s %q about %s/%s: %w", t, id, namespace, nodeGroup, ErrInvalidMessage)
	}
	ctx, span := telemetry.Tracer().Start(ctx, "publish "+string(t),
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attributesOf(operationSend, subject, id)...))
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	msg, err := envelope(ctx, p.source, id, m)
	if err == nil {
		err = p.transport.Publish(subject, msg)
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return fmt.Errorf("publish %s %q: %w", t, id, err)
	}
	return nil
}

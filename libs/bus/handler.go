package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// handleTimeout bounds one attempt of a handler.
const handleTimeout = 30 * time.Second

// Outcomes of an attempt, as they are logged.
const (
	outcomeHandled = "handled"
	outcomeDropped = "dropped"
	outcomeBuried  = "dead letter"
	outcomeRetried = "delivered again later"
)

// handler is one registration of On.
type handler struct {
	topic        Topic
	name         string
	transport    message.Publisher
	log          *slog.Logger
	handle       func(ctx context.Context, msg *message.Message) error
	drop, reject []error
}

// receive handles one delivery and settles the message itself, so that Watermill's router,
// which would log every error as well, sees success only.
func (h *handler) receive(d Durable, msg *message.Message) {
	start := time.Now()
	delivery := DeliveryOf(msg.Context())
	ctx, span := telemetry.Tracer().Start(received(msg.Context(), msg), "handle "+string(h.topic),
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attributesOf(operationProcess, delivery.Subject, msg.UUID)...),
		trace.WithAttributes(attributesOfDelivery(d, delivery)...))
	defer span.End()

	err := h.attempt(ctx, msg)
	outcome, level := h.judge(err)
	if outcome == outcomeBuried {
		reason := short(err.Error())
		if buryErr := bury(ctx, h.transport, d, msg, reason); buryErr != nil {
			// Without the copy the message would be lost to people.
			outcome, level, err = outcomeRetried, slog.LevelWarn, errors.Join(err, buryErr)
		} else {
			terminate(msg, reason)
		}
	}
	attrs := []any{
		telemetry.KeySubject, delivery.Subject, keyHandler, h.name, keyEvent, msg.UUID, keyDelivery, delivery.Attempt,
		keyOutcome, outcome, telemetry.KeyTookMillis, time.Since(start).Milliseconds(),
	}
	if err != nil {
		span.SetStatus(codes.Error, short(err.Error()))
		attrs = append(attrs, telemetry.KeyError, err)
	}
	h.log.Log(ctx, level, "message was received", attrs...)
	if outcome == outcomeRetried {
		msg.Nack()
	} else {
		msg.Ack()
	}
}

// attempt runs the handler within its time and turns a panic into an error.
func (h *handler) attempt(ctx context.Context, msg *message.Message) (err error) {
	ctx, cancel := context.WithTimeout(ctx, handleTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			// The stack would end up in headers and logs, and says little about the message.
			err = fmt.Errorf("handler panicked: %s", short(fmt.Sprint(p)))
		}
	}()
	return h.handle(ctx, msg)
}

func (h *handler) judge(err error) (outcome string, level slog.Level) {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case err == nil:
		return outcomeHandled, slog.LevelInfo
	case is(errForeign) || slices.ContainsFunc(h.reject, is):
		return outcomeBuried, slog.LevelError
	case slices.ContainsFunc(h.drop, is):
		return outcomeDropped, slog.LevelInfo
	default:
		return outcomeRetried, slog.LevelWarn
	}
}

type verdictKey struct{}

// verdict carries a handler's last word to the transport, which reads it once the message is
// acknowledged.
type verdict struct{ reason string }

// terminate has an acknowledged message reported as given up, where the transport can.
func terminate(msg *message.Message, reason string) {
	if v, ok := msg.Context().Value(verdictKey{}).(*verdict); ok {
		v.reason = reason
	}
}

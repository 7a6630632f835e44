package bus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// handleTimeout bounds one attempt of a handler.
	handleTimeout = 10 * time.Second
	// A handler that fails is called again this often, within one and a half seconds: the message holds up
	// those behind it.
	retriesMax   = 3
	retryFirst   = 50 * time.Millisecond
	retryLongest = time.Second
	retryGrowth  = 2
)

// Outcomes of a message, as they are logged.
const (
	outcomeHandled = "handled"
	outcomeFailed  = "failed"
)

// middlewares are what happens to a message between its consumer and its handler, outermost first.
func middlewares(c Consumer, transport message.Publisher, log *slog.Logger) ([]message.HandlerMiddleware, error) {
	poison, err := middleware.PoisonQueueWithFilter(letters{transport}, subjectDeadLetter+c.Name, isPoison)
	if err != nil {
		return nil, err
	}
	retry := middleware.Retry{
		MaxRetries: retriesMax, InitialInterval: retryFirst, MaxInterval: retryLongest, Multiplier: retryGrowth,
		ShouldRetry:         func(p middleware.RetryParams) bool { return !errors.Is(p.Err, errForeign) },
		ResetContextOnRetry: true, // an attempt leaves its own, which has ended, behind
	}
	return []message.HandlerMiddleware{
		poison,                            // what cannot be handled is kept for people; those behind it go on
		observe(c, log),                   // one span and one log entry, whatever number of attempts
		retry.Middleware,                  // what fails may pass
		middleware.Timeout(handleTimeout), // each attempt has its own time
		middleware.Recoverer,              // a bug in a handler is an error of the message's
	}, nil
}

// isPoison spares what failed because the process stops: it is delivered again.
func isPoison(err error) bool { return !errors.Is(err, context.Canceled) }

// observe continues the trace of the message and tells what became of it.
func observe(c Consumer, log *slog.Logger) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			start := time.Now()
			delivery := DeliveryOf(msg.Context())
			ctx, span := telemetry.Tracer().Start(received(msg.Context(), msg), "handle "+string(c.Topic),
				trace.WithSpanKind(trace.SpanKindConsumer),
				trace.WithAttributes(attributesOf(operationProcess, delivery.Subject, msg.UUID)...),
				trace.WithAttributes(attributesOfDelivery(c, delivery)...))
			defer span.End()
			msg.SetContext(ctx)
			produced, err := next(msg)
			outcome, level := outcomeHandled, slog.LevelInfo
			if err != nil {
				outcome, level = outcomeFailed, slog.LevelError
			}
			attrs := []any{
				telemetry.KeySubject, delivery.Subject, keyConsumer, c.Name, keyEvent, msg.UUID, keyDelivery, delivery.Attempt,
				keyOutcome, outcome, telemetry.KeyTookMillis, time.Since(start).Milliseconds(),
			}
			if err != nil {
				span.SetStatus(codes.Error, short(err.Error()))
				attrs = append(attrs, telemetry.KeyError, err)
			}
			log.Log(ctx, level, "message handled", attrs...)
			return produced, err
		}
	}
}

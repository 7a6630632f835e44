package bus

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// ackTimeout bounds the wait for the server's word on an acknowledgement.
	ackTimeout = 5 * time.Second
	// A failed message is delivered again after retryMin to retryMax.
	retryMin = time.Second
	retryMax = 30 * time.Second
)

// deliver hands one message over and sees to it that it is settled: acknowledged, given up,
// or given back. When ctx ends, a message that was handed over has CloseTimeout to be settled.
func (r *reader) deliver(ctx context.Context, in jetstream.Msg, beat time.Duration) {
	handling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	delivery := Delivery{Subject: in.Subject()}
	if meta, err := in.Metadata(); err == nil {
		delivery.Attempt, delivery.Sequence = meta.NumDelivered, meta.Sequence.Stream
	}
	last := &verdict{}
	msg, err := decode(in.Subject(), in.Headers(), in.Data())
	msg.SetContext(context.WithValue(WithDelivery(handling, delivery), verdictKey{}, last))
	if err != nil {
		r.refuse(in, msg, err)
		return
	}
	alive := time.NewTicker(beat)
	defer alive.Stop()
	out, stop, deadline := r.out, ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case out <- msg:
			out = nil
		case <-msg.Acked():
			r.settle(handling, in, last.reason)
			return
		case <-msg.Nacked():
			r.warn(handling, in, in.NakWithDelay(r.transport.RetryDelay(delivery.Attempt)))
			return
		case <-alive.C:
			_ = in.InProgress() // the next one is soon
		case <-stop:
			if out != nil {
				r.warn(handling, in, in.Nak())
				return
			}
			stop, deadline = nil, time.After(r.transport.CloseTimeout)
		case <-deadline:
			// The handler still runs. The server delivers the message again once it misses
			// our signs of life; giving it back now would have two handlers work on it.
			return
		}
	}
}

// settle ends a message for good.
func (r *reader) settle(ctx context.Context, in jetstream.Msg, reason string) {
	if reason != "" {
		r.warn(ctx, in, in.TermWithReason(reason))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	r.warn(ctx, in, in.DoubleAck(ctx))
}

// refuse buries a message that cannot even be handed over.
func (r *reader) refuse(in jetstream.Msg, msg *message.Message, reason error) {
	ctx := msg.Context()
	if err := bury(ctx, r.transport, r.durable, msg, reason.Error()); err != nil {
		r.warn(ctx, in, err)
		r.warn(ctx, in, in.NakWithDelay(r.transport.RetryDelay(DeliveryOf(ctx).Attempt)))
		return
	}
	r.transport.log.ErrorContext(ctx, "message was received", telemetry.KeySubject, in.Subject(), keyHandler, r.durable.Handler,
		keyEvent, msg.UUID, keyDelivery, DeliveryOf(ctx).Attempt, keyOutcome, outcomeBuried, telemetry.KeyError, reason)
	r.warn(ctx, in, in.TermWithReason(short(reason.Error())))
}

// warn tells that a message will come again although it was settled.
func (r *reader) warn(ctx context.Context, in jetstream.Msg, err error) {
	if err != nil {
		r.transport.log.WarnContext(ctx, "message could not be settled; it will be delivered again",
			telemetry.KeySubject, in.Subject(), keyHandler, r.durable.Handler, telemetry.KeyError, err)
	}
}

// retryDelay grows with the attempts. The jitter keeps the messages that failed together from
// coming back together.
func retryDelay(attempt uint64) time.Duration {
	longest := min(retryMin<<min(attempt, 8), retryMax)
	return retryMin + rand.N(longest-retryMin+1)
}

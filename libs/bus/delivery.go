package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// ackTimeout bounds the wait for the server's word on an acknowledgement.
	ackTimeout = 5 * time.Second
	// retryDelay is how long a message stays away that was given back. The router does so only where the
	// dead letter cannot be stored either.
	retryDelay = 5 * time.Second
)

// deliver hands one message over and sees to it that it is settled: acknowledged or given back. When
// ctx ends, a message that was handed over has CloseTimeout to be settled.
func (r *reader) deliver(ctx context.Context, in jetstream.Msg, beat time.Duration) {
	handling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	delivery := Delivery{Subject: in.Subject()}
	if meta, err := in.Metadata(); err == nil {
		delivery.Attempt, delivery.Sequence = meta.NumDelivered, meta.Sequence.Stream
	}
	msg := decode(in.Subject(), in.Headers(), in.Data())
	msg.SetContext(WithDelivery(handling, delivery))
	alive := time.NewTicker(beat)
	defer alive.Stop()
	out, stop, deadline := r.out, ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case out <- msg:
			out = nil
		case <-msg.Acked():
			acking, cancel := context.WithTimeout(handling, ackTimeout)
			defer cancel()
			r.warn(handling, in, in.DoubleAck(acking))
			return
		case <-msg.Nacked():
			r.warn(handling, in, in.NakWithDelay(r.transport.RetryDelay))
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

// warn tells that a message will come again although it was settled.
func (r *reader) warn(ctx context.Context, in jetstream.Msg, err error) {
	if err != nil {
		r.transport.log.WarnContext(ctx, "message not acknowledged; it will be delivered again",
			telemetry.KeySubject, in.Subject(), keyConsumer, r.consumer.Name, telemetry.KeyError, err)
	}
}

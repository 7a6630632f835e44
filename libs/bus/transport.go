package bus

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Transport moves Watermill messages to their handlers: JetStream between processes,
// bustest.Memory within one. A message's topic is its subject.
type Transport interface {
	message.Publisher
	// Subscriber reads as the given consumer, competing with all others that do.
	Subscriber(c Consumer) message.Subscriber
}

// Delivery says how a message reached its handler.
type Delivery struct {
	Subject string
	// Attempt counts deliveries of the message to this handler, from 1.
	Attempt uint64
	// Sequence is the message's place in its stream.
	Sequence uint64
}

type deliveryKey struct{}

// WithDelivery is how a transport tells a message's delivery, in the message's context.
func WithDelivery(ctx context.Context, d Delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

// DeliveryOf returns the delivery that a handler's context belongs to, or the zero Delivery.
func DeliveryOf(ctx context.Context) Delivery {
	d, _ := ctx.Value(deliveryKey{}).(Delivery)
	return d
}

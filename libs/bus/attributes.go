package bus

import "go.opentelemetry.io/otel/attribute"

// Operations, as OpenTelemetry's conventions for messaging name them.
const (
	operationSend    = "send"
	operationProcess = "process"
)

// Keys of log attributes that only the bus writes.
const (
	keyEvent    = "event_id"
	keyDelivery = "delivery"
	keyConsumer = "consumer"
	keyOutcome  = "outcome"
)

// attributesOf describes a message in a span. The conventions for messaging are not stable, so
// their names are in this place only.
func attributesOf(operation, subject, id string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.destination.name", subject),
		attribute.String("messaging.message.id", id),
	}
}

// attributesOfDelivery describes how a message was received.
func attributesOfDelivery(c Consumer, delivery Delivery) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.consumer.group.name", c.Name),
		attribute.String("messaging.nats.stream", c.Topic.Stream()),
		attribute.Int64("messaging.nats.sequence", int64(delivery.Sequence)),
		attribute.Int64("messaging.nats.delivery", int64(delivery.Attempt)),
	}
}

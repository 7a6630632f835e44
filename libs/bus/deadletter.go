package bus

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Headers that a dead letter has in addition to those of the message.
const (
	headerReason  = "dlq-reason"
	headerHandler = "dlq-handler"
	headerSubject = "dlq-subject"
)

// reasonBytesMax bounds the reason in a dead letter.
const reasonBytesMax = 1024

// bury publishes a copy of a message, with the reason, where people look for it.
func bury(ctx context.Context, transport message.Publisher, d Durable, msg *message.Message, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	delivery := DeliveryOf(msg.Context())
	// A repeat of the copy is recognised, and two messages with the same id are not confused.
	id := fmt.Sprintf("%s:%d:%s", d.Name(), delivery.Sequence, msg.UUID)
	letter := message.NewMessageWithContext(ctx, id, msg.Payload)
	maps.Copy(letter.Metadata, msg.Metadata)
	letter.Metadata[headerReason] = short(reason)
	letter.Metadata[headerHandler] = d.Handler
	letter.Metadata[headerSubject] = delivery.Subject
	if err := transport.Publish(subjectDeadLetter+strings.TrimPrefix(delivery.Subject, subjectRoot), letter); err != nil {
		return fmt.Errorf("publish dead letter: %w", err)
	}
	return nil
}

// short makes a text fit for a header: one line of bounded length.
func short(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > reasonBytesMax {
		text = strings.ToValidUTF8(text[:reasonBytesMax], "")
	}
	return text
}

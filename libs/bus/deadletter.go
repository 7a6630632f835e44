package bus

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// reasonBytesMax bounds the reason in a dead letter.
const reasonBytesMax = 1024

// letters publishes the dead letters that Watermill's poison queue makes, in a form that people can use.
type letters struct{ message.Publisher }

// Publish stores copies that name the subject, with a reason of one line.
func (l letters) Publish(topic string, messages ...*message.Message) error {
	for _, msg := range messages {
		// The context that a message has by now ended with the handler's last attempt.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(msg.Context()), publishTimeout)
		defer cancel()
		delivery := DeliveryOf(ctx)
		// A repeat of the copy is recognised, and two messages with the same id are not confused.
		letter := message.NewMessageWithContext(ctx, strconv.FormatUint(delivery.Sequence, 10)+idSeparator+msg.UUID, msg.Payload)
		maps.Copy(letter.Metadata, msg.Metadata)
		letter.Metadata[middleware.ReasonForPoisonedKey] = short(msg.Metadata[middleware.ReasonForPoisonedKey])
		letter.Metadata[middleware.PoisonedTopicKey] = delivery.Subject
		if err := l.Publisher.Publish(topic, letter); err != nil {
			return err
		}
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

package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream is the transport between processes. It neither opens nor closes the connection,
// and never makes streams or consumers.
type JetStream struct {
	// RetryDelay is how long a message stays away that was given back, and CloseTimeout how long one in
	// hand may be worked on after the end of its subscription. Both are set before use.
	RetryDelay, CloseTimeout time.Duration

	js    jetstream.JetStream
	log   *slog.Logger
	state *state
}

var _ Transport = (*JetStream)(nil)

// NewJetStream returns a transport over a connection that may not be established yet.
func NewJetStream(js jetstream.JetStream, log *slog.Logger) *JetStream {
	return &JetStream{RetryDelay: retryDelay, CloseTimeout: closeTimeout, js: js, log: log, state: newState(log)}
}

// Publish stores messages one after the other and waits for each. A message whose UUID was
// seen under the topic already is not stored again. Its context bounds the wait.
func (t *JetStream) Publish(topic string, messages ...*message.Message) error {
	for _, msg := range messages {
		out := nats.NewMsg(topic)
		out.Data = msg.Payload
		for key, value := range msg.Metadata {
			out.Header.Set(key, value)
		}
		if msg.UUID != "" {
			// The server compares ids within a whole stream: one decision may well launch and
			// retire, or concern two NodeGroups.
			out.Header.Set(jetstream.MsgIDHeader, topic+idSeparator+msg.UUID)
		}
		_, err := t.js.PublishMsg(msg.Context(), out)
		switch {
		case errors.Is(err, nats.ErrHeadersNotSupported):
			err = errDisconnected // what the client library says before it knows any server
		case errors.Is(err, nats.ErrMaxPayload):
			err = fmt.Errorf("%w: %w", ErrInvalidMessage, err)
		}
		if err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	}
	return nil
}

// Close does nothing: every publish has been waited for.
func (*JetStream) Close() error { return nil }

// Subscriber reads as the consumer, one message at a time.
func (t *JetStream) Subscriber(c Consumer) message.Subscriber { return newSubscriber(t, c) }

const (
	idSeparator = ":"
	// reserved is the prefix of headers that mean something to the server only.
	reserved = "Nats-"
)

// decode turns a stored message into Watermill's form, in which a header has one value. Several are joined: where it
// matters nobody understands the result, and the message is buried.
func decode(subject string, header nats.Header, body []byte) *message.Message {
	msg := message.NewMessage(strings.TrimPrefix(header.Get(jetstream.MsgIDHeader), subject+idSeparator), body)
	for key, values := range header {
		if !strings.HasPrefix(key, reserved) {
			msg.Metadata[key] = strings.Join(values, ", ")
		}
	}
	return msg
}

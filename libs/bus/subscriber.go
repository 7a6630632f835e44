package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// lookupTimeout bounds the search for a consumer.
	lookupTimeout = 5 * time.Second
	lookupWaitMin = 250 * time.Millisecond
	lookupWaitMax = 2 * time.Second
	// pullExpiry is how long one request for messages stays open, pullHeartbeat how often the
	// server says that it still does; two missing ones make us look for the consumer again.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 5 * time.Second
	// pullMessages is how many messages a request asks for. The consumer's MaxAckPending lets
	// through one at a time all the same. With a small number the client library can run dry: it
	// skips a request that is due while the goroutine that sent the last one has not returned,
	// and notices ten seconds later.
	pullMessages = 256
	// beatMin is how often a sign of life is sent at most.
	beatMin = 100 * time.Millisecond
	// releaseTimeout bounds the return of messages that were received but not handed over.
	releaseTimeout = 2 * time.Second
)

var (
	errClosed       = errors.New("subscriber is closed")
	errDisconnected = errors.New("not connected to NATS")
	errReconnected  = errors.New("connection to NATS is a new one")
)

// subscriber is Watermill's view of a durable consumer.
//
// The ones that come with watermill-nats crash when a subscription ends under load or a header
// has two values, delete durable consumers, or lose the acknowledgement of work that ends
// after the stop.
type subscriber struct {
	transport *JetStream
	consumer  Consumer

	closing context.Context
	close   context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newSubscriber(t *JetStream, c Consumer) *subscriber {
	s := &subscriber{transport: t, consumer: c}
	s.closing, s.close = context.WithCancel(context.Background())
	return s
}

// Subscribe delivers messages until ctx ends or the subscriber is closed. The consumer decides
// what is read; the topic only has to be the consumer's own. A missing server, stream or
// consumer is waited for.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if want := s.consumer.Topic.Filter(); topic != want {
		return nil, fmt.Errorf("subscribe to %s: consumer %s reads %s", topic, s.consumer.Name, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(s.closing, cancel)
	r := &reader{transport: s.transport, consumer: s.consumer, out: make(chan *message.Message)}
	s.running.Go(func() {
		defer cancel()
		defer detach()
		defer close(r.out)
		r.run(ctx)
	})
	return r.out, nil
}

// Close ends all subscriptions and waits until their messages are settled.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.close()
	s.running.Wait()
	return nil
}

// reader is one subscription: a single goroutine that has at most one message in hand.
type reader struct {
	transport *JetStream
	consumer  Consumer
	out       chan *message.Message
}

// run reads until ctx ends, whatever becomes of the server.
func (r *reader) run(ctx context.Context) {
	wait := lookupWaitMin
	for ctx.Err() == nil {
		opened, err := r.read(ctx)
		if ctx.Err() != nil {
			return
		}
		if opened {
			wait = lookupWaitMin
		}
		if errors.Is(err, errReconnected) {
			continue
		}
		r.transport.state.failed(ctx, r.consumer.Name, err)
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait = min(2*wait, lookupWaitMax)
	}
}

// read delivers messages until the consumer cannot be read any longer, and reports whether it
// could be opened at all.
func (r *reader) read(ctx context.Context) (opened bool, err error) {
	// With a new connection the store may be another one, so the consumer is looked up again;
	// the client library would ask a missing consumer for messages in vain.
	conn := r.transport.js.Conn()
	connected := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(connected)
	if !conn.IsConnected() {
		r.transport.state.failed(ctx, r.consumer.Name, errDisconnected)
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-connected:
			return false, errReconnected
		case <-time.After(lookupTimeout):
			return false, errDisconnected
		}
	}
	messages, beat, err := r.open(ctx)
	if err != nil {
		return false, err
	}
	defer release(messages)
	r.transport.state.recovered(ctx, r.consumer.Name)
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-connected:
			cancel(errReconnected)
		case <-reading.Done():
		}
	}()
	for {
		msg, err := messages.Next(jetstream.NextContext(reading))
		if err != nil {
			if cause := context.Cause(reading); cause != nil {
				err = cause
			}
			return true, fmt.Errorf("read consumer %s: %w", r.consumer.Name, err)
		}
		r.deliver(ctx, msg, beat)
	}
}

// open finds the consumer, and tells how often a message in hand needs a sign of life.
func (r *reader) open(ctx context.Context) (jetstream.MessagesContext, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := r.transport.js.Consumer(ctx, r.consumer.Topic.Stream(), r.consumer.Name)
	if err != nil {
		return nil, 0, fmt.Errorf("look up consumer %s of %s: %w", r.consumer.Name, r.consumer.Topic.Stream(), err)
	}
	messages, err := found.Messages(jetstream.PullMaxMessages(pullMessages), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return nil, 0, fmt.Errorf("read consumer %s: %w", r.consumer.Name, err)
	}
	return messages, max(found.CachedInfo().Config.AckWait/3, beatMin), nil
}

// release ends the iterator and gives back what it has received meanwhile.
func release(messages jetstream.MessagesContext) {
	messages.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	for ctx.Err() == nil {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return
		}
		if err == nil {
			_ = msg.Nak() // without it the server waits for its own deadline
		}
	}
}

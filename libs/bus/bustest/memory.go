// Package bustest has a bus in memory that behaves the same as NATS.
package bustest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

const (
	retryDelay   = 10 * time.Millisecond
	closeTimeout = 15 * time.Second
)

// errClosed says that a transport or subscriber was closed.
var errClosed = errors.New("bus in memory is closed")

// Memory is a transport within the process. Like JetStream it keeps what is published, knows
// duplicates by topic and id, and gives each consumer its messages one at a time and in order, to
// one of those who compete for them. Unlike JetStream it forgets nothing as long as it lives,
// and makes consumers when they are asked for. It is safe for concurrent use.
//
// Watermill's own transport in memory has neither order, nor consumers that compete, nor ids.
type Memory struct {
	// RetryDelay is how soon a failed message comes again, sooner than on the real bus, and
	// CloseTimeout how long one in hand may be worked on after the end of its subscription.
	// Both are set before use.
	RetryDelay, CloseTimeout time.Duration

	mu      sync.Mutex
	closed  bool
	stored  []stored
	ids     map[string]bool
	places  map[bus.Consumer]*place
	wipes   int
	changed chan struct{} // closed and replaced when a message is stored
}

type stored struct {
	subject string
	msg     *message.Message
}

// place is where a consumer is. The token is held by whoever works on its next message.
type place struct {
	token   chan struct{}
	next    int
	attempt uint64
	wipes   int // how often the bus was wiped when next was set
}

var _ bus.Transport = (*Memory)(nil)

// NewMemory returns an empty bus.
func NewMemory() *Memory {
	return &Memory{
		RetryDelay: retryDelay, CloseTimeout: closeTimeout,
		ids: map[string]bool{}, places: map[bus.Consumer]*place{}, changed: make(chan struct{}),
	}
}

// Publish stores copies of the messages.
func (m *Memory) Publish(topic string, messages ...*message.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	for _, msg := range messages {
		if err := msg.Context().Err(); err != nil {
			return err
		}
		if msg.UUID != "" {
			id := topic + ":" + msg.UUID
			if m.ids[id] {
				continue
			}
			m.ids[id] = true
		}
		m.stored = append(m.stored, stored{topic, msg.Copy()})
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

// Wipe loses every message, and every consumer's place, as a server does that lost its store.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored, m.ids = nil, map[string]bool{}
	m.wipes++
	close(m.changed)
	m.changed = make(chan struct{})
}

// Close refuses further messages and subscriptions.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// DeadLetters returns copies of the dead letters, oldest first.
func (m *Memory) DeadLetters() []*message.Message { return m.Published("vpsie.v1.dlq.") }

// Published returns copies of the messages whose subject has the prefix, oldest first.
func (m *Memory) Published(prefix string) []*message.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*message.Message
	for _, s := range m.stored {
		if strings.HasPrefix(s.subject, prefix) {
			out = append(out, s.msg.Copy())
		}
	}
	return out
}

// Subscriber reads as the given consumer.
func (m *Memory) Subscriber(c bus.Consumer) message.Subscriber {
	return &subscriber{memory: m, consumer: c, closing: make(chan struct{})}
}

// place returns the place of a consumer, made at the start of the bus where it is new.
func (m *Memory) place(c bus.Consumer) (*place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errClosed
	}
	p, ok := m.places[c]
	if !ok {
		p = &place{token: make(chan struct{}, 1)}
		m.places[c] = p
	}
	return p, nil
}

// next finds the first message from a place on that a filter of the form prefix.* matches. It
// returns a channel to wait on where there is none. The caller holds the place's token.
func (m *Memory) next(filter string, p *place) (int, *stored, <-chan struct{}) {
	prefix := strings.TrimSuffix(filter, "*")
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.wipes != m.wipes {
		p.next, p.attempt, p.wipes = 0, 0, m.wipes
	}
	index := p.next
	rest := slices.IndexFunc(m.stored[index:], func(s stored) bool {
		tail, ok := strings.CutPrefix(s.subject, prefix)
		return ok && !strings.Contains(tail, ".")
	})
	if rest < 0 {
		return len(m.stored), nil, m.changed
	}
	return index + rest, &m.stored[index+rest], nil
}

type subscriber struct {
	memory   *Memory
	consumer bus.Consumer

	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	running sync.WaitGroup
}

// Subscribe delivers messages until ctx ends or the subscriber is closed.
func (s *subscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	p, err := s.memory.place(s.consumer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan *message.Message)
	s.running.Go(func() {
		select {
		case <-s.closing:
		case <-ctx.Done():
		}
		cancel()
	})
	s.running.Go(func() {
		defer cancel()
		defer close(out)
		for ctx.Err() == nil {
			select {
			case p.token <- struct{}{}:
				s.step(ctx, p, out)
				<-p.token
			case <-ctx.Done():
			}
		}
	})
	return out, nil
}

// Close ends all subscriptions and waits until their messages are settled.
func (s *subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// step waits for the next message, hands it over and waits until it is settled. The caller
// holds the token.
func (s *subscriber) step(ctx context.Context, p *place, out chan<- *message.Message) {
	index, next, changed := s.memory.next(s.consumer.Topic.Filter(), p)
	if index != p.next {
		p.next, p.attempt = index, 0
	}
	if next == nil {
		select {
		case <-changed:
		case <-ctx.Done():
		}
		return
	}
	p.attempt++
	// A message in hand outlives the end of its subscription.
	handling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msg := next.msg.Copy()
	msg.SetContext(bus.WithDelivery(handling, bus.Delivery{Subject: next.subject, Attempt: p.attempt, Sequence: uint64(index) + 1}))
	select {
	case out <- msg:
	case <-ctx.Done():
		return
	}
	stop, deadline := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case <-msg.Acked():
			p.next, p.attempt = index+1, 0
			return
		case <-msg.Nacked():
			select {
			case <-time.After(s.memory.RetryDelay):
			case <-ctx.Done():
			}
			return
		case <-stop:
			stop, deadline = nil, time.After(s.memory.CloseTimeout)
		case <-deadline:
			return
		}
	}
}

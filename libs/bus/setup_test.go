package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go/jetstream"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/bustest"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
)

// patience is how long a condition may take on a slow machine.
const patience = time.Minute

// Consumers that provision makes.
var (
	readsLaunch = bus.Consumer{Name: "test-launch", Topic: bus.TopicLaunch}
	readsRetire = bus.Consumer{Name: "test-retire", Topic: bus.TopicRetire}
	consumers   = []bus.Consumer{readsLaunch, readsRetire}
)

var discard = slog.New(slog.DiscardHandler)

// bench is a transport under test.
type bench struct {
	// open returns the bus as another process sees it.
	open func(t *testing.T) bus.Transport
	// letters returns the dead letters, oldest first.
	letters func(t *testing.T) []letter
}

type letter struct{ subject, id, reason, handler, body string }

// benches are the transports: a difference that a test can see is a bug in the one in memory.
var benches = map[string]func(t *testing.T) bench{
	"JetStream": func(t *testing.T) bench {
		server := natstest.StartServer(t)
		js := server.Connect()
		provision(t, js)
		return bench{
			open:    func(*testing.T) bus.Transport { return quick(server.Connect(), discard) },
			letters: func(t *testing.T) []letter { return lettersOf(t, js) },
		}
	},
	"Memory": func(*testing.T) bench {
		memory := bustest.NewMemory()
		return bench{
			open: func(*testing.T) bus.Transport { return memory },
			letters: func(*testing.T) []letter {
				var out []letter
				for _, m := range memory.DeadLetters() {
					out = append(out, letter{m.Metadata[middleware.PoisonedTopicKey], m.Metadata["ce-id"], m.Metadata[middleware.ReasonForPoisonedKey], m.Metadata[middleware.PoisonedHandlerKey], string(m.Payload)})
				}
				return out
			},
		}
	},
}

// quick is JetStream that delivers failed messages again at once.
func quick(js jetstream.JetStream, log *slog.Logger) *bus.JetStream {
	transport := bus.NewJetStream(js, log)
	transport.RetryDelay = 10 * time.Millisecond
	return transport
}

func lettersOf(t *testing.T, js jetstream.JetStream) []letter {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := js.Stream(ctx, bus.StreamDeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	var out []letter
	for sequence := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(ctx, sequence+1)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, letter{m.Header.Get(middleware.PoisonedTopicKey), m.Header.Get("ce-id"), m.Header.Get(middleware.ReasonForPoisonedKey), m.Header.Get(middleware.PoisonedHandlerKey), string(m.Data)})
	}
	return out
}

func provision(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bus.Provision(ctx, js, consumers); err != nil {
		t.Fatal(err)
	}
}

// start runs a router until the test, or the returned function, ends it.
func start(t *testing.T, r *bus.Router) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("router: %v", err)
			}
		case <-time.After(patience):
			t.Error("router does not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: still not so after %s", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// inbox gathers what a handler receives. It is safe for concurrent use.
type inbox struct {
	mu  sync.Mutex
	ids []string
}

func (i *inbox) add(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ids = append(i.ids, id)
}

func (i *inbox) got() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string{}, i.ids...)
}

func (i *inbox) has(id string) func() bool {
	return func() bool {
		for _, got := range i.got() {
			if got == id {
				return true
			}
		}
		return false
	}
}

// launches returns a handler of launches that keeps their decision ids.
func (i *inbox) launches(_ context.Context, m *busv1.LaunchDecision) error {
	i.add(m.GetDecisionId())
	return nil
}

func launch(t *testing.T, transport message.Publisher, nodeGroup, id string) {
	t.Helper()
	m := &busv1.LaunchDecision{DecisionId: id, Namespace: "default", NodeGroup: nodeGroup}
	if err := bus.NewPublisher(transport, "test").Publish(t.Context(), bus.TopicLaunch, "default", nodeGroup, id, m); err != nil {
		t.Fatal(err)
	}
}

// launchSoon is launch while the server may be away.
func launchSoon(t *testing.T, transport message.Publisher, nodeGroup, id string) {
	t.Helper()
	publisher := bus.NewPublisher(transport, "test")
	m := &busv1.LaunchDecision{DecisionId: id, Namespace: "default", NodeGroup: nodeGroup}
	var err error
	await(t, "publish "+id, func() bool {
		err = publisher.Publish(t.Context(), bus.TopicLaunch, "default", nodeGroup, id, m)
		return err == nil || errors.Is(err, bus.ErrInvalidMessage)
	})
	if err != nil {
		t.Fatal(err)
	}
}

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry/telemetrytest"
)

// pending counts the deliveries that the server waits for.
func pending(t *testing.T, js jetstream.JetStream) int {
	t.Helper()
	return launchConsumer(t, js).CachedInfo().NumAckPending
}

func launchConsumer(t *testing.T, js jetstream.JetStream) jetstream.Consumer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	consumer, err := js.Consumer(ctx, readsLaunch.Topic.Stream(), readsLaunch.Name)
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// setAckWait changes how long the server waits for the handler's word.
func setAckWait(t *testing.T, js jetstream.JetStream, wait time.Duration) {
	t.Helper()
	config := launchConsumer(t, js).CachedInfo().Config
	config.AckWait = wait
	if _, err := js.UpdateConsumer(t.Context(), readsLaunch.Topic.Stream(), config); err != nil {
		t.Fatal(err)
	}
}

// TestTooLargeMessageIsInvalid tells what the server never takes from a server that is away.
func TestTooLargeMessageIsInvalid(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	provision(t, js)
	publisher := bus.NewPublisher(quick(js, discard), "test")
	err := publisher.Publish(t.Context(), bus.TopicDecision, "default", "g", "1", &busv1.DecisionRecord{Message: strings.Repeat("x", 2<<20)})
	if !errors.Is(err, bus.ErrInvalidMessage) {
		t.Errorf("two MiB: %v", err)
	}
	err = publisher.Publish(t.Context(), bus.TopicDecision, "default", "g", "2", &busv1.DecisionRecord{Message: "\xff"})
	if !errors.Is(err, bus.ErrInvalidMessage) {
		t.Errorf("text that is no UTF-8: %v", err)
	}
}

// TestStopUnderLoadLosesNothing stops a router again and again while messages flow: what was
// in hand is finished and acknowledged, what was on its way is given back. The server waits
// much longer than the test does, so a delivery without an answer would block the consumer.
func TestStopUnderLoadLosesNothing(t *testing.T) {
	const rounds, messages = 40, 1600
	server := natstest.StartServer(t)
	admin := server.Connect()
	provision(t, admin)
	setAckWait(t, admin, time.Hour)
	flood := server.Connect()
	// Each round brings its own messages: a fast machine would have handled all of them before the last.
	publish := func(first int) {
		for i := range messages / rounds {
			m := nats.NewMsg(bus.Subject(bus.TopicLaunch, "default", "group-"+strconv.Itoa((first+i)%50)))
			m.Header.Set("ce-type", "vpsie.bus.v1.LaunchDecision")
			m.Header.Set("ce-dataschema", "v1.0")
			if _, err := flood.PublishMsgAsync(m, jetstream.WithStallWait(patience)); err != nil {
				t.Fatalf("publish: %v", err)
			}
		}
	}
	var handled atomic.Int64
	for round := range rounds {
		publish(round * messages / rounds)
		js := server.Connect()
		router := bus.NewRouter(quick(js, discard), discard)
		reached := handled.Load() + 1
		bus.On(router, readsLaunch, func(context.Context, *busv1.LaunchDecision) error {
			handled.Add(1)
			return nil
		})
		stop := start(t, router)
		await(t, "some messages are handled", func() bool { return handled.Load() >= reached })
		stop()
		// The one that may be left receives the answers to all requests of the connection.
		await(t, "subscriptions are ended", func() bool { return js.Conn().NumSubscriptions() <= 1 })
	}
	select {
	case <-flood.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("the flood is not stored")
	}
	router := bus.NewRouter(quick(server.Connect(), discard), discard)
	bus.On(router, readsLaunch, func(context.Context, *busv1.LaunchDecision) error {
		handled.Add(1)
		return nil
	})
	start(t, router)
	await(t, "every message is handled", func() bool { return handled.Load() >= messages })
	await(t, "every message is acknowledged", func() bool { return pending(t, admin) == 0 })
	if got := handled.Load(); got != messages {
		t.Errorf("%d messages were handled, %d published", got, messages)
	}
}

// TestSlowHandlerRunsOnce checks that a handler may take longer than the server waits, even
// when the router is told to stop meanwhile.
func TestSlowHandlerRunsOnce(t *testing.T) {
	const wait = 2 * time.Second
	server := natstest.StartServer(t)
	js := server.Connect()
	provision(t, js)
	setAckWait(t, js, wait)
	var runs atomic.Int64
	running, cancelled := make(chan struct{}, 10), errors.New("it did not end")
	router := bus.NewRouter(quick(server.Connect(), discard), discard)
	bus.On(router, readsLaunch, func(ctx context.Context, _ *busv1.LaunchDecision) error {
		runs.Add(1)
		running <- struct{}{}
		select {
		case <-time.After(5 * wait / 2): // the time itself is what is tested
			cancelled = nil
		case <-ctx.Done():
			cancelled = ctx.Err()
		}
		return cancelled
	})
	stop := start(t, router)
	// A second router would get what the server believes to be lost.
	rival := bus.NewRouter(quick(server.Connect(), discard), discard)
	bus.On(rival, readsLaunch, func(context.Context, *busv1.LaunchDecision) error {
		runs.Add(1)
		return nil
	})
	launch(t, quick(js, discard), "workers", "1")
	<-running
	start(t, rival)
	stop()
	if cancelled != nil {
		t.Errorf("handler was cancelled by the stop: %v", cancelled)
	}
	if got, left := runs.Load(), pending(t, js); got != 1 || left != 0 {
		t.Errorf("message was handled %d times and %d are pending", got, left)
	}
}

// TestPoisonHeader checks a message that Watermill cannot even represent.
func TestPoisonHeader(t *testing.T) {
	server := natstest.StartServer(t)
	js := server.Connect()
	provision(t, js)
	poison := nats.NewMsg(bus.Subject(bus.TopicLaunch, "default", "workers"))
	poison.Header["ce-type"] = []string{"vpsie.bus.v1.LaunchDecision", "vpsie.bus.v1.RetireDecision"}
	poison.Data = []byte("poison")
	if _, err := js.PublishMsg(t.Context(), poison); err != nil {
		t.Fatal(err)
	}
	launch(t, quick(js, discard), "workers", "next")
	var handled inbox
	router := bus.NewRouter(quick(server.Connect(), discard), discard)
	bus.On(router, readsLaunch, handled.launches)
	start(t, router)
	await(t, "the next message is handled", handled.has("next"))
	letters := lettersOf(t, js)
	if len(letters) != 1 || !strings.Contains(letters[0].reason, `type is "vpsie.bus.v1.LaunchDecision, vpsie.bus.v1.RetireDecision"`) || letters[0].body != "poison" {
		t.Errorf("dead letters are %v", letters)
	}
}

// TestServerComesBack checks what a router makes of a server that is away, with and without
// its store, and that it tells of each change once.
func TestServerComesBack(t *testing.T) {
	cases := map[string]struct {
		why  string
		away func(t *testing.T, s *natstest.Server)
	}{
		"WithStore": {
			why: "a restart is an everyday thing",
			away: func(_ *testing.T, s *natstest.Server) {
				s.Stop()
				s.Start()
			},
		},
		"WithoutStore": {
			why: "losing every stream costs latency only",
			away: func(t *testing.T, s *natstest.Server) {
				s.Stop()
				s.Wipe()
				s.Start()
				provision(t, s.Connect())
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := natstest.StartServer(t)
			client := server.Connect()
			provision(t, client)
			var log telemetrytest.Journal
			var handled inbox
			router := bus.NewRouter(quick(server.Connect(), log.Logger()), discard)
			bus.On(router, readsLaunch, handled.launches)
			start(t, router)
			for round := range 3 {
				before := fmt.Sprintf("before-%d", round)
				launchSoon(t, quick(client, discard), "workers", before)
				await(t, c.why+": "+before, handled.has(before))
				c.away(t, server)
			}
			launchSoon(t, quick(client, discard), "workers", "after")
			await(t, c.why+": after", handled.has("after"))
			await(t, "router tells that the bus is read", func() bool {
				return log.Count("reading from the bus resumed") == log.Count("reading from the bus failed")
			})
			if lost := log.Count("reading from the bus failed"); lost > 3 {
				t.Errorf("told %d times that the bus is not read", lost)
			}
		})
	}
}

func TestServerAwayAtStart(t *testing.T) {
	server := natstest.StartServer(t)
	provision(t, server.Connect())
	server.Stop()
	var log telemetrytest.Journal
	var handled inbox
	js := server.Connect()
	router := bus.NewRouter(quick(js, log.Logger()), discard)
	bus.On(router, readsLaunch, handled.launches)
	start(t, router)
	await(t, "router tells that it cannot read", func() bool { return log.Count("reading from the bus failed") == 1 })
	m := &busv1.LaunchDecision{DecisionId: "1"}
	if err := bus.NewPublisher(quick(js, discard), "test").Publish(t.Context(), bus.TopicLaunch, "default", "workers", "1", m); err == nil || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("publishing without a server: %v", err)
	}
	server.Start()
	launchSoon(t, quick(js, discard), "workers", "2")
	await(t, "message is handled", handled.has("2"))
	await(t, "router tells that the bus is read", func() bool { return log.Count("reading from the bus resumed") == 1 })
	if lost := log.Count("reading from the bus failed"); lost != 1 {
		t.Errorf("told %d times that the bus is not read", lost)
	}
}

package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
)

func TestProvision(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	complete := func(what string, want bool) {
		t.Helper()
		got, err := bus.Provisioned(ctx, js)
		if err != nil || got != want {
			t.Fatalf("%s: provisioned is %v, %v; want %v", what, got, err, want)
		}
	}
	complete("empty server", false)
	provision(t, js)
	complete("provisioned server", true)
	provision(t, js)
	complete("server provisioned twice", true)

	losses := map[string]func() error{
		"consumer":    func() error { return js.DeleteConsumer(ctx, bus.StreamDecisions, "provisioner-retire-15") },
		"decisions":   func() error { return js.DeleteStream(ctx, bus.StreamDecisions) },
		"facts":       func() error { return js.DeleteStream(ctx, bus.StreamFacts) },
		"deadLetters": func() error { return js.DeleteStream(ctx, bus.StreamDeadLetters) },
		"feed":        func() error { return js.DeleteKeyValue(ctx, bus.FeedBucket) },
	}
	for what, lose := range losses {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		complete(what+" lost", false)
		provision(t, js)
		complete(what+" made again", true)
	}
}

func TestLeftoverConsumerHidesNoMissingOne(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	provision(t, js)
	if _, err := js.CreateConsumer(ctx, bus.StreamDecisions, jetstream.ConsumerConfig{Durable: "of-an-earlier-version"}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(ctx, bus.StreamDecisions, "provisioner-retire-15"); err != nil {
		t.Fatal(err)
	}
	if complete, err := bus.Provisioned(ctx, js); err != nil || complete {
		t.Errorf("provisioned is %v, %v; want false, since a consumer is missing", complete, err)
	}
}

func TestProvisionedLimits(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	provision(t, js)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const day = 24 * time.Hour
	for name, want := range map[string]struct {
		storage    jetstream.StorageType
		age        time.Duration
		perSubject int64
	}{
		bus.StreamDecisions:    {jetstream.FileStorage, 3 * day, -1},
		bus.StreamFacts:        {jetstream.FileStorage, 7 * day, -1},
		bus.StreamDeadLetters:  {jetstream.FileStorage, 30 * day, -1},
		"KV_" + bus.FeedBucket: {jetstream.MemoryStorage, 0, 1},
	} {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		got := stream.CachedInfo().Config
		if got.Storage != want.storage || got.MaxAge != want.age || got.MaxMsgsPerSubject != want.perSubject ||
			got.Retention != jetstream.LimitsPolicy || got.MaxBytes <= 0 {
			t.Errorf("stream %s: %+v", name, got)
		}
	}
	for partition := range bus.Partitions {
		for handler, topic := range map[string]bus.Topic{"provisioner-launch": bus.TopicLaunch, "provisioner-retire": bus.TopicRetire} {
			d := bus.Durable{Handler: handler, Topic: topic, Partition: partition}
			consumer, err := js.Consumer(ctx, d.Stream(), d.Name())
			if err != nil {
				t.Fatal(err)
			}
			got := consumer.CachedInfo().Config
			if got.FilterSubject != d.Filter() || got.MaxAckPending != 1 || got.MaxDeliver != -1 ||
				got.AckPolicy != jetstream.AckExplicitPolicy || got.AckWait != 30*time.Second {
				t.Errorf("consumer %s: %+v", d.Name(), got)
			}
		}
	}
}

// TestRouterMakesNothing checks that a service which nobody provisioned for only waits.
func TestRouterMakesNothing(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	var log journal
	router := bus.NewRouter(bus.NewJetStream(js, log.logger()), discard)
	bus.On(router, bus.TopicLaunch, handlerLaunch, new(inbox).launches)
	stop := start(t, router)
	await(t, "router tells that it cannot read", func() bool { return log.count("bus is not read") == 1 })
	stop()
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		t.Errorf("router made stream %s", name)
	}
	if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		t.Fatal(err)
	}
}

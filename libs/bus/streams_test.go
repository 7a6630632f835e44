package bus_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry/telemetrytest"
)

func TestProvision(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	compare := func(what string, want ...string) {
		t.Helper()
		got, err := bus.Compare(ctx, js, consumers)
		if err != nil || !slices.Equal(got.Missing, want) || len(got.Leftover) > 0 {
			t.Fatalf("%s: %+v, %v; want %v missing", what, got, err, want)
		}
	}
	compare("empty server", "DECISIONS", "FACTS", "DLQ", "KV_vpsie-feed", "DECISIONS/test-launch", "DECISIONS/test-retire")
	provision(t, js)
	compare("provisioned server")
	provision(t, js)
	compare("server provisioned twice")

	losses := map[string]struct {
		lose func() error
		want []string
	}{
		"consumer":    {func() error { return js.DeleteConsumer(ctx, bus.StreamDecisions, readsRetire.Name) }, []string{"DECISIONS/test-retire"}},
		"decisions":   {func() error { return js.DeleteStream(ctx, bus.StreamDecisions) }, []string{"DECISIONS", "DECISIONS/test-launch", "DECISIONS/test-retire"}},
		"facts":       {func() error { return js.DeleteStream(ctx, bus.StreamFacts) }, []string{"FACTS"}},
		"deadLetters": {func() error { return js.DeleteStream(ctx, bus.StreamDeadLetters) }, []string{"DLQ"}},
		"feed":        {func() error { return js.DeleteKeyValue(ctx, bus.FeedBucket) }, []string{"KV_vpsie-feed"}},
	}
	for what, loss := range losses {
		if err := loss.lose(); err != nil {
			t.Fatal(err)
		}
		compare(what+" lost", loss.want...)
		provision(t, js)
		compare(what + " made again")
	}
}

// TestLeftoverConsumer checks that a consumer of an earlier version is told of and hides no missing one, and that
// whoever reads for a moment is not taken for one.
func TestLeftoverConsumer(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	provision(t, js)
	for _, config := range []jetstream.ConsumerConfig{{Durable: "of-an-earlier-version"}, {Name: "of-a-person"}} {
		if _, err := js.CreateConsumer(ctx, bus.StreamDecisions, config); err != nil {
			t.Fatal(err)
		}
	}
	if err := js.DeleteConsumer(ctx, bus.StreamDecisions, readsRetire.Name); err != nil {
		t.Fatal(err)
	}
	want := bus.Difference{Missing: []string{"DECISIONS/test-retire"}, Leftover: []string{"DECISIONS/of-an-earlier-version"}}
	if got, err := bus.Compare(ctx, js, consumers); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
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
		bus.StreamDecisions:    {jetstream.FileStorage, time.Hour, -1},
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
	for _, c := range consumers {
		consumer, err := js.Consumer(ctx, c.Topic.Stream(), c.Name)
		if err != nil {
			t.Fatal(err)
		}
		got := consumer.CachedInfo().Config
		if got.FilterSubject != c.Topic.Filter() || got.MaxAckPending != 1 || got.MaxDeliver != -1 ||
			got.AckPolicy != jetstream.AckExplicitPolicy || got.AckWait != 30*time.Second {
			t.Errorf("consumer %s: %+v", c.Name, got)
		}
	}
}

// TestRouterMakesNothing checks that a service which nobody provisioned for only waits.
func TestRouterMakesNothing(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	var log telemetrytest.Journal
	router := bus.NewRouter(bus.NewJetStream(js, log.Logger()), discard)
	bus.On(router, readsLaunch, new(inbox).launches)
	stop := start(t, router)
	await(t, "router tells that it cannot read", func() bool { return log.Count("reading from the bus failed") == 1 })
	stop()
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		t.Errorf("router made stream %s", name)
	}
	if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		t.Fatal(err)
	}
}

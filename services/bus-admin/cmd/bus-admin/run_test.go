package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry/telemetrytest"
	provisioner "github.com/vpsie/vpsie-autoscaler/services/provisioner/consumers"
)

// patience is how long a condition may take on a slow machine.
const patience = time.Minute

var discard = slog.New(slog.DiscardHandler)

// awaitProvisioned waits until everything is there.
func awaitProvisioned(t *testing.T, server *natstest.Server) {
	t.Helper()
	js := server.Connect()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		found, err := bus.Compare(ctx, js, declared())
		cancel()
		if err == nil && len(found.Missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("bus is not provisioned after %s: %+v, %v", patience, found, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestOnce(t *testing.T) {
	server := natstest.StartServer(t)
	if err := run(t.Context(), config{Bus: bus.Config{URL: server.URL}, Timeout: patience}, discard); err != nil {
		t.Fatal(err)
	}
	awaitProvisioned(t, server)
}

func TestOnceWaitsForServer(t *testing.T) {
	server := natstest.StartServer(t)
	server.Stop()
	done := make(chan error, 1)
	go func() {
		done <- run(context.Background(), config{Bus: bus.Config{URL: server.URL}, Timeout: patience}, discard)
	}()
	server.Start()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestOnceGivesUp(t *testing.T) {
	server := natstest.StartServer(t)
	server.Stop()
	err := run(t.Context(), config{Bus: bus.Config{URL: server.URL}, Timeout: 100 * time.Millisecond}, discard)
	if err == nil || !strings.Contains(err.Error(), "gave up after 100ms") {
		t.Errorf("without a server: %v", err)
	}
}

// TestLeftoverConsumer has a consumer of an earlier version hide no missing one: it is told of once, and stays.
func TestLeftoverConsumer(t *testing.T) {
	server := natstest.StartServer(t)
	if err := run(t.Context(), config{Bus: bus.Config{URL: server.URL}, Timeout: patience}, discard); err != nil {
		t.Fatal(err)
	}
	js := server.Connect()
	const earlier = "provisioner-launch-3"
	if _, err := js.CreateConsumer(t.Context(), bus.StreamDecisions, jetstream.ConsumerConfig{Durable: earlier}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), bus.StreamDecisions, provisioner.Retire.Name); err != nil {
		t.Fatal(err)
	}
	var log telemetrytest.Journal
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, config{Bus: bus.Config{URL: server.URL}, Keep: true, Timeout: patience}, log.Logger())
	}()
	awaitProvisioned(t, server)
	deadline := time.Now().Add(patience)
	for log.Count(earlier) == 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if err := js.DeleteConsumer(t.Context(), bus.StreamDecisions, provisioner.Retire.Name); err != nil {
		t.Fatal(err)
	}
	awaitProvisioned(t, server)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if told := log.Count(earlier); told != 1 {
		t.Errorf("the leftover consumer is told of %d times, want once", told)
	}
	if _, err := js.Consumer(t.Context(), bus.StreamDecisions, earlier); err != nil {
		t.Errorf("the leftover consumer, from which a service may read: %v", err)
	}
}

func TestKeep(t *testing.T) {
	server := natstest.StartServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, config{Bus: bus.Config{URL: server.URL}, Keep: true, Timeout: patience}, discard)
	}()
	awaitProvisioned(t, server)
	if err := server.Connect().DeleteConsumer(t.Context(), bus.StreamDecisions, provisioner.Launch.Name); err != nil {
		t.Fatal(err)
	}
	awaitProvisioned(t, server)
	server.Stop()
	server.Wipe()
	server.Start()
	awaitProvisioned(t, server)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("an orderly stop is an error: %v", err)
	}
}

func TestConfig(t *testing.T) {
	load := func(args ...string) (config, error) {
		return servicefx.Load[config]("bus-admin", servicefx.Args{Values: args, Out: io.Discard})
	}
	c, err := load("--bus-url", "nats://nats:4222", "--keep")
	if err != nil || c.Bus.URL != "nats://nats:4222" || !c.Keep || c.Timeout != 30*time.Second {
		t.Errorf("got %+v, %v", c, err)
	}
	_, err = load("--bus-url", "http://nats", "--timeout", "0s")
	if err == nil || !strings.Contains(err.Error(), "bus-url") || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("both problems must be told: %v", errors.Unwrap(err))
	}
}

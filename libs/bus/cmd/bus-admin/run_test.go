package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
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
		complete, err := bus.Provisioned(ctx, js)
		cancel()
		if complete {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("bus is not provisioned after %s: %v", patience, err)
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

func TestKeep(t *testing.T) {
	server := natstest.StartServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, config{Bus: bus.Config{URL: server.URL}, Keep: true, Timeout: patience}, discard)
	}()
	awaitProvisioned(t, server)
	if err := server.Connect().DeleteConsumer(t.Context(), bus.StreamDecisions, "provisioner-launch-3"); err != nil {
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

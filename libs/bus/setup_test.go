package bus_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

// patience is how long a condition may take on a slow machine.
const patience = time.Minute

var discard = slog.New(slog.DiscardHandler)

func provision(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bus.Provision(ctx, js); err != nil {
		t.Fatal(err)
	}
}

package bus_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
)

// runnables is a manager that only keeps what it is given.
type runnables struct {
	manager.Manager
	added []manager.Runnable
}

func (r *runnables) Add(runnable manager.Runnable) error {
	r.added = append(r.added, runnable)
	return nil
}

func TestModule(t *testing.T) {
	server := natstest.StartServer(t)
	provision(t, server.Connect())
	server.Stop()
	var (
		kept      runnables
		ready     = servicefx.NewReadiness()
		conn      *nats.Conn
		publisher *bus.Publisher
		router    *bus.Router
	)
	app := fxtest.New(t, bus.Module, fx.NopLogger,
		fx.Supply(servicefx.Name("planner"), bus.Config{URL: server.URL}, ready, slog.New(slog.DiscardHandler), fx.Annotate(&kept, fx.As(new(manager.Manager)))),
		fx.Populate(&conn, &publisher, &router),
	)
	app.RequireStart()
	if err := ready.Err(); err == nil || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("without a server the service is ready: %v", err)
	}
	server.Start()
	await(t, "service is ready", func() bool { return ready.Err() == nil })

	var handled inbox
	bus.On(router, readsLaunch, handled.launches)
	stop := start(t, router)
	launch(t, quick(server.Connect(), discard), "workers", "1")
	await(t, "message is handled", handled.has("1"))

	// The connection ends with the manager's other runnables, after the router.
	if len(kept.added) != 1 {
		t.Fatalf("the module added %d runnables", len(kept.added))
	}
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- kept.added[0].Start(ctx) }()
	app.RequireStop()
	if !conn.IsConnected() {
		t.Error("the connection was closed while the manager was running")
	}
	stop()
	cancel()
	if err := <-closed; err != nil || !conn.IsClosed() {
		t.Errorf("the connection is left open: %v", err)
	}
}

func TestModuleRefusesInvalidURL(t *testing.T) {
	app := fx.New(bus.Module, fx.NopLogger,
		fx.Supply(servicefx.Name("planner"), bus.Config{URL: "http://nats"}, servicefx.NewReadiness(), slog.New(slog.DiscardHandler), fx.Annotate(&runnables{}, fx.As(new(manager.Manager)))))
	if err := app.Err(); err == nil || !strings.Contains(err.Error(), "bus-url") {
		t.Errorf("got error %v", err)
	}
}

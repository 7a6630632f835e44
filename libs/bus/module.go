package bus

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/fx"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
)

// Module provides the connection to NATS, a publisher and a router. The service's own module
// provides a Config, registers its handlers with On and runs the router.
var Module = fx.Module("bus",
	Messages,
	fx.Provide(
		newConnection,
		func(c *nats.Conn) (jetstream.JetStream, error) { return jetstream.New(c) },
		fx.Annotate(NewJetStream, fx.As(fx.Self()), fx.As(new(Transport))),
	),
	fx.Invoke(closeLast),
)

// Messages provides a publisher and a router over a Transport that somebody else provides.
var Messages = fx.Provide(
	func(t Transport, name servicefx.Name) *Publisher {
		return NewPublisher(t, "vpsie-autoscaler/"+string(name))
	},
	NewRouter,
)

// newConnection does not wait for the server: services start, and hold, without it.
func newConnection(name servicefx.Name, c Config, ready *servicefx.Readiness, log *slog.Logger) (*nats.Conn, error) {
	conn, err := Connect(string(name), c, log)
	if err != nil {
		return nil, err
	}
	ready.Add("nats", func() error {
		if !conn.IsConnected() {
			return fmt.Errorf("%w; connecting is repeated; check --bus-url and the server", errDisconnected)
		}
		return nil
	})
	return conn, nil
}

// closeLast closes the connection with the manager, whose leader-only runnables, the router
// among them, have ended by then. A stop hook of ours would run before the manager's.
func closeLast(mgr manager.Manager, conn *nats.Conn) error {
	return mgr.Add(servicefx.ReplicaTask(func(ctx context.Context) error {
		<-ctx.Done()
		closeConnection(conn)
		return nil
	}))
}

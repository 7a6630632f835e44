package bus

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	// drainTimeout bounds the last words of a connection.
	drainTimeout = 3 * time.Second
)

// Connect returns a connection that is made in the background and made again whenever it is
// lost. The caller closes it.
func Connect(name string, c Config, log *slog.Logger) (*nats.Conn, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	ctx := context.Background()
	conn, err := nats.Connect(c.URL,
		nats.Name("vpsie-"+name),
		nats.CustomInboxPrefix("_INBOX_"+name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.DrainTimeout(drainTimeout),
		nats.ConnectHandler(func(c *nats.Conn) {
			log.InfoContext(ctx, "connected to NATS", telemetry.KeyEndpoint, c.ConnectedUrlRedacted())
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			// Without an error it is us who end the connection.
			if err != nil {
				log.WarnContext(ctx, "connection to NATS lost; reconnecting", telemetry.KeyError, err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			log.InfoContext(ctx, "reconnected to NATS", telemetry.KeyEndpoint, c.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			log.WarnContext(ctx, "NATS reports an error", telemetry.KeySubject, subject, telemetry.KeyError, err)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if !conn.IsConnected() {
		log.WarnContext(ctx, "NATS does not answer; connecting is repeated", telemetry.KeyError, conn.LastError())
	}
	return conn, nil
}

// closeConnection sends what is on its way, within drainTimeout, and closes.
func closeConnection(conn *nats.Conn) {
	closed := conn.StatusChanged(nats.CLOSED)
	if err := conn.Drain(); err != nil {
		conn.Close()
		return
	}
	select {
	case <-closed:
	case <-time.After(drainTimeout + time.Second):
		conn.Close()
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"
)

// closeTimeout is how long handlers may finish after the router was told to stop.
const closeTimeout = 15 * time.Second

// Router hands messages to typed handlers. Handlers are registered with On, then Run is called.
type Router struct {
	transport Transport
	log       *slog.Logger
	handlers  []handler
	started   atomic.Bool
}

// handler is one registration of On.
type handler struct {
	consumer Consumer
	handle   message.NoPublishHandlerFunc
}

// NewRouter returns a router without handlers. It does not connect to anything.
func NewRouter(transport Transport, log *slog.Logger) *Router {
	return &Router{transport: transport, log: log}
}

// On registers the handler of a consumer, which Provision must know. Messages are handled one after
// the other, in the order in which they were published; handle must be idempotent. A message whose handler fails
// four times in a row, or that is not understood, becomes a dead letter. On must not be called after Run.
func On[M any, P interface {
	*M
	proto.Message
}](r *Router, c Consumer, handle func(ctx context.Context, m P) error) {
	r.handlers = append(r.handlers, handler{c, func(msg *message.Message) error {
		m := P(new(M))
		if err := open(msg, m); err != nil {
			return err
		}
		return handle(msg.Context(), m)
	}})
}

// Run handles messages until ctx ends, then lets running handlers finish. It outlives every
// absence of the server, its streams and its consumers. It may be called once.
func (r *Router) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("router was run before")
	}
	if len(r.handlers) == 0 {
		<-ctx.Done()
		return nil
	}
	// Watermill speaks of its inner life at info level; operators do not need it.
	logger := watermill.NewSlogLoggerWithLevelMapping(r.log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, logger)
	if err != nil {
		return fmt.Errorf("make router: %w", err)
	}
	for _, h := range r.handlers {
		chain, err := middlewares(h.consumer, r.transport, r.log)
		if err != nil {
			return fmt.Errorf("make middleware of %s: %w", h.consumer.Name, err)
		}
		router.AddConsumerHandler(h.consumer.Name, h.consumer.Topic.Filter(), r.transport.Subscriber(h.consumer), h.handle).AddMiddleware(chain...)
	}
	if err := router.Run(ctx); err != nil {
		return fmt.Errorf("run router: %w", err)
	}
	if ctx.Err() == nil {
		return errors.New("router lost its subscriptions")
	}
	return nil
}

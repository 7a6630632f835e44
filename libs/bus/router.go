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
	handlers  []*handler
	started   atomic.Bool
}

// NewRouter returns a router without handlers. It does not connect to anything.
func NewRouter(transport Transport, log *slog.Logger) *Router {
	return &Router{transport: transport, log: log}
}

// Option changes what an error of a handler means.
type Option func(*handler)

// Drop lists errors that end a message without a trace: it has become irrelevant.
func Drop(errs ...error) Option {
	return func(h *handler) { h.drop = append(h.drop, errs...) }
}

// Reject lists errors that no later attempt can mend: the message becomes a dead letter.
func Reject(errs ...error) Option {
	return func(h *handler) { h.reject = append(h.reject, errs...) }
}

// On registers a handler for all partitions of a topic, under a name that Provision knows.
// Messages of one NodeGroup are handled one after the other; handle must be idempotent. An
// error that no option lists has the message delivered again after one to thirty seconds, and
// until then holds up its partition. On must not be called after Run.
func On[M any, P interface {
	*M
	proto.Message
}](r *Router, t Topic, name string, handle func(ctx context.Context, m P) error, opts ...Option) {
	h := &handler{
		topic:     t,
		name:      name,
		transport: r.transport,
		log:       r.log,
		handle: func(ctx context.Context, msg *message.Message) error {
			m := P(new(M))
			if err := open(msg, m); err != nil {
				return err
			}
			return handle(ctx, m)
		},
	}
	for _, o := range opts {
		o(h)
	}
	r.handlers = append(r.handlers, h)
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
		for partition := range Partitions {
			d := Durable{Handler: h.name, Topic: h.topic, Partition: partition}
			router.AddConsumerHandler(d.Name(), d.Filter(), r.transport.Subscriber(d), func(msg *message.Message) error {
				h.receive(d, msg)
				return nil
			})
		}
	}
	if err := router.Run(ctx); err != nil {
		return fmt.Errorf("run router: %w", err)
	}
	if ctx.Err() == nil {
		return errors.New("router lost its subscriptions")
	}
	return nil
}

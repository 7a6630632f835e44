package facts

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// drainAgain is how soon the bus is asked again after it took nothing.
	drainAgain = 2 * time.Second
	// drainInterval is how often the ConfigMaps are read without a cause: a former leader may keep facts there that this process does not know of.
	drainInterval = time.Minute
	// settledMax is how many facts are taken out of a ConfigMap at once.
	settledMax = 64
	// addedBytesMax bounds what is put into a ConfigMap at once, so that a full one has little room left.
	addedBytesMax = 128 << 10
)

// errAway says that the bus is not asked, because it did not take the last fact.
var errAway = errors.New("bus takes no facts")

// Publisher is what an outbox needs of the bus.
type Publisher interface {
	// Publish stores a message or returns an error after a short time, bus.ErrInvalidMessage for one that it never takes.
	Publish(ctx context.Context, t bus.Topic, namespace, nodeGroup, id string, m proto.Message) error
}

var _ Publisher = (*bus.Publisher)(nil)

// Outbox puts facts on record. While the bus takes none they are kept in ConfigMaps, a key for each, and published from
// there. A fact may be published more than once, always with the same id. What is too large is put on record in a shorter form, and what cannot be
// put on record in any is dropped, counted and logged as an error, so that it holds up nothing else. Its methods are safe for concurrent use.
type Outbox struct {
	publisher Publisher
	shards    *shards
	dropped   prometheus.Counter
	log       *slog.Logger
	// away says that the bus did not take the last fact, so that the next ones do not wait for it, and refused is a fact that it did not
	// take, with which it is asked again. kept says that ConfigMaps may hold facts.
	away, kept atomic.Bool
	refused    atomic.Pointer[Fact]
	wake       chan struct{}
}

// NewOutbox returns an outbox that keeps facts in ConfigMaps named after the key (ConfigMaps), and registers its metric. What an earlier process
// left there is published by Run.
func NewOutbox(p Publisher, store client.Writer, live client.Reader, key client.ObjectKey, registry prometheus.Registerer, log *slog.Logger) (*Outbox, error) {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vpsie_facts_dropped_total", Help: "Decision records and facts about machines that could not be put on record in any form and are lost.",
	})
	o := &Outbox{publisher: p, shards: newShards(store, live, key), dropped: dropped, log: log, wake: make(chan struct{}, 1)}
	o.kept.Store(true)
	return o, registry.Register(dropped)
}

// Publish puts a fact on the bus or returns an error: after a short time, and at once while the bus is known to be away.
func (o *Outbox) Publish(ctx context.Context, f Fact) error {
	if o.away.Load() {
		return errAway
	}
	return o.ask(ctx, f)
}

// ask has the bus take a fact, also one that was away.
func (o *Outbox) ask(ctx context.Context, f Fact) error {
	ctx = telemetry.ContextWithTraceparent(ctx, f.Traceparent)
	var err error
	for form := range forms(f) {
		err = o.publisher.Publish(ctx, f.Topic, f.Namespace, f.NodeGroup, f.ID, form.Message)
		if !errors.Is(err, bus.ErrInvalidMessage) {
			break
		}
	}
	switch {
	case errors.Is(err, bus.ErrInvalidMessage):
		o.drop(ctx, f.ID, err)
		o.away.Store(false) // the next fact finds out; this one never could
		return nil
	case err != nil:
		o.refused.Store(&f)
		if !o.away.Swap(true) {
			o.log.WarnContext(ctx, "facts not published; they are kept in Kubernetes and published later", telemetry.KeyError, err)
			o.wakeUp()
		}
		return err
	}
	if o.away.Swap(false) {
		o.log.InfoContext(ctx, "publishing of facts resumed")
	}
	return nil
}

func (o *Outbox) drop(ctx context.Context, id string, err error) {
	o.dropped.Inc()
	o.log.ErrorContext(ctx, "fact cannot be put on record and is lost", telemetry.KeyDecision, id, telemetry.KeyError, err)
}

// Record returns once the facts are on record. After an error some may not be.
func (o *Outbox) Record(ctx context.Context, facts ...Fact) error {
	texts, size := map[string]*string{}, 0
	for _, f := range facts {
		if o.Publish(ctx, f) == nil {
			continue
		}
		text, err := Text(f)
		if err != nil {
			o.drop(ctx, f.ID, err)
			continue
		}
		if size+len(text) > addedBytesMax {
			if err := o.keep(ctx, texts); err != nil {
				return err
			}
			texts, size = map[string]*string{}, 0
		}
		texts[f.ID] = &text
		size += len(text)
	}
	return o.keep(ctx, texts)
}

// Displace puts on record what an object has no room for any more. What neither the bus nor Kubernetes takes now is dropped, and counted as lost.
func (o *Outbox) Displace(ctx context.Context, facts ...Fact) {
	for _, f := range facts {
		if err := o.Record(ctx, f); err != nil {
			o.drop(ctx, f.ID, err)
		}
	}
}

func (o *Outbox) keep(ctx context.Context, texts map[string]*string) error {
	if len(texts) == 0 {
		return nil
	}
	err := o.shards.add(ctx, texts)
	o.kept.Store(true) // also after an unclear answer
	o.wakeUp()
	return err
}

func (o *Outbox) wakeUp() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Run publishes what is kept, also by other processes, and asks a bus that is away whether it is back, until ctx ends.
func (o *Outbox) Run(ctx context.Context) error {
	for {
		again := time.After(drainInterval)
		failing := false
		if o.kept.Load() || o.away.Load() {
			if failing = o.drain(ctx) != nil; failing {
				again = time.After(drainAgain)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			o.kept.Store(true)
		case <-o.wake:
			if failing { // others are added meanwhile, and the bus is not asked for each
				select {
				case <-ctx.Done():
					return nil
				case <-again:
				}
			}
		}
	}
}

// drain publishes what the ConfigMaps hold and takes it out. That they hold nothing does not say that the bus is back.
func (o *Outbox) drain(ctx context.Context) error {
	o.kept.Store(false)
	for _, key := range o.shards.keys {
		if err := o.drainShard(ctx, key); err != nil {
			o.kept.Store(true)
			return err
		}
	}
	if o.away.Load() {
		return o.ask(ctx, *o.refused.Load())
	}
	return nil
}

func (o *Outbox) drainShard(ctx context.Context, key client.ObjectKey) error {
	texts, err := o.shards.read(ctx, key)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(slices.Sorted(maps.Keys(texts)), settledMax) {
		var settled []string
		var failed error
		for _, id := range batch {
			f, err := Parse(texts[id])
			if err != nil {
				o.drop(ctx, id, err)
			} else if failed = o.ask(ctx, f); failed != nil {
				break
			}
			settled = append(settled, id)
		}
		if err := errors.Join(o.shards.remove(ctx, key, settled), failed); err != nil {
			return err
		}
	}
	return nil
}

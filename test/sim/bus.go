package sim

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
)

var errBusDown = errors.New("nats: no servers available for connection")

// busFaults is what goes wrong on the bus now; the world's lock guards it.
type busFaults struct {
	down      bool
	full      bool // it takes no message, as with a full disk; the feed is in memory
	loss      int  // percent of published messages that are acknowledged and lost
	duplicate int  // percent of them that come twice
	delay     time.Duration
	feedDown  bool
}

// busPort is a process's connection to the bus.
type busPort struct {
	world *world
	owner *process
}

var _ bus.Transport = (*busPort)(nil)

func (w *world) busFor(p *process) bus.Transport { return &busPort{world: w, owner: p} }

// Publish stores messages, unless a fault takes them.
func (b *busPort) Publish(topic string, messages ...*message.Message) error {
	after, err := b.owner.gate.enter(true)
	if err != nil {
		return err
	}
	f, dice := b.world.busState()
	if f.down {
		return errBusDown
	}
	if f.full {
		return cmp.Or(after(), errBusDown)
	}
	for _, msg := range messages {
		b.world.log.passed(b.owner.name, topic, msg.UUID)
		if dice.IntN(100) < f.loss {
			b.world.hit("bus-loss")
			b.world.judge.onPublished(topic, msg)
			continue
		}
		if f.delay > 0 {
			b.world.hit("bus-reorder")
			b.world.judge.onPublished(topic, msg)
			msg = msg.Copy()
			msg.SetContext(context.Background())
			// Each message takes its own time, so that later ones overtake it.
			time.AfterFunc(time.Duration(dice.Int64N(int64(f.delay))), func() { _ = b.world.bus.Publish(topic, msg) }) // a closed bus is one that lost it
			continue
		}
		if err := b.world.bus.Publish(topic, msg); err != nil {
			return err
		}
		b.world.judge.onPublished(topic, msg)
		if dice.IntN(100) < f.duplicate {
			b.world.hit("bus-duplicate")
			again := msg.Copy()
			again.UUID = "" // what JetStream would know as a repeat
			again.SetContext(context.Background())
			if err := b.world.bus.Publish(topic, again); err != nil {
				return err
			}
		}
	}
	return after()
}

// Close does nothing: the bus outlives the process.
func (*busPort) Close() error { return nil }

// Subscriber reads from the bus. A dead process's subscriptions end with its stop.
func (b *busPort) Subscriber(c bus.Consumer) message.Subscriber { return b.world.bus.Subscriber(c) }

func (w *world) busState() (busFaults, *rand.Rand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busFaults, rand.New(rand.NewPCG(w.random.Uint64(), 1))
}

func (w *world) bucketFor(p *process) (feed.Bucket, error) {
	if err := w.feedFault(p); err != nil {
		return nil, err
	}
	return &bucket{Bucket: w.bucket, world: w, owner: p}, nil
}

func (w *world) feedFault(p *process) error {
	if _, err := p.gate.enter(false); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busFaults.feedDown || w.busFaults.down {
		return errBusDown
	}
	return nil
}

// bucket is a process's connection to the feed.
type bucket struct {
	feed.Bucket
	world *world
	owner *process
}

func (b *bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := b.world.feedFault(b.owner); err != nil {
		return 0, err
	}
	b.world.judge.onPending(key, value)
	return b.Bucket.Put(ctx, key, value)
}

func (b *bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := b.world.feedFault(b.owner); err != nil {
		return 0, err
	}
	n, err := b.Bucket.Update(ctx, key, value, revision)
	if err == nil {
		b.world.judge.onFeed(value) // only the end of a batch is written so
	}
	return n, err
}

func (b *bucket) Purge(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	if err := b.world.feedFault(b.owner); err != nil {
		return err
	}
	return b.Bucket.Purge(ctx, key, opts...)
}

func (b *bucket) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	if err := b.world.feedFault(b.owner); err != nil {
		return nil, err
	}
	return b.Bucket.Get(ctx, key)
}

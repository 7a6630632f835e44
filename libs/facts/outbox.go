package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// drainAgain is how soon facts that are kept are published again after the bus took none.
	drainAgain = 2 * time.Second
	// settledMax is how many facts are taken out of the ConfigMap at once.
	settledMax = 64
)

// Publisher is what an outbox needs of the bus.
type Publisher interface {
	// Publish stores a message or returns an error after a short time.
	Publish(ctx context.Context, t bus.Topic, namespace, nodeGroup, id string, m proto.Message) error
}

var _ Publisher = (*bus.Publisher)(nil)

// Outbox puts facts on record. While the bus takes none they are kept in a ConfigMap, a key for each, and published from
// there. A fact may be published more than once, always with the same id. Its methods are safe for concurrent use.
type Outbox struct {
	publisher Publisher
	store     client.Writer
	live      client.Reader
	key       client.ObjectKey
	log       *slog.Logger
	// away says that the bus did not take the last fact, so that the next ones do not wait for it. kept says that
	// the ConfigMap may hold facts.
	away, kept atomic.Bool
	wake       chan struct{}
}

// NewOutbox returns an outbox that keeps facts in the ConfigMap of that name. What an earlier process left there is published by Run.
func NewOutbox(p Publisher, store client.Writer, live client.Reader, key client.ObjectKey, log *slog.Logger) *Outbox {
	o := &Outbox{publisher: p, store: store, live: live, key: key, log: log, wake: make(chan struct{}, 1)}
	o.kept.Store(true)
	return o
}

// Publish puts a fact on the bus or returns an error after a short time.
func (o *Outbox) Publish(ctx context.Context, f Fact) error {
	return o.publisher.Publish(telemetry.ContextWithTraceparent(ctx, f.Traceparent), f.Topic, f.Namespace, f.NodeGroup, f.ID, f.Message)
}

// Record returns once the facts are on record. After an error some may not be.
func (o *Outbox) Record(ctx context.Context, facts ...Fact) error {
	keep := map[string]*string{}
	for _, f := range facts {
		if !o.away.Load() {
			err := o.Publish(ctx, f)
			if err == nil {
				continue
			}
			if !o.away.Swap(true) {
				o.log.WarnContext(ctx, "facts not published; they are kept in a ConfigMap and published later", telemetry.KeyError, err)
			}
		}
		text, err := encode(f)
		if err != nil {
			return err
		}
		keep[f.ID] = &text
	}
	if len(keep) == 0 {
		return nil
	}
	err := o.patch(ctx, keep)
	if apierrors.IsNotFound(err) {
		err = o.create(ctx, keep)
	}
	// Also after an unclear answer.
	o.kept.Store(true)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	if err != nil {
		return fmt.Errorf("keep facts in ConfigMap %s: %w", o.key, err)
	}
	return nil
}

// patch sets keys of the ConfigMap, or deletes those that are nil. Patches of two replicas do not disturb each other.
func (o *Outbox) patch(ctx context.Context, data map[string]*string) error {
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	return o.store.Patch(ctx, o.configMap(), client.RawPatch(types.MergePatchType, body))
}

func (o *Outbox) create(ctx context.Context, data map[string]*string) error {
	object := o.configMap()
	object.Data = map[string]string{}
	for id, text := range data {
		object.Data[id] = *text
	}
	err := o.store.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		return o.patch(ctx, data)
	}
	return err
}

func (o *Outbox) configMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: o.key.Namespace, Name: o.key.Name}}
}

// Run publishes what is kept until ctx ends.
func (o *Outbox) Run(ctx context.Context) error {
	failing := false
	for {
		var again <-chan time.Time
		if o.kept.Load() || o.away.Load() {
			count, err := o.drain(ctx)
			if err != nil {
				again = time.After(drainAgain)
			}
			if failing && err == nil {
				o.log.InfoContext(ctx, "publishing of facts resumed", telemetry.KeyCount, count)
			}
			failing = err != nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-o.wake:
			if failing { // others are added meanwhile, and the bus is not asked for each
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(drainAgain):
				}
			}
		}
	}
}

// drain publishes what the ConfigMap holds, takes it out, and returns how much it was.
func (o *Outbox) drain(ctx context.Context) (int, error) {
	o.kept.Store(false)
	object := &corev1.ConfigMap{}
	if err := o.live.Get(ctx, o.key, object); client.IgnoreNotFound(err) != nil {
		o.kept.Store(true)
		return 0, fmt.Errorf("read ConfigMap %s: %w", o.key, err)
	}
	var failed error
	for batch := range slices.Chunk(slices.Sorted(maps.Keys(object.Data)), settledMax) {
		settled := map[string]*string{}
		for _, id := range batch {
			f, err := decode(object.Data[id])
			if err != nil {
				o.log.ErrorContext(ctx, "fact unreadable and not published", telemetry.KeyDecision, id, telemetry.KeyError, err)
				settled[id] = nil
				continue
			}
			if failed = o.Publish(ctx, f); failed != nil {
				break
			}
			settled[id] = nil
		}
		if len(settled) > 0 {
			if err := o.patch(ctx, settled); client.IgnoreNotFound(err) != nil && failed == nil {
				failed = err
			}
		}
		if failed != nil {
			o.kept.Store(true)
			return 0, failed
		}
	}
	o.away.Store(false)
	return len(object.Data), nil
}

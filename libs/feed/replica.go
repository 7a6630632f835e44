package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// SilenceMax is how long a writer may be silent before its feed is stale.
	SilenceMax = 3 * HeartbeatInterval
	// checkAfter is how long a replica takes a quiet bucket for granted.
	checkAfter = HeartbeatInterval * 3 / 2
	reopenWait = 500 * time.Millisecond
)

// ErrStale says that the feed must not be decided on: its writer is silent, or no complete batch
// was read yet. Stale means hold.
var ErrStale = errors.New("feed is stale")

// State is the cluster as of one meta record. It is not changed once made.
type State struct {
	Revision uint64
	// Changes counts the batches that brought more than a sign of life; states with the same number are equal.
	Changes    uint64
	Epoch      string
	ReceivedAt time.Time
	Items      map[scheduling.ShapeID]*scheduling.Item
	Nodes      map[string]*scheduling.Node
	Pending    map[scheduling.ShapeID]*scheduling.Pending
	DaemonSets map[string]scheduling.ShapeID
	Budgets    map[string]int
	Namespaces map[string]map[string]string
	Arriving   int
	Arrived    uint64
}

func newState() *State {
	return &State{
		Items: map[scheduling.ShapeID]*scheduling.Item{}, Nodes: map[string]*scheduling.Node{}, Pending: map[scheduling.ShapeID]*scheduling.Pending{},
		DaemonSets: map[string]scheduling.ShapeID{}, Budgets: map[string]int{}, Namespaces: map[string]map[string]string{},
	}
}

func (s *State) clone() *State {
	c := *s
	c.Items, c.Nodes, c.Pending = maps.Clone(s.Items), maps.Clone(s.Nodes), maps.Clone(s.Pending)
	c.DaemonSets, c.Budgets, c.Namespaces = maps.Clone(s.DaemonSets), maps.Clone(s.Budgets), maps.Clone(s.Namespaces)
	return &c
}

// Replica follows the feed. Its methods are safe for concurrent use.
type Replica struct {
	open    Open
	changed func()
	log     *slog.Logger

	mu    sync.Mutex
	state *State
}

// NewReplica returns a replica of the bucket that open finds. changed is called, from the
// replica's goroutine, after each batch; it must return at once.
func NewReplica(open Open, changed func(), log *slog.Logger) *Replica {
	return &Replica{open: open, changed: changed, log: log}
}

// State returns the newest complete state, or ErrStale.
func (r *Replica) State(now time.Time) (*State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == nil {
		return nil, fmt.Errorf("%w: no complete batch has been read yet", ErrStale)
	}
	if silence := now.Sub(r.state.ReceivedAt); silence > SilenceMax {
		return nil, fmt.Errorf("%w: the observer has been silent for %s", ErrStale, silence.Round(time.Second))
	}
	return r.state, nil
}

// Run follows the feed until ctx ends. It survives the bucket's absence, wipe and recreation,
// and tells when it loses the feed and finds it again.
func (r *Replica) Run(ctx context.Context) error {
	lost := false
	for ctx.Err() == nil {
		err := r.follow(ctx, func() {
			if lost {
				r.log.InfoContext(ctx, "feed read again")
			}
			lost = false
		})
		if ctx.Err() == nil && !lost && !errors.Is(err, errOtherEpoch) {
			r.log.WarnContext(ctx, "feed lost; it is read again from its start", telemetry.KeyError, err)
			lost = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(reopenWait):
		}
	}
	return nil
}

// follow reads the bucket from its start until it is not the bucket any longer.
func (r *Replica) follow(ctx context.Context, found func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kv, watcher, err := r.watch(ctx, cancel)
	if err != nil {
		return err
	}
	defer stop(watcher)
	reader := newBatchReader()
	check := time.NewTimer(checkAfter)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-check.C:
			if err := reader.check(ctx, kv); err != nil {
				return err
			}
			check.Reset(checkAfter)
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("watcher ended")
			}
			complete, err := reader.read(entry)
			if err != nil {
				return err
			}
			if !complete {
				continue
			}
			check.Reset(checkAfter)
			found()
			r.show(reader)
			r.changed()
		}
	}
}

// show makes the reader's state the newest one.
func (r *Replica) show(reader *batchReader) {
	state := reader.state.clone()
	state.ReceivedAt = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != nil {
		state.Changes = r.state.Changes
	}
	if reader.changed || r.state == nil {
		state.Changes++
	}
	reader.changed = false
	r.state = state
}

// watch opens the bucket and watches it until ctx ends, which is in openTimeout unless the watch
// has begun: a watcher ends with the context that it was made with.
func (r *Replica) watch(ctx context.Context, cancel func()) (Bucket, jetstream.KeyWatcher, error) {
	limit := time.AfterFunc(openTimeout, cancel)
	defer limit.Stop()
	kv, err := r.open(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("open feed bucket: %w", err)
	}
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("watch feed bucket: %w", err)
	}
	return kv, watcher, nil
}

// errOtherEpoch says that the bucket is another writer's, or another bucket of the same name
// that happens to number its entries as the old one would have.
var errOtherEpoch = errors.New("feed has a new epoch")

// batchReader turns the entries of a watch, in their order, into states at batch boundaries.
//
// The bucket keeps the newest record of a key only. While a reader lags behind, or reads what
// the bucket held before it came, records are replaced before it sees them: the entries have a
// gap, and up to the replacement the state lacks them. When the entry after a gap was sent, the
// bucket held every replacement, and, as it always does, one meta record. So that meta record
// may come before a replacement, and the next one cannot.
type batchReader struct {
	state *State
	// sequence is that of the last entry, metaSequence that of the last meta record.
	sequence, metaSequence uint64
	// metas counts the meta records since the last gap.
	metas int
	// changed says that a record came since the last complete state.
	changed bool
}

// newBatchReader returns a reader that has seen nothing of nothing: should the first entry be
// the bucket's very first, the first meta record is as good as the second after a gap.
func newBatchReader() *batchReader { return &batchReader{state: newState(), metas: 1} }

// read takes one entry and reports whether the state is now that of a meta record. The entry is
// nil once after those that the bucket held at first, which means nothing here.
func (b *batchReader) read(entry jetstream.KeyValueEntry) (bool, error) {
	if entry == nil {
		return false, nil
	}
	if entry.Revision() != b.sequence+1 {
		b.metas = 0
	}
	b.sequence = entry.Revision()
	if entry.Key() != keyMeta {
		b.changed = true
		return false, b.state.apply(entry.Key(), entry.Value(), entry.Operation() != jetstream.KeyValuePut)
	}
	meta := &feedv1.Meta{}
	if err := proto.Unmarshal(entry.Value(), meta); err != nil {
		return false, fmt.Errorf("decode feed meta: %w", err)
	}
	if b.state.Epoch != "" && meta.GetEpoch() != b.state.Epoch {
		return false, errOtherEpoch
	}
	b.metas++
	b.metaSequence = entry.Revision()
	b.changed = b.changed || b.state.Arriving != int(meta.GetArrivingPods()) || b.state.Arrived != meta.GetArrivedPods()
	b.state.Revision, b.state.Epoch, b.state.Arriving, b.state.Arrived = meta.GetRevision(), meta.GetEpoch(), int(meta.GetArrivingPods()), meta.GetArrivedPods()
	return b.metas > 1 && meta.GetHealthy(), nil
}

// check compares the bucket's meta record with the last one that was read. A quiet observer
// leaves it as it is; a new bucket, which the watch of the old one never shows, has another.
func (b *batchReader) check(ctx context.Context, kv Bucket) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	var sequence uint64
	entry, err := kv.Get(ctx, keyMeta)
	switch {
	case err == nil:
		sequence = entry.Revision()
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return fmt.Errorf("read feed meta: %w", err)
	}
	if sequence != b.metaSequence {
		return fmt.Errorf("batch %d did not arrive, the last one was %d", sequence, b.metaSequence)
	}
	return nil
}

// apply changes the state by one record.
func (s *State) apply(key string, body []byte, deleted bool) error {
	kind, name, _ := strings.Cut(key, ".")
	var err error
	switch kind + "." {
	case prefixShape:
		err = put(s.Items, scheduling.ShapeID(name), body, deleted, func(m *feedv1.Shape) (*scheduling.Item, error) {
			shape, err := decodeShape(m)
			if err != nil {
				return nil, err
			}
			return scheduling.NewItem(scheduling.ShapeID(name), shape), nil
		})
	case prefixNode:
		err = put(s.Nodes, name, body, deleted, sure(decodeNode))
	case prefixPending:
		err = put(s.Pending, scheduling.ShapeID(name), body, deleted, sure(decodePending))
	case prefixDaemonSet:
		err = put(s.DaemonSets, name, body, deleted, sure(func(m *feedv1.DaemonSet) scheduling.ShapeID { return scheduling.ShapeID(m.GetShape()) }))
	case prefixBudget:
		err = put(s.Budgets, name, body, deleted, sure(func(m *feedv1.Budget) int { return int(m.GetDisruptionsAllowed()) }))
	case prefixNamespace:
		err = put(s.Namespaces, name, body, deleted, sure((*feedv1.Namespace).GetLabels))
	}
	if err != nil {
		return fmt.Errorf("decode feed record %s: %w", key, err)
	}
	return nil
}

// message is a protobuf message whose pointer type is P.
type message[M any] interface {
	*M
	proto.Message
}

func put[K comparable, V any, M any, P message[M]](into map[K]V, key K, body []byte, deleted bool, decode func(P) (V, error)) error {
	if deleted {
		delete(into, key)
		return nil
	}
	m := P(new(M))
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	value, err := decode(m)
	if err != nil {
		return err
	}
	into[key] = value
	return nil
}

// sure makes a decoder of one that cannot fail.
func sure[P, V any](decode func(P) V) func(P) (V, error) {
	return func(m P) (V, error) { return decode(m), nil }
}

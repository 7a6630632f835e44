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
	reopenWait = 500 * time.Millisecond
)

// ErrStale says that the feed must not be decided on: its writer is silent, or no complete batch
// was read yet. Stale means hold.
var ErrStale = errors.New("feed is stale")

// State is the cluster as of one meta record. It is not changed once made.
type State struct {
	Revision   uint64
	Epoch      string
	ReceivedAt time.Time
	Items      map[scheduling.ShapeID]*scheduling.Item
	Nodes      map[string]*Node
	Pending    map[scheduling.ShapeID]*Pending
	DaemonSets map[string]scheduling.ShapeID
	Budgets    map[string]int
	Arriving   int
}

func newState() *State {
	return &State{
		Items: map[scheduling.ShapeID]*scheduling.Item{}, Nodes: map[string]*Node{}, Pending: map[scheduling.ShapeID]*Pending{},
		DaemonSets: map[string]scheduling.ShapeID{}, Budgets: map[string]int{},
	}
}

func (s *State) clone() *State {
	c := *s
	c.Items, c.Nodes, c.Pending = maps.Clone(s.Items), maps.Clone(s.Nodes), maps.Clone(s.Pending)
	c.DaemonSets, c.Budgets = maps.Clone(s.DaemonSets), maps.Clone(s.Budgets)
	return &c
}

// Replica follows the feed. Its methods are safe for concurrent use.
type Replica struct {
	open    func(ctx context.Context) (jetstream.KeyValue, error)
	changed func()
	log     *slog.Logger

	mu    sync.Mutex
	state *State
}

// NewReplica returns a replica of the bucket that open finds. changed is called, from the
// replica's goroutine, after each batch; it must return at once.
func NewReplica(open func(ctx context.Context) (jetstream.KeyValue, error), changed func(), log *slog.Logger) *Replica {
	return &Replica{open: open, changed: changed, log: log}
}

// State returns the newest complete state, or ErrStale.
func (r *Replica) State(now time.Time) (*State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == nil {
		return nil, fmt.Errorf("%w: no complete batch was read yet", ErrStale)
	}
	if silence := now.Sub(r.state.ReceivedAt); silence > SilenceMax {
		return nil, fmt.Errorf("%w: the observer is silent for %s", ErrStale, silence.Round(time.Second))
	}
	return r.state, nil
}

// Run follows the feed until ctx ends. It survives the bucket's absence, wipe and recreation.
func (r *Replica) Run(ctx context.Context) error {
	var last string
	for ctx.Err() == nil {
		err := r.follow(ctx)
		if err != nil && err.Error() != last && ctx.Err() == nil {
			last = err.Error()
			r.log.WarnContext(ctx, "feed is read again from its start", telemetry.KeyError, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reopenWait):
		}
	}
	return nil
}

// follow reads the bucket from its start until it goes silent.
func (r *Replica) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opening, opened := context.WithTimeout(ctx, SilenceMax)
	defer opened()
	kv, err := r.open(opening)
	if err != nil {
		return fmt.Errorf("open feed bucket: %w", err)
	}
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch feed bucket: %w", err)
	}
	defer func() { _ = watcher.Stop() }() // the subscription ends with its connection at the latest
	reader := batchReader{state: newState()}
	silence := time.NewTimer(SilenceMax)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silence.C:
			return fmt.Errorf("no batch for %s", SilenceMax)
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
			silence.Reset(SilenceMax)
			state := reader.state.clone()
			state.ReceivedAt = time.Now()
			r.mu.Lock()
			r.state = state
			r.mu.Unlock()
			r.changed()
		}
	}
}

// batchReader turns the entries of a watch, in their order, into states at batch boundaries.
type batchReader struct {
	state *State
	// initial is over once every entry that the bucket held at first was read.
	initialDone         bool
	lastMeta, lastOther uint64
	newest              *feedv1.Meta
}

// read takes one entry, nil at the end of the initial ones, and reports whether the state is now
// that of a meta record.
func (b *batchReader) read(entry jetstream.KeyValueEntry) (bool, error) {
	if entry == nil {
		b.initialDone = true
		// Records newer than the meta record belong to a batch that has not ended, and the ones
		// they replaced are gone: only the next meta record makes a complete state.
		return b.newest != nil && b.lastMeta > b.lastOther && b.adopt(), nil
	}
	if entry.Key() == keyMeta {
		meta := &feedv1.Meta{}
		if err := proto.Unmarshal(entry.Value(), meta); err != nil {
			return false, fmt.Errorf("decode feed meta: %w", err)
		}
		b.newest, b.lastMeta = meta, entry.Revision()
		return b.initialDone && meta.GetHealthy() && b.adopt(), nil
	}
	b.lastOther = entry.Revision()
	return false, b.state.apply(entry.Key(), entry.Value(), entry.Operation() != jetstream.KeyValuePut)
}

func (b *batchReader) adopt() bool {
	b.state.Revision, b.state.Epoch, b.state.Arriving = b.newest.GetRevision(), b.newest.GetEpoch(), int(b.newest.GetArrivingPods())
	return true
}

// apply changes the state by one record.
func (s *State) apply(key string, body []byte, deleted bool) error {
	kind, name, _ := strings.Cut(key, ".")
	var err error
	switch kind + "." {
	case prefixShape:
		err = put(s.Items, scheduling.ShapeID(name), body, deleted, func(m *feedv1.Shape) *scheduling.Item {
			return scheduling.NewItem(scheduling.ShapeID(name), decodeShape(m))
		})
	case prefixNode:
		err = put(s.Nodes, name, body, deleted, decodeNode)
	case prefixPending:
		err = put(s.Pending, scheduling.ShapeID(name), body, deleted, decodePending)
	case prefixDaemonSet:
		err = put(s.DaemonSets, name, body, deleted, func(m *feedv1.DaemonSet) scheduling.ShapeID { return scheduling.ShapeID(m.GetShape()) })
	case prefixBudget:
		err = put(s.Budgets, name, body, deleted, func(m *feedv1.Budget) int { return int(m.GetDisruptionsAllowed()) })
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

func put[K comparable, V any, M any, P message[M]](into map[K]V, key K, body []byte, deleted bool, decode func(P) V) error {
	if deleted {
		delete(into, key)
		return nil
	}
	m := P(new(M))
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	into[key] = decode(m)
	return nil
}

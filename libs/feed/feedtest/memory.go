// Package feedtest provides the feed's bucket within a process, and the suite that it and NATS's pass.
package feedtest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/feed"
)

// Memory is a key-value bucket in memory. It is safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	sequence uint64
	entries  map[string]*entry
	watchers map[*watcher]bool
}

var _ feed.Bucket = (*Memory)(nil)

// NewMemory returns an empty bucket.
func NewMemory() *Memory { return &Memory{entries: map[string]*entry{}, watchers: map[*watcher]bool{}} }

// Wipe makes the bucket what a new one of the same name is: empty, counting from one. As with NATS,
// the watches of the old bucket show nothing more and do not end.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sequence, m.entries = 0, map[string]*entry{}
	clear(m.watchers)
}

// Get returns the newest entry of a key, or jetstream.ErrKeyNotFound.
func (m *Memory) Get(_ context.Context, key string) (jetstream.KeyValueEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[key]; e != nil {
		return e, nil
	}
	return nil, jetstream.ErrKeyNotFound
}

// Put writes an entry and returns its number.
func (m *Memory) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return m.write(key, value), nil
}

// Update writes an entry if the newest one of the key has the number, 0 meaning that there is none;
// otherwise it returns jetstream.ErrKeyRevisionMismatch.
func (m *Memory) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	have := uint64(0)
	if e := m.entries[key]; e != nil {
		have = e.revision
	}
	if have != revision {
		return 0, jetstream.ErrKeyRevisionMismatch
	}
	return m.write(key, value), nil
}

// Purge deletes a key. Those who watch see a marker, which is forgotten at once, sooner than on NATS.
func (m *Memory) Purge(ctx context.Context, key string, _ ...jetstream.KVDeleteOpt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.sequence++
	delete(m.entries, key)
	m.show(&entry{key: key, revision: m.sequence, operation: jetstream.KeyValuePurge, created: time.Now()})
	return nil
}

// LastSequence is the number of the newest write.
func (m *Memory) LastSequence(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sequence, nil
}

// WatchAll shows what the bucket holds in the order of the writes, then nil, then every later write,
// until ctx ends. Its options choose what NATS sends over the wire; here they change nothing.
func (m *Memory) WatchAll(ctx context.Context, _ ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{updates: make(chan jetstream.KeyValueEntry), more: make(chan struct{}, 1), cancel: cancel}
	for _, e := range m.entries {
		w.queue = append(w.queue, e)
	}
	slices.SortFunc(w.queue, func(a, b jetstream.KeyValueEntry) int { return int(a.Revision()) - int(b.Revision()) })
	w.queue = append(w.queue, nil)
	w.more <- struct{}{}
	m.watchers[w] = true
	go func() {
		w.run(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, w)
	}()
	return w, nil
}

// write stores an entry. The caller holds the lock.
func (m *Memory) write(key string, value []byte) uint64 {
	m.sequence++
	e := &entry{key: key, value: bytes.Clone(value), revision: m.sequence, operation: jetstream.KeyValuePut, created: time.Now()}
	m.entries[key] = e
	m.show(e)
	return m.sequence
}

// show queues an entry for everybody who watches. The caller holds the lock.
func (m *Memory) show(e *entry) {
	for w := range m.watchers {
		w.add(e)
	}
}

type entry struct {
	key       string
	value     []byte
	revision  uint64
	operation jetstream.KeyValueOp
	created   time.Time
}

func (*entry) Bucket() string                    { return "memory" }
func (e *entry) Key() string                     { return e.key }
func (e *entry) Value() []byte                   { return e.value }
func (e *entry) Revision() uint64                { return e.revision }
func (e *entry) Created() time.Time              { return e.created }
func (*entry) Delta() uint64                     { return 0 }
func (e *entry) Operation() jetstream.KeyValueOp { return e.operation }

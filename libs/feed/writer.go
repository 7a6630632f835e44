package feed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/id"
)

// HeartbeatInterval is how often a writer ends an empty batch, so that readers can tell a quiet
// cluster from a dead writer.
const HeartbeatInterval = 2 * time.Second

const (
	// operationTimeout bounds one exchange with the server: an answer that was on its way when
	// the server ended never comes.
	operationTimeout = 2 * time.Second
	// openTimeout bounds the opening of the bucket and the listing of its keys.
	openTimeout = 5 * time.Second
	// markerTTL is how long the bucket remembers that a record was deleted, far longer than a
	// reader may lag behind before it starts over.
	markerTTL = time.Minute
)

// ErrSuperseded says that somebody else wrote the feed, or that it was wiped. The next Write
// writes everything again.
var ErrSuperseded = errors.New("feed was wiped or written by another observer")

// Writer keeps the bucket equal to the contents it is given. It is not safe for concurrent use.
type Writer struct {
	open Open

	kv       Bucket
	epoch    string
	revision uint64
	// sequence is that of our last write. The bucket numbers all writes, so a gap before the
	// next one is the work of somebody else; it may be a record that we believe to be different.
	sequence uint64
	// metaSequence is that of our last meta record; the bucket has no other as long as it is ours.
	metaSequence uint64
	// written is what the bucket holds, or will when the batch has ended.
	written map[string]*writtenRecord
	// batch numbers the calls of Write, so that records which are no longer there are found.
	batch uint64
}

// writtenRecord is one record as it was written last. A zero sum is that of one that somebody else wrote.
type writtenRecord struct {
	source any
	sum    [sha256.Size]byte
	// body is kept until it is written.
	body  []byte
	batch uint64
}

// NewWriter returns a writer to the bucket that open finds.
func NewWriter(open Open) *Writer {
	return &Writer{open: open}
}

// Write brings the bucket to the contents and ends the batch. Only differences are encoded and
// written; after an error or a wipe everything is, under a new epoch.
func (w *Writer) Write(ctx context.Context, c *Contents) error {
	if err := w.write(ctx, c); err != nil {
		w.kv = nil
		return err
	}
	return nil
}

func (w *Writer) write(ctx context.Context, c *Contents) error {
	if w.kv == nil {
		if err := w.reopen(ctx); err != nil {
			return err
		}
	}
	changed, gone, err := w.compare(c)
	if err != nil {
		return err
	}
	for _, key := range changed {
		record := w.written[key]
		if err := w.put(ctx, key, record.body); err != nil {
			return fmt.Errorf("write feed record %s: %w", key, err)
		}
		record.body = nil
	}
	for _, key := range gone {
		if err := w.delete(ctx, key); err != nil {
			return fmt.Errorf("delete feed record %s: %w", key, err)
		}
		delete(w.written, key)
	}
	return w.end(ctx, c)
}

// compare notes the contents as written and returns, in order, the keys for which that is not so yet.
func (w *Writer) compare(c *Contents) (changed, gone []string, err error) {
	w.batch++
	err = c.visit(func(key string, source any, encode func() proto.Message) error {
		record := w.written[key]
		if record == nil {
			record = &writtenRecord{}
			w.written[key] = record
		}
		record.batch = w.batch
		if record.source == source {
			return nil
		}
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(encode())
		if err != nil {
			return fmt.Errorf("encode feed record %s: %w", key, err)
		}
		if sum := sha256.Sum256(body); record.sum != sum {
			changed = append(changed, key)
			record.body, record.sum = body, sum
		}
		record.source = source
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for key, record := range w.written {
		if record.batch != w.batch {
			gone = append(gone, key)
		}
	}
	slices.Sort(changed)
	slices.Sort(gone)
	return changed, gone, nil
}

func (w *Writer) put(ctx context.Context, key string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	sequence, err := w.kv.Put(ctx, key, body)
	if err != nil {
		return err
	}
	return w.advance(sequence)
}

// delete leaves a marker for readers, which goes by itself; otherwise the bucket would grow by
// one for every name that the cluster ever had.
func (w *Writer) delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if err := w.kv.Purge(ctx, key, jetstream.PurgeTTL(markerTTL)); err != nil {
		return err
	}
	return w.advance(w.sequence + 1) // the next record tells whether it is so
}

// end writes the meta record on the condition that the previous one is still ours.
func (w *Writer) end(ctx context.Context, c *Contents) error {
	body, err := proto.Marshal(&feedv1.Meta{
		Revision: w.revision + 1, Epoch: w.epoch, Healthy: c.Trouble == "", Message: c.Trouble, ArrivingPods: bounded(c.Arriving), ArrivedPods: c.Arrived,
	})
	if err != nil {
		return fmt.Errorf("encode feed meta: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	sequence, err := w.kv.Update(ctx, keyMeta, body, w.metaSequence)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = errors.Join(ErrSuperseded, err)
	}
	if err == nil {
		err = w.advance(sequence)
	}
	if err != nil {
		return fmt.Errorf("end feed batch: %w", err)
	}
	w.revision++
	w.metaSequence = sequence
	return nil
}

// advance notes a write of ours, or returns ErrSuperseded when somebody else wrote before it.
func (w *Writer) advance(sequence uint64) error {
	if sequence != w.sequence+1 {
		return fmt.Errorf("%w: its write number is %d, not %d", ErrSuperseded, sequence, w.sequence+1)
	}
	w.sequence = sequence
	return nil
}

// reopen starts a new epoch on whatever the bucket holds now.
func (w *Writer) reopen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	kv, err := w.open(ctx)
	if err != nil {
		return fmt.Errorf("open feed bucket: %w", err)
	}
	w.epoch, w.written, w.metaSequence = id.New(time.Now()), map[string]*writtenRecord{}, 0
	// The number comes first, so that what is written during the listing is noticed.
	if w.sequence, err = kv.LastSequence(ctx); err != nil {
		return fmt.Errorf("look up feed bucket: %w", err)
	}
	if err := w.list(ctx, kv); err != nil {
		return fmt.Errorf("list feed bucket: %w", err)
	}
	if w.metaSequence > 0 {
		entry, err := kv.Get(ctx, keyMeta)
		if err != nil {
			return fmt.Errorf("read feed meta: %w", err)
		}
		var meta feedv1.Meta
		// An unreadable meta record only costs the continuity of the revision.
		if err := proto.Unmarshal(entry.Value(), &meta); err == nil {
			w.revision = max(w.revision, meta.GetRevision())
		}
	}
	w.kv = kv
	return nil
}

// list notes the keys that the bucket holds. What is under them is forgotten, so that every
// record is written under the new epoch.
func (w *Writer) list(ctx context.Context, kv Bucket) error {
	watcher, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes(), jetstream.MetaOnly())
	if err != nil {
		return err
	}
	defer stop(watcher)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errors.New("watcher ended")
			case entry == nil:
				return nil
			case entry.Key() == keyMeta:
				w.metaSequence = entry.Revision()
			default:
				w.written[entry.Key()] = &writtenRecord{}
			}
		}
	}
}

// stop ends a watcher. Its goroutine may be about to hand over an entry, and would wait for
// ever where nobody takes it.
func stop(watcher jetstream.KeyWatcher) {
	_ = watcher.Stop() // it fails only when the watcher has ended
	for range watcher.Updates() {
		continue
	}
}

// Revision is the revision of the last batch.
func (w *Writer) Revision() uint64 { return w.revision }

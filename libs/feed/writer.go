package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
)

// HeartbeatInterval is how often a writer ends an empty batch, so that readers can tell a quiet
// cluster from a dead writer.
const HeartbeatInterval = 2 * time.Second

// ErrSuperseded says that somebody else wrote the feed, or that it was wiped. The next Write
// writes everything again.
var ErrSuperseded = errors.New("feed was wiped or written by another observer")

// Writer keeps the bucket equal to the contents it is given. It is not safe for concurrent use.
type Writer struct {
	open func(ctx context.Context) (jetstream.KeyValue, error)

	kv       jetstream.KeyValue
	epoch    string
	revision uint64
	// metaSequence is the sequence of our last meta record; a bucket that has another one is not
	// as we left it.
	metaSequence uint64
	written      map[string][]byte
}

// NewWriter returns a writer to the bucket that open finds.
func NewWriter(open func(ctx context.Context) (jetstream.KeyValue, error)) *Writer {
	return &Writer{open: open}
}

// OpenBucket finds a bucket by name; it never creates one.
func OpenBucket(js jetstream.JetStream, bucket string) func(ctx context.Context) (jetstream.KeyValue, error) {
	return func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, bucket) }
}

// Write brings the bucket to the contents and ends the batch. Only differences are written; after
// an error or a wipe everything is, under a new epoch.
func (w *Writer) Write(ctx context.Context, c *Contents) error {
	records, err := c.records()
	if err != nil {
		return err
	}
	if err := w.write(ctx, records, c.Arriving); err != nil {
		w.kv = nil
		return err
	}
	return nil
}

func (w *Writer) write(ctx context.Context, records map[string][]byte, arriving int) error {
	if w.kv == nil {
		if err := w.reopen(ctx); err != nil {
			return err
		}
	}
	changed := make([]string, 0, 16)
	for key, body := range records {
		if old := w.written[key]; old == nil || !bytes.Equal(old, body) {
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
	for _, key := range changed {
		if _, err := w.kv.Put(ctx, key, records[key]); err != nil {
			return fmt.Errorf("write feed record %s: %w", key, err)
		}
		w.written[key] = records[key]
	}
	for _, key := range slices.Sorted(maps.Keys(w.written)) {
		if _, ok := records[key]; !ok {
			if err := w.kv.Delete(ctx, key); err != nil {
				return fmt.Errorf("delete feed record %s: %w", key, err)
			}
			delete(w.written, key)
		}
	}
	return w.end(ctx, arriving)
}

// end writes the meta record on the condition that the previous one is still ours.
func (w *Writer) end(ctx context.Context, arriving int) error {
	body, err := proto.Marshal(&feedv1.Meta{
		Revision: w.revision + 1, Epoch: w.epoch, WrittenAt: timestamppb.Now(), Healthy: true,
		ArrivingPods: int32(min(arriving, 1<<30)),
	})
	if err != nil {
		return fmt.Errorf("encode feed meta: %w", err)
	}
	sequence, err := w.kv.Update(ctx, keyMeta, body, w.metaSequence)
	if err != nil {
		if errors.Is(err, jetstream.ErrKeyExists) || strings.Contains(err.Error(), "wrong last sequence") {
			return fmt.Errorf("end feed batch: %w", errors.Join(ErrSuperseded, err))
		}
		return fmt.Errorf("end feed batch: %w", err)
	}
	w.revision++
	w.metaSequence = sequence
	return nil
}

// reopen starts a new epoch on whatever the bucket holds now.
func (w *Writer) reopen(ctx context.Context) error {
	kv, err := w.open(ctx)
	if err != nil {
		return fmt.Errorf("open feed bucket: %w", err)
	}
	w.epoch, w.written, w.metaSequence = ulid.Make().String(), map[string][]byte{}, 0
	watcher, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("list feed bucket: %w", err)
	}
	defer func() { _ = watcher.Stop() }() // the listing is complete or the write fails; nothing is lost
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("list feed bucket: %w", ctx.Err())
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("list feed bucket: watcher ended")
			}
			if entry == nil {
				w.kv = kv
				return nil
			}
			if entry.Key() == keyMeta {
				w.metaSequence = entry.Revision()
				var meta feedv1.Meta
				// An unreadable meta record only costs the continuity of the revision.
				if err := proto.Unmarshal(entry.Value(), &meta); err == nil {
					w.revision = max(w.revision, meta.GetRevision())
				}
				continue
			}
			// The old body is forgotten so that every record is written under the new epoch.
			w.written[entry.Key()] = nil
		}
	}
}

// Revision is the revision of the last batch.
func (w *Writer) Revision() uint64 { return w.revision }

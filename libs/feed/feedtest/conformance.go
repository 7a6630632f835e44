package feedtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/feed"
)

// patience is how long an entry may take on a slow machine.
const patience = time.Minute

// Conformance holds a bucket to what the feed relies on. empty returns a bucket without entries.
func Conformance(t *testing.T, empty func(t *testing.T) feed.Bucket) {
	cases := map[string]func(t *testing.T, b feed.Bucket){
		"WritesAreNumbered": writesAreNumbered,
		"UpdateIsGuarded":   updateIsGuarded,
		"PurgeDeletes":      purgeDeletes,
		"WatchShowsAll":     watchShowsAll,
		"WatchEnds":         watchEnds,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, empty(t)) })
	}
}

func writesAreNumbered(t *testing.T, b feed.Bucket) {
	for want := uint64(1); want <= 3; want++ {
		if got := put(t, b, "node.a", "v"); got != want {
			t.Errorf("write %d has number %d", want, got)
		}
	}
	if err := b.Purge(t.Context(), "node.a", jetstream.PurgeTTL(time.Minute)); err != nil {
		t.Fatal(err)
	}
	last, err := b.LastSequence(t.Context())
	if err != nil || last != 4 {
		t.Errorf("after three writes and a deletion the last number is %d, %v", last, err)
	}
	if got := put(t, b, "node.b", "v"); got != 5 {
		t.Errorf("the write after a deletion has number %d", got)
	}
}

func updateIsGuarded(t *testing.T, b feed.Bucket) {
	first, err := b.Update(t.Context(), "meta", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, revision := range map[string]uint64{"none": 0, "later": first + 1} {
		if _, err := b.Update(t.Context(), "meta", []byte("2"), revision); !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			t.Errorf("update on revision %s: %v", name, err)
		}
	}
	if _, err := b.Update(t.Context(), "meta", []byte("2"), first); err != nil {
		t.Error(err)
	}
	e, err := b.Get(t.Context(), "meta")
	if err != nil || string(e.Value()) != "2" || e.Revision() != first+1 {
		t.Errorf("the entry is %v, %v", e, err)
	}
}

func purgeDeletes(t *testing.T, b feed.Bucket) {
	put(t, b, "node.a", "v")
	if err := b.Purge(t.Context(), "node.a", jetstream.PurgeTTL(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), "node.a"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("a deleted key: %v", err)
	}
	if _, err := b.Get(t.Context(), "node.never"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("a key that never was: %v", err)
	}
}

// watchShowsAll checks the order, that replaced entries are left out, the nil in between, and markers.
func watchShowsAll(t *testing.T, b feed.Bucket) {
	put(t, b, "node.a", "1")
	put(t, b, "node.b", "1")
	put(t, b, "node.a", "2")
	w, err := b.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop() //nolint:errcheck // it fails only when the watcher has ended
	got := []string{next(t, w), next(t, w), next(t, w)}
	put(t, b, "node.c", "1")
	if err := b.Purge(t.Context(), "node.c", jetstream.PurgeTTL(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got = append(got, next(t, w), next(t, w))
	want := []string{"2 node.b=1", "3 node.a=2", "nil", "4 node.c=1", "5 node.c deleted"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func watchEnds(t *testing.T, b feed.Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	w, err := b.WatchAll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for {
		select {
		case _, ok := <-w.Updates():
			if !ok {
				return
			}
		case <-time.After(patience):
			t.Fatal("the watch outlives its context")
		}
	}
}

func put(t *testing.T, b feed.Bucket, key, value string) uint64 {
	t.Helper()
	revision, err := b.Put(t.Context(), key, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func next(t *testing.T, w jetstream.KeyWatcher) string {
	t.Helper()
	select {
	case e := <-w.Updates():
		switch {
		case e == nil:
			return "nil"
		case e.Operation() != jetstream.KeyValuePut:
			return fmt.Sprintf("%d %s deleted", e.Revision(), e.Key())
		}
		return fmt.Sprintf("%d %s=%s", e.Revision(), e.Key(), e.Value())
	case <-time.After(patience):
		t.Fatal("the watch shows nothing")
	}
	return ""
}

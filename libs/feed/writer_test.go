package feed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// nodes makes contents of nodes that have so many cores each.
func nodes(cores map[string]int64) *feed.Contents {
	c := &feed.Contents{Nodes: map[string]*scheduling.Node{}}
	for name, n := range cores {
		c.Nodes[name] = &scheduling.Node{Name: name, Allocatable: scheduling.Resources{corev1.ResourceCPU: 1000 * n}}
	}
	return c
}

// bucket is the feed's stream: how many writes it has seen, and what it holds.
func bucket(t *testing.T, js jetstream.JetStream) jetstream.StreamState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := js.Stream(ctx, "KV_"+bus.FeedBucket)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State
}

func TestOnlyDifferencesAreWritten(t *testing.T) {
	_, js := startServer(t)
	writer := newWriter(js)
	steps := []struct {
		why    string
		nodes  map[string]int64
		writes uint64 // the meta record included
	}{
		{"the first batch is everything", map[string]int64{"a": 1, "b": 2, "c": 3}, 4},
		{"nothing has changed", map[string]int64{"a": 1, "b": 2, "c": 3}, 1},
		{"one has changed", map[string]int64{"a": 1, "b": 4, "c": 3}, 2},
		{"one is new, one is gone", map[string]int64{"a": 1, "b": 4, "d": 5}, 3},
		{"one has come back", map[string]int64{"a": 1, "b": 4, "c": 3, "d": 5}, 2},
	}
	before := uint64(0)
	for i, step := range steps {
		write(t, writer, nodes(step.nodes))
		after := bucket(t, js).LastSeq
		if got := after - before; got != step.writes {
			t.Errorf("%s: %d writes, want %d", step.why, got, step.writes)
		}
		if got := writer.Revision(); got != uint64(i+1) {
			t.Errorf("%s: revision %d, want %d", step.why, got, i+1)
		}
		before = after
	}
}

// TestNewWriterTakesOver checks that a writer which finds the feed of another continues its
// revisions, and leaves nothing of what is no longer there.
func TestNewWriterTakesOver(t *testing.T) {
	_, js := startServer(t)
	first, second := newWriter(js), newWriter(js)
	replica := follow(t, js, discard, nil)
	write(t, first, nodes(map[string]int64{"a": 1, "stale": 2}))
	write(t, first, nodes(map[string]int64{"a": 1, "stale": 2}))
	old := replica.awaitRevision(t, first, nodes(map[string]int64{"a": 1, "stale": 2}))

	c := nodes(map[string]int64{"a": 1, "b": 1})
	write(t, second, c)
	if got, want := second.Revision(), first.Revision()+1; got != want {
		t.Errorf("the second writer's first revision is %d, want %d", got, want)
	}
	state := replica.awaitRevision(t, second, c)
	if state.Epoch == old.Epoch {
		t.Error("two writers have the same epoch")
	}
	if len(state.Nodes) != 2 || state.Nodes["a"] == nil || state.Nodes["b"] == nil {
		t.Errorf("after the take-over the nodes are %v", state.Nodes)
	}
}

func TestTwoWriters(t *testing.T) {
	_, js := startServer(t)
	first, second := newWriter(js), newWriter(js)
	a, b := nodes(map[string]int64{"a": 1}), nodes(map[string]int64{"a": 2})
	write(t, first, a)
	write(t, second, b)
	if err := first.Write(t.Context(), a); !errors.Is(err, feed.ErrSuperseded) {
		t.Errorf("a superseded writer ends an empty batch: %v", err)
	}
	// It recovers and supersedes the other one.
	write(t, first, a)
	write(t, first, a)
	if err := second.Write(t.Context(), nodes(map[string]int64{"c": 3})); !errors.Is(err, feed.ErrSuperseded) {
		t.Errorf("a superseded writer writes a record: %v", err)
	}
	write(t, second, b)
}

// TestForeignRecordIsNoticed has somebody change a record without ending a batch, such as a
// writer that lost its Lease in the middle of one.
func TestForeignRecordIsNoticed(t *testing.T) {
	_, js := startServer(t)
	writer, c := newWriter(js), nodes(map[string]int64{"a": 1})
	replica := follow(t, js, discard, nil)
	write(t, writer, c)
	kv, err := feed.OpenBucket(js, bus.FeedBucket)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"node.a", "node.zombie"} {
		if _, err := kv.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Write(t.Context(), c); !errors.Is(err, feed.ErrSuperseded) {
		t.Errorf("a foreign record goes unnoticed: %v", err)
	}
	write(t, writer, c)
	state := replica.awaitRevision(t, writer, c)
	if len(state.Nodes) != 1 || state.Nodes["a"].Allocatable[corev1.ResourceCPU] != 1000 {
		t.Errorf("the nodes are %v", state.Nodes)
	}
}

func TestDeletionMarkersGoByThemselves(t *testing.T) {
	_, js := startServer(t)
	writer := newWriter(js)
	write(t, writer, nodes(map[string]int64{"a": 1, "b": 2}))
	write(t, writer, nodes(map[string]int64{"a": 1}))
	stream, err := js.Stream(t.Context(), "KV_"+bus.FeedBucket)
	if err != nil {
		t.Fatal(err)
	}
	marker, err := stream.GetLastMsgForSubject(t.Context(), "$KV."+bus.FeedBucket+".node.b")
	if err != nil {
		t.Fatal(err)
	}
	if ttl, err := time.ParseDuration(marker.Header.Get(jetstream.MsgTTLHeader)); err != nil || ttl < feed.SilenceMax {
		t.Errorf("the marker of a deletion lives for %q", marker.Header.Get(jetstream.MsgTTLHeader))
	}
}

func TestWriteWithoutBucket(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	writer, c := newWriter(js), nodes(map[string]int64{"a": 1})
	if err := writer.Write(t.Context(), c); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("without a bucket: %v", err)
	}
	provision(t, js)
	write(t, writer, c)
}

// TestWriteEndsWithoutServer checks that a write comes back by itself, whatever the caller's
// context: the observer would hang for ever otherwise.
func TestWriteEndsWithoutServer(t *testing.T) {
	server, js := startServer(t)
	writer, c := newWriter(js), nodes(map[string]int64{"a": 1})
	write(t, writer, c)
	server.Stop()
	for range 2 { // an open writer, and one that opens
		done := make(chan error, 1)
		go func() { done <- writer.Write(context.Background(), c) }()
		select {
		case err := <-done:
			if err == nil {
				t.Error("written without a server")
			}
		case <-time.After(patience):
			t.Fatal("write hangs")
		}
	}
}

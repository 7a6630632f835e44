package feed_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	corev1 "k8s.io/api/core/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// patience is how long a condition may take on a slow machine.
const patience = time.Minute

var discard = slog.New(slog.DiscardHandler)

// startServer starts a server that has the feed's bucket.
func startServer(t *testing.T) (*natstest.Server, jetstream.JetStream) {
	t.Helper()
	server := natstest.StartServer(t)
	js := server.Connect()
	provision(t, js)
	return server, js
}

func provision(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bus.Provision(ctx, js, nil); err != nil {
		t.Fatal(err)
	}
}

func newWriter(js jetstream.JetStream) *feed.Writer {
	return feed.NewWriter(feed.OpenBucket(js, bus.FeedBucket))
}

func write(t *testing.T, w *feed.Writer, c *feed.Contents) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.Write(ctx, c); err != nil {
		t.Fatal(err)
	}
}

// writeSoon writes until it succeeds, as the observer does.
func writeSoon(t *testing.T, w *feed.Writer, c *feed.Contents) {
	t.Helper()
	var err error
	await(t, "feed is written", func() bool {
		err = w.Write(t.Context(), c)
		return err == nil
	})
}

// follower is a running replica and the states that it showed.
type follower struct {
	*feed.Replica

	mu     sync.Mutex
	states []*feed.State
}

// follow runs a replica until the test ends. check, if any, judges each state.
func follow(t *testing.T, js jetstream.JetStream, log *slog.Logger, check func(*feed.State)) *follower {
	t.Helper()
	f := &follower{}
	f.Replica = feed.NewReplica(feed.OpenBucket(js, bus.FeedBucket), func() {
		state, err := f.State(time.Now())
		if err != nil {
			t.Errorf("state of a batch that has just ended: %v", err)
			return
		}
		if check != nil {
			check(state)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.states = append(f.states, state)
	}, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("replica: %v", err)
			}
		case <-time.After(patience):
			t.Error("replica does not stop")
		}
	})
	return f
}

// last is the newest state that was shown, nil when there is none.
func (f *follower) last() *feed.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.states) == 0 {
		return nil
	}
	return f.states[len(f.states)-1]
}

// awaitRevision waits for a state of the writer's last batch or a later one. Meanwhile the
// writer ends empty batches, as the observer does.
func (f *follower) awaitRevision(t *testing.T, w *feed.Writer, c *feed.Contents) *feed.State {
	t.Helper()
	want := w.Revision()
	await(t, "replica shows the batch", func() bool {
		if last := f.last(); last != nil && last.Revision >= want {
			return true
		}
		if err := w.Write(t.Context(), c); err != nil && !errors.Is(err, feed.ErrSuperseded) {
			t.Logf("write: %v", err)
		}
		return false
	})
	return f.last()
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: still not so after %s", what, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// shape makes a shape that requests so many millicores.
func shape(millicores int64) *scheduling.Shape {
	return &scheduling.Shape{Requests: scheduling.Resources{corev1.ResourceCPU: millicores, corev1.ResourcePods: 1}}
}

// encode is EncodeShape without its error.
func encode(t testing.TB, s *scheduling.Shape) (scheduling.ShapeID, *feedv1.Shape) {
	t.Helper()
	id, record, err := feed.EncodeShape(s)
	if err != nil {
		t.Fatal(err)
	}
	return id, record
}

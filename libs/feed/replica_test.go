package feed_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry/telemetrytest"
)

// TestPodsAreNeitherDoubledNorLost moves pods between waiting and nodes as fast as it can,
// while replicas come and go: each state that one shows has every pod once, and is that of one
// batch.
func TestPodsAreNeitherDoubledNorLost(t *testing.T) {
	const pods, nodeCount, batches = 60, 12, 400
	_, js := startServer(t)
	random := rand.New(rand.NewPCG(1, 2))
	id, record := encode(t, shape(100))
	c := &feed.Contents{
		Shapes: map[scheduling.ShapeID]*feedv1.Shape{id: record}, Nodes: map[string]*scheduling.Node{},
		Pending: map[scheduling.ShapeID]*scheduling.Pending{id: {Count: pods}},
	}
	place := func(node string, count int) {
		c.Nodes[node] = &scheduling.Node{Name: node, Pods: map[scheduling.ShapeID]int{id: count}}
	}
	for i := range nodeCount {
		place(fmt.Sprintf("node-%d", i), 0)
	}
	check := func(s *feed.State) {
		found := 0
		if p := s.Pending[id]; p != nil {
			found = p.Count
		}
		for _, n := range s.Nodes {
			found += n.Pods[id]
		}
		if found != pods || len(s.Nodes) != nodeCount || s.Arriving != int(s.Revision) {
			t.Errorf("revision %d shows %d of %d pods on %d of %d nodes, of batch %d", s.Revision, found, pods, len(s.Nodes), nodeCount, s.Arriving)
		}
	}
	writer := newWriter(js)
	var replicas []*follower
	for batch := range batches {
		// Some pods move from where they are to a node, or back to waiting.
		waiting := 0
		if p := c.Pending[id]; p != nil {
			waiting = p.Count
		}
		from, to := fmt.Sprintf("node-%d", random.IntN(nodeCount)), fmt.Sprintf("node-%d", random.IntN(nodeCount))
		if moved := c.Nodes[from].Pods[id]; moved > 0 && random.IntN(2) == 0 {
			place(from, 0)
			waiting += moved
		} else if waiting > 0 {
			moved := 1 + random.IntN(waiting)
			place(to, c.Nodes[to].Pods[id]+moved)
			waiting -= moved
		}
		delete(c.Pending, id)
		if waiting > 0 {
			c.Pending[id] = &scheduling.Pending{Count: waiting}
		}
		c.Arriving = batch + 1 // the revision of this batch
		write(t, writer, c)
		if batch%50 == 0 {
			replicas = append(replicas, follow(t, js, discard, check))
		}
	}
	for _, replica := range replicas {
		await(t, "replica shows a late batch", func() bool {
			c.Arriving = int(writer.Revision()) + 1
			write(t, writer, c)
			last := replica.last()
			return last != nil && last.Revision >= batches
		})
	}
}

func TestStateIsStale(t *testing.T) {
	_, js := startServer(t)
	writer, c := newWriter(js), nodes(map[string]int64{"a": 1})
	replica := follow(t, js, discard, nil)
	if _, err := replica.State(time.Now()); !errors.Is(err, feed.ErrStale) {
		t.Errorf("before the first batch: %v", err)
	}
	write(t, writer, c)
	state := replica.awaitRevision(t, writer, c)
	for why, at := range map[string]struct {
		now   time.Time
		stale bool
	}{
		"a batch has just ended":               {state.ReceivedAt, false},
		"the observer may be a little late":    {state.ReceivedAt.Add(feed.SilenceMax), false},
		"the observer is silent":               {state.ReceivedAt.Add(feed.SilenceMax + time.Second), true},
		"the clock was set back in the middle": {state.ReceivedAt.Add(-time.Second), false},
	} {
		if _, err := replica.State(at.now); errors.Is(err, feed.ErrStale) != at.stale {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// TestFeedComesBack takes the bucket away in several ways: once somebody has made it again, the
// writer refills it under a new epoch and the replica shows it.
func TestFeedComesBack(t *testing.T) {
	cases := map[string]struct {
		why  string
		away func(t *testing.T, s *natstest.Server)
	}{
		"Restarted": {
			why: "a bucket in memory does not outlive even an orderly restart",
			away: func(t *testing.T, s *natstest.Server) {
				s.Stop()
				s.Start()
				provision(t, s.Connect())
			},
		},
		"Wiped": {
			why: "all streams are gone",
			away: func(t *testing.T, s *natstest.Server) {
				s.Stop()
				s.Wipe()
				s.Start()
				provision(t, s.Connect())
			},
		},
		"Recreated": {
			why: "the connection does not even notice",
			away: func(t *testing.T, s *natstest.Server) {
				js := s.Connect()
				if err := js.DeleteKeyValue(t.Context(), bus.FeedBucket); err != nil {
					t.Fatal(err)
				}
				provision(t, js)
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server, js := startServer(t)
			var log telemetrytest.Journal
			reading := server.Connect()
			replica := follow(t, reading, slog.New(slog.NewTextHandler(&log, nil)), nil)
			writer, contents := newWriter(js), nodes(map[string]int64{"a": 1, "b": 2})
			write(t, writer, contents)
			before := replica.awaitRevision(t, writer, contents)

			c.away(t, server)
			contents = nodes(map[string]int64{"a": 3})
			writeSoon(t, writer, contents)
			after := replica.awaitRevision(t, writer, contents)
			if after.Epoch == before.Epoch || after.Revision <= before.Revision {
				t.Errorf("%s: epoch %s, revision %d after epoch %s, revision %d", c.why, after.Epoch, after.Revision, before.Epoch, before.Revision)
			}
			if len(after.Nodes) != 1 || after.Nodes["a"] == nil {
				t.Errorf("%s: nodes are %v", c.why, after.Nodes)
			}
			if got := reading.Conn().NumSubscriptions(); got > 2 { // the watch, and the answers to requests
				t.Errorf("%s: %d subscriptions are left", c.why, got)
			}
			if lost, found := log.Count("feed lost"), log.Count("feed read again"); lost > 1 || found != lost {
				t.Errorf("%s: told %d times that the feed is lost, and %d times that it is back", c.why, lost, found)
			}
		})
	}
}

// TestReplicaWaitsForBucket starts a replica before the bucket exists.
func TestReplicaWaitsForBucket(t *testing.T) {
	js := natstest.StartServer(t).Connect()
	var log telemetrytest.Journal
	replica := follow(t, js, slog.New(slog.NewTextHandler(&log, nil)), nil)
	await(t, "replica tells that the bucket is missing", func() bool { return log.Count("feed lost") == 1 })
	provision(t, js)
	writer, c := newWriter(js), nodes(map[string]int64{"a": 1})
	write(t, writer, c)
	replica.awaitRevision(t, writer, c)
	if lost, found := log.Count("feed lost"), log.Count("feed read again"); lost != 1 || found != 1 {
		t.Errorf("told %d times that the feed is lost, and %d times that it is back", lost, found)
	}
}

// TestStateIsNotChanged keeps a state while the feed moves on.
func TestStateIsNotChanged(t *testing.T) {
	_, js := startServer(t)
	replica := follow(t, js, discard, nil)
	writer, c := newWriter(js), nodes(map[string]int64{"a": 1})
	write(t, writer, c)
	kept := replica.awaitRevision(t, writer, c)
	revision := kept.Revision
	c = nodes(map[string]int64{"b": 1})
	write(t, writer, c)
	replica.awaitRevision(t, writer, c)
	if kept.Revision != revision || len(kept.Nodes) != 1 || kept.Nodes["a"] == nil {
		t.Errorf("an old state has become revision %d with nodes %v", kept.Revision, kept.Nodes)
	}
}

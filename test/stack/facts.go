package stack

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

const (
	// streamPoll is how often the stream is looked for, and looked at for being a new one.
	streamPoll = 500 * time.Millisecond
	callWait   = 5 * time.Second
)

// facts remembers the decision records on the bus.
type facts struct {
	conn *nats.Conn
	js   jetstream.JetStream

	mu sync.Mutex
	// streams is how many streams were read: another one each time that NATS comes back empty.
	streams int
	records []*busv1.DecisionRecord
	seen    map[string]bool
	tell    []func(*busv1.DecisionRecord)
}

func newFacts(url string) (*facts, error) {
	conn, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(streamPoll))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return &facts{conn: conn, js: js, seen: map[string]bool{}}, nil
}

// run reads the stream from its beginning, and again when NATS came back empty: what an ordered
// consumer knows of its place is worthless then.
func (f *facts) run(ctx context.Context) {
	defer f.conn.Close()
	var consuming jetstream.ConsumeContext
	var born time.Time
	ticker := time.NewTicker(streamPoll)
	defer ticker.Stop()
	for {
		call, cancel := context.WithTimeout(ctx, callWait)
		if stream, err := f.js.Stream(call, bus.StreamFacts); err == nil && !stream.CachedInfo().Created.Equal(born) {
			if consuming != nil {
				consuming.Stop()
				consuming = nil
			}
			consumer, err := stream.OrderedConsumer(call, jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.TopicDecision.Filter()}})
			if err == nil {
				if consuming, err = consumer.Consume(f.see); err == nil {
					born = stream.CachedInfo().Created
					f.mu.Lock()
					f.streams++
					f.mu.Unlock()
				}
			}
		}
		cancel()
		select {
		case <-ctx.Done():
			if consuming != nil {
				consuming.Stop()
			}
			return
		case <-ticker.C:
		}
	}
}

func (f *facts) see(msg jetstream.Msg) {
	record := &busv1.DecisionRecord{}
	if proto.Unmarshal(msg.Data(), record) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[record.GetId()] {
		return
	}
	f.seen[record.GetId()] = true
	f.records = append(f.records, record)
	for _, tell := range f.tell {
		tell(record)
	}
}

// Decisions returns the decision records on the bus so far, oldest first.
func (s *Stack) Decisions() []*busv1.DecisionRecord {
	s.facts.mu.Lock()
	defer s.facts.mu.Unlock()
	return slices.Clone(s.facts.records)
}

// StreamsSeen is how many streams of facts were read so far: another one each time that NATS came back empty.
func (s *Stack) StreamsSeen() int {
	s.facts.mu.Lock()
	defer s.facts.mu.Unlock()
	return s.facts.streams
}

// OnDecision calls tell with every later decision record, one after the other. It must return quickly.
func (s *Stack) OnDecision(tell func(*busv1.DecisionRecord)) {
	s.facts.mu.Lock()
	defer s.facts.mu.Unlock()
	s.facts.tell = append(s.facts.tell, tell)
}

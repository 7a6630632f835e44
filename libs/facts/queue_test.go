package facts_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
)

// publisher remembers what it is given, or refuses it.
type publisher struct {
	mu   sync.Mutex
	err  error
	got  []proto.Message
	seen []bus.Topic
}

func (p *publisher) Publish(_ context.Context, t bus.Topic, _, _, _ string, m proto.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.got, p.seen = append(p.got, m), append(p.seen, t)
	return nil
}

func (p *publisher) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &publisher{}
		q := facts.NewQueue(p, slog.New(slog.DiscardHandler))
		done := make(chan error, 1)
		go func() { done <- q.Run(ctx) }()
		q.Decided(ctx, "default", "g", &busv1.DecisionRecord{Id: "1"})
		q.PhaseChanged(ctx, &v1beta1.VPSieNode{}, v1beta1.PhaseJoining, v1beta1.PhaseReady, "ready")
		synctest.Wait()
		if p.count() != 2 {
			t.Fatalf("%d facts published, want 2", p.count())
		}
		p.refuse(errors.New("bus is away"))
		for range 5000 {
			q.Decided(ctx, "default", "g", &busv1.DecisionRecord{Id: "lost"})
		}
		synctest.Wait()
		p.refuse(nil)
		q.Decided(ctx, "default", "g", &busv1.DecisionRecord{Id: "2"})
		synctest.Wait()
		if p.count() != 3 {
			t.Errorf("%d facts published after the bus came back, want 3", p.count())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if last, ok := p.got[2].(*busv1.DecisionRecord); !ok || last.GetId() != "2" || p.seen[1] != bus.TopicPhase {
			t.Errorf("published %v on %v", p.got, p.seen)
		}
	})
}

func TestNobodyWaitsForAFullQueue(t *testing.T) {
	q := facts.NewQueue(&publisher{}, slog.New(slog.DiscardHandler))
	for range 10_000 { // Run was never called: a queue that blocks would hang here
		q.Decided(t.Context(), "default", "g", &busv1.DecisionRecord{Id: "1"})
	}
}

package kube

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// eventsPerSecond paces events: a decision that serves a thousand pods must not keep the API
	// server from the writes that carry it out.
	eventsPerSecond = 25
	eventsMax       = 2000
)

// PacedRecorder records events in the order in which they are told, at a steady pace, in the
// background. Those that find its queue full are dropped and counted. It is safe for concurrent use.
type PacedRecorder struct {
	next    events.EventRecorder
	limiter *rate.Limiter
	queue   chan func()
	dropped atomic.Int64
	log     *slog.Logger
}

var _ events.EventRecorder = (*PacedRecorder)(nil)

// NewPacedRecorder returns a recorder that passes nothing on until Run.
func NewPacedRecorder(next events.EventRecorder, log *slog.Logger) *PacedRecorder {
	return &PacedRecorder{next: next, limiter: rate.NewLimiter(eventsPerSecond, 1), queue: make(chan func(), eventsMax), log: log}
}

// Eventf implements events.EventRecorder. The caller may change the objects afterwards.
func (p *PacedRecorder) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	regarding, related = copied(regarding), copied(related)
	select {
	case p.queue <- func() { p.next.Eventf(regarding, related, kind, reason, action, note, args...) }:
	default:
		p.dropped.Add(1)
	}
}

func copied(o runtime.Object) runtime.Object {
	if o == nil {
		return nil
	}
	return o.DeepCopyObject()
}

// Run passes events on until ctx ends.
func (p *PacedRecorder) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case tell := <-p.queue:
			if p.limiter.Wait(ctx) != nil {
				return nil
			}
			tell()
			if n := p.dropped.Swap(0); n > 0 {
				p.log.WarnContext(ctx, "too many events; the rest is in the log and in decision records only", telemetry.KeyCount, n)
			}
		}
	}
}

package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// coalesce is how long changes are gathered into one batch.
	coalesce = 50 * time.Millisecond
	// writeTimeout bounds one batch; the feed's readers hold still long before.
	writeTimeout = 10 * time.Second
	retryWait    = 500 * time.Millisecond
)

// Feed receives the cluster's contents.
type Feed interface {
	// Write brings the feed to the contents; after an error the next call writes everything.
	Write(ctx context.Context, c *feed.Contents) error
}

// Observer copies a ledger to the feed.
type Observer struct {
	ledger *Ledger
	feed   Feed
	clock  clock.WithTicker
	log    *slog.Logger
}

// NewObserver returns an observer that does nothing until Run.
func NewObserver(ledger *Ledger, feed Feed, c clock.WithTicker, log *slog.Logger) *Observer {
	return &Observer{ledger: ledger, feed: feed, clock: c, log: log}
}

// Run writes a batch after each change, and a heartbeat in between, until ctx ends. The first change
// after a quiet time is written at once; those that follow are gathered.
func (o *Observer) Run(ctx context.Context) error {
	heartbeat := o.clock.NewTicker(feed.HeartbeatInterval)
	defer heartbeat.Stop()
	failing := false
	for {
		began := o.clock.Now()
		if err := o.write(ctx); err != nil {
			if !failing && ctx.Err() == nil {
				o.log.WarnContext(ctx, "feed not written; planners hold until it is", telemetry.KeyError, err)
			}
			failing = !errors.Is(err, feed.ErrSuperseded)
			if !o.sleep(ctx, retryWait) {
				return nil
			}
			continue
		}
		if failing {
			failing = false
			o.log.InfoContext(ctx, "writing the feed resumed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-heartbeat.C():
		case <-o.ledger.Dirty():
			if wait := coalesce - o.clock.Since(began); wait > 0 && !o.sleep(ctx, wait) {
				return nil
			}
		}
	}
}

func (o *Observer) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	contents := o.ledger.Contents(o.clock.Now(), func(since time.Time, pods int) string {
		observed, span := telemetry.Tracer().Start(ctx, "pods pending", trace.WithNewRoot(), trace.WithTimestamp(since),
			trace.WithAttributes(attribute.Int("vpsie.pods", pods)))
		defer span.End()
		return telemetry.Traceparent(observed)
	})
	return o.feed.Write(ctx, contents)
}

func (o *Observer) sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-o.clock.After(d):
		return true
	}
}

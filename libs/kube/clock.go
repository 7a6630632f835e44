package kube

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// clockSlack is how far a clock may be from the API server's before it is set: HTTP tells whole seconds only.
const clockSlack = 2 * time.Second

// Clock shows the API server's time, which is also that of the creation and deletion times of objects: what the
// Date header of its answers said last, and what has passed since by this machine's monotonic clock. So times in
// objects can be compared whichever replica wrote them, and setting this machine's clock changes nothing. Until
// the first answer it shows this machine's time. It is safe for concurrent use.
type Clock struct {
	// Timers run at this machine's pace.
	clock.WithTicker
	log *slog.Logger

	mu sync.Mutex
	// base is the time shown at the moment pace, of which only the monotonic reading is used.
	base, pace time.Time
}

var _ clock.WithTicker = (*Clock)(nil)

// NewClock returns a clock that starts with this machine's time.
func NewClock(local clock.WithTicker, log *slog.Logger) *Clock {
	return &Clock{WithTicker: local, log: log, base: local.Now().Round(0), pace: time.Now()}
}

// Now is the API server's time, without a monotonic reading.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

// Since is the time since t.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *Clock) nowLocked() time.Time { return c.base.Add(time.Since(c.pace)) }

// Listen has the clock set by the answers that come over a connection to the API server.
func (c *Clock) Listen(next http.RoundTripper) http.RoundTripper { return listener{c, next} }

type listener struct {
	clock *Clock
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (l listener) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	answer, err := l.next.RoundTrip(r)
	if err != nil {
		return answer, err
	}
	if said, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		l.clock.hear(r.Context(), said, time.Since(sent))
	}
	return answer, nil
}

// hear sets the clock if it cannot be right: an answer that took a while was written between its request and now.
func (c *Clock) hear(ctx context.Context, said time.Time, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := c.nowLocked()
	if !shown.Before(said.Add(-clockSlack)) && !shown.After(said.Add(took+time.Second+clockSlack)) {
		return
	}
	c.base, c.pace = said, time.Now()
	c.log.WarnContext(ctx, "clock differs from the API server's, whose time is used; check the time service of this machine and of the control plane",
		telemetry.KeyOffset, said.Sub(shown).Round(time.Second).String())
}

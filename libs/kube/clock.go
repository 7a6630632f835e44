package kube

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// clockSlack is how far a clock may be from the API server's before it is corrected: HTTP tells whole seconds only.
	clockSlack = 2 * time.Second
	// slewShare is the share of the time that passes by which a running clock is corrected. A wait lasts nine tenths of its
	// time at least.
	slewShare = 10
)

// Clock shows the API server's time, which is also that of the creation and deletion times of objects. The first answer sets
// it, by its Date header; what has passed since it knows from this machine's monotonic clock. So times in objects can be
// compared whichever replica wrote them, and setting this machine's clock changes nothing. Where later answers differ, it
// goes a tenth faster or slower until it is right: a clock that is set back makes waits stand still, one that is set
// ahead ends them. Until the first answer it shows this machine's time. It is safe for concurrent use.
type Clock struct {
	// Timers run at this machine's pace.
	clock.WithTicker
	log *slog.Logger

	mu sync.Mutex
	// base is the time shown at the moment pace, of which only the monotonic reading is used; owed is by how much it
	// was wrong.
	base, pace time.Time
	owed       time.Duration
	heard      bool
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

func (c *Clock) nowLocked() time.Time {
	passed := time.Since(c.pace)
	return c.base.Add(passed + min(max(c.owed, -passed/slewShare), passed/slewShare))
}

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
	// What says that the API server is away may come from something in front of it.
	if said, err := http.ParseTime(answer.Header.Get("Date")); err == nil && answer.StatusCode < http.StatusInternalServerError {
		if offset := l.clock.hear(said, time.Since(sent)); offset != 0 {
			l.clock.log.WarnContext(r.Context(), "local clock differs from the API server's; the API server's time is used; check time synchronisation of this machine and of the control plane",
				telemetry.KeyOffsetMillis, offset.Milliseconds())
		}
	}
	return answer, nil
}

// hear corrects the clock if it cannot be right: an answer that took a while was written between its request and now. It
// returns by how much it is wrong when that begins.
func (c *Clock) hear(said time.Time, took time.Duration) (offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, shown, before := !c.heard, c.nowLocked(), c.owed
	c.heard = true
	if shown.Before(said.Add(-clockSlack)) || shown.After(said.Add(took+time.Second+clockSlack)) {
		offset = said.Sub(shown)
	}
	if offset == 0 && before == 0 {
		return 0
	}
	c.base, c.pace, c.owed = shown, time.Now(), offset
	if first {
		c.base, c.owed = said, 0
	}
	if before != 0 {
		return 0
	}
	return offset
}

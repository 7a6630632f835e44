package sim

import (
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// skewedClock is a process's wall clock, which may be wrong. Its timers run at the true pace, as they do on a
// machine whose clock is set.
type skewedClock struct {
	clock.RealClock
	skew atomic.Int64
}

var _ clock.WithTicker = (*skewedClock)(nil)

// Now is the time as the process reads it.
func (c *skewedClock) Now() time.Time { return time.Now().Add(time.Duration(c.skew.Load())) }

// Since is the time since t as the process reads it.
func (c *skewedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

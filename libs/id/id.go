// Package id names decisions, facts and epochs.
package id

import (
	"crypto/rand"
	"time"

	"github.com/oklog/ulid/v2"
)

// New returns a ULID of the time, so that names sort by it to the millisecond. It asks the system for
// the rest; the library's default makes it from the time at which a process starts, so that two replicas which
// start together can collide, and a simulation could not choose it.
func New(now time.Time) string { return ulid.MustNew(ulid.Timestamp(now), rand.Reader).String() }

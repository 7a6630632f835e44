// Package burst tells when to plan for demand that grows. Pods that are created together cost least when they are planned for
// together, so the end of a burst is waited for; what any plan of the whole would contain need not wait.
package burst

import (
	"time"
)

const (
	// quietShare is the part of a burst's length for which nothing must come before it counts as over: the longer it lasted, the
	// longer its gaps may be.
	quietShare = 0.5
	// quietMax bounds that; it is Karpenter's idle time.
	quietMax = time.Second
	// quietPerPod bounds it too: few pods lose little by being planned apart, and unrelated ones that happen to come close together
	// would wait for each other.
	quietPerPod = 20 * time.Millisecond
	// podsMax are enough pods for the whole of quietMax.
	podsMax = uint64(quietMax / quietPerPod)
	// completeOver divides the idle time once the last pod that a controller owed has come.
	completeOver = 5
	// earlyGrowth is how many times as many pods as at the last early plan make another one worth its while.
	earlyGrowth = 2
)

// Policy is how patient the planner is.
type Policy struct {
	// Idle is how long nothing must come before a short burst counts as over.
	Idle time.Duration
	// Max is how long a burst is waited for at most.
	Max time.Duration
}

// Pressure is the demand at a moment.
type Pressure struct {
	// Arrived counts pods without a node that ever came; it begins anew with the observer.
	Arrived uint64
	// Missing are the pods that controllers are about to make.
	Missing int
}

// Step is what to do about demand.
type Step int

// The steps.
const (
	// None means that no burst goes on.
	None Step = iota
	// Hold means that more is on its way, and nothing is to be done yet.
	Hold
	// Early means to launch what any plan of the whole burst would contain, and no more.
	Early
	// Whole means that the burst is over, or was waited for long enough.
	Whole
)

// Burst follows demand. The zero value is one that is quiet. It is a value: its methods return what is changed.
type Burst struct {
	last Pressure
	// began is when the demand began to grow, zero while it is quiet, and grew when it last did.
	began, grew time.Time
	// complete says that controllers have made all that they owed, after having owed some.
	complete bool
	// pods counts those of the burst; plannedAt is when the last early plan was made, for planned of them.
	pods, planned uint64
	plannedAt     time.Time
}

// See takes in the demand as it is now.
func (b Burst) See(p Pressure, now time.Time) Burst {
	if p.Arrived > b.last.Arrived || p.Missing > b.last.Missing {
		if b.began.IsZero() {
			b.began = now
		}
		b.grew, b.complete = now, false
		b.pods += max(p.Arrived, b.last.Arrived) - b.last.Arrived
	}
	if p.Missing == 0 && b.last.Missing > 0 && !b.began.IsZero() {
		b.complete = true
	}
	b.last = p
	return b
}

// Step tells what to do now and, for None and Hold, when to ask again if nothing changes; zero means only then.
func (b Burst) Step(p Policy, now time.Time) (Step, time.Time) {
	if b.began.IsZero() {
		return None, time.Time{}
	}
	end := b.began.Add(p.Max)
	over := end
	if b.last.Missing == 0 {
		over = earlier(end, b.grew.Add(b.quiet(p)))
	}
	if !now.Before(over) {
		return Whole, time.Time{}
	}
	early := later(b.began, b.plannedAt).Add(p.Idle)
	switch {
	case b.pods < max(earlyGrowth*b.planned, 1):
		return Hold, over
	case !now.Before(early):
		return Early, time.Time{}
	}
	return Hold, earlier(over, early)
}

// Planned notes that a step was taken.
func (b Burst) Planned(step Step, now time.Time) Burst {
	switch step {
	case Early:
		b.plannedAt, b.planned = now, b.pods
	case Whole:
		b = Burst{last: b.last}
	}
	return b
}

// quiet is how long nothing must come before the burst counts as over.
func (b Burst) quiet(p Policy) time.Duration {
	if b.complete {
		return p.Idle / completeOver
	}
	lasted := time.Duration(quietShare * float64(b.grew.Sub(b.began)))
	return max(p.Idle, min(lasted, quietMax, time.Duration(min(b.pods, podsMax))*quietPerPod))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

package sim

import (
	"errors"
	"sync"
	"time"
)

// errDead is what a process that was killed gets for everything it asks of the world.
var errDead = errors.New("connect: connection refused (the process is dead)")

// gate stands between a process and the world. What a process asks after its death has no effect, and
// what it asks while it is frozen waits, so that goroutines which cannot be stopped do no harm.
type gate struct {
	mu     sync.Mutex
	dead   bool
	thawed chan struct{} // nil unless frozen
	wentOn time.Time     // when it last thawed
	// calls counts what the process asked; it dies at crashAt, before or after the call took effect.
	calls      int
	crashAt    int
	crashAfter bool
	// crashed is called once, from a goroutine of its own, when the process dies at a call.
	crashed func()
}

// enter waits for a frozen process to thaw, and returns errDead for a dead one. Calls that matter are counted.
func (g *gate) enter(matters bool) (after func() error, err error) {
	g.mu.Lock()
	for g.thawed != nil && !g.dead {
		thawed := g.thawed
		g.mu.Unlock()
		<-thawed
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	if g.dead {
		return nil, errDead
	}
	after = g.alive
	if !matters {
		return after, nil
	}
	g.calls++
	if g.crashAt == 0 || g.calls != g.crashAt {
		return after, nil
	}
	if g.crashAfter {
		return func() error { g.die(); return errDead }, nil
	}
	g.dead = true
	go g.crashed()
	return nil, errDead
}

// alive reports whether the process still hears the answer.
func (g *gate) alive() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return errDead
	}
	return nil
}

func (g *gate) die() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.dead {
		g.dead = true
		go g.crashed()
	}
}

// cut ends all contact with the world.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
	g.thawLocked()
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.thawed == nil {
		g.thawed = make(chan struct{})
	}
}

func (g *gate) isFrozen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.thawed != nil
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.thawLocked()
}

func (g *gate) thawLocked() {
	if g.thawed != nil {
		close(g.thawed)
		g.thawed, g.wentOn = nil, time.Now()
	}
}

// thawedAt is when a frozen process last went on, the present while it is frozen.
func (g *gate) thawedAt() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.thawed != nil {
		return time.Now()
	}
	return g.wentOn
}

// crashIn has the process die at the nth call from now.
func (g *gate) crashIn(n int, after bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.crashAt, g.crashAfter = g.calls+n, after
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

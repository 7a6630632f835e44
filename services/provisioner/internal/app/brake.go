package app

import (
	"context"
	"errors"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
)

// Brake tells whether a person stopped everything.
type Brake interface {
	// State answers as of a moment ago; an error means that nobody knows.
	State(ctx context.Context) (brake.State, error)
}

const (
	// pausedPoll is how often something that a pause keeps is looked at.
	pausedPoll = 5 * time.Second
	// ledgerFreshMax bounds how old what a paid or final call is based on may be.
	ledgerFreshMax = time.Minute
)

// pausedError says that a step is not taken because a person stopped everything.
type pausedError struct{ state brake.State }

func (e *pausedError) Error() string { return e.state.Message }

// goOn returns a *pausedError while everything is paused, and another error when nobody knows.
func goOn(ctx context.Context, b Brake) error {
	state, err := b.State(ctx)
	if err == nil && state.Paused {
		return &pausedError{state}
	}
	return err
}

// asPaused returns the pause that kept a step from being taken.
func asPaused(err error) (brake.State, bool) {
	p, ok := errors.AsType[*pausedError](err)
	if !ok {
		return brake.State{}, false
	}
	return p.state, true
}

// ledgerFresh is how old what a paid or final call is based on may be. Another replica concludes from the
// ledger what became of a call after the settle time, so this one must not make it late.
func (c *Clusters) ledgerFresh() time.Duration { return min(c.config.LaunchSettle/4, ledgerFreshMax) }

// isStale reports whether what was read at a time is too old to act on, by the monotonic clock or the wall's.
func (c *Clusters) isStale(basis time.Time) bool {
	now := c.clock.Now()
	return max(now.Sub(basis), now.Round(0).Sub(basis.Round(0))) > c.ledgerFresh()
}

// stillTrue guards a call: nothing may be paused, and what the call is based on, read or written at a time, must be fresh.
func (c *Clusters) stillTrue(basis time.Time) Guard {
	return func(ctx context.Context) error {
		held := func(code reason.Code, message string) error {
			return &CloudError{Failure: Held, Code: code, Message: message, Endpoint: "call"}
		}
		err := goOn(ctx, c.brake)
		if state, paused := asPaused(err); paused {
			return held(reason.HoldPaused, state.Message)
		}
		if err != nil {
			return held(reason.HoldPaused, "the pause ConfigMap cannot be read")
		}
		if c.isStale(basis) {
			return held("", "the data for the call is too old")
		}
		return nil
	}
}

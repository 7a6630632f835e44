package app

import (
	"cmp"
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
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

// pausedError says that a step is not taken because a person stopped everything, or because nobody knows whether one did.
type pausedError struct {
	code    reason.Code
	message string
	// until is when the pause ends by itself, zero where that is not so, or not known.
	until time.Time
}

// refusal is the pause as guards know it.
func (e *pausedError) refusal() disruption.Refusal {
	return disruption.Refusal{Code: e.code, Message: e.message, Until: e.until, Parameters: reason.UntilOf(e.until)}
}

func (e *pausedError) Error() string { return e.message }

// goOn returns a *pausedError while everything is paused, and while nobody knows.
func goOn(ctx context.Context, b Brake) error {
	state, err := b.State(ctx)
	switch {
	case err != nil:
		return &pausedError{code: reason.HoldPauseUnreadable, message: "whether everything is paused cannot be read (" + cmp.Or(string(apierrors.ReasonForError(err)), "the API server does not answer") +
			"), so nothing is launched, drained or terminated; it is read again every few seconds; check the right to read ConfigMap " + brake.ConfigMapName}
	case state.Paused:
		return &pausedError{reason.HoldPaused, state.Message, state.Until}
	}
	return nil
}

// asPaused returns the pause that kept a step from being taken; false for any other error.
func asPaused(err error) (*pausedError, bool) { return errors.AsType[*pausedError](err) }

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
		if pause, paused := asPaused(goOn(ctx, c.brake)); paused {
			return held(pause.code, pause.message)
		}
		if c.isStale(basis) {
			return held("", "the data for the call is too old")
		}
		return nil
	}
}

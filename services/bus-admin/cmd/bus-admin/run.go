package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	provisioner "github.com/vpsie/vpsie-autoscaler/services/provisioner/consumers"
)

const (
	// checkInterval is how often --keep looks whether something is missing.
	checkInterval = 2 * time.Second
	// retryWait is the pause after a failure.
	retryWait = 500 * time.Millisecond
	// attemptTimeout bounds one attempt.
	attemptTimeout = 10 * time.Second
)

// Keys of log attributes that only bus-admin writes.
const (
	keyMade      = "made"
	keyConsumers = "consumers"
)

// config is what bus-admin can be told.
type config struct {
	Bus     bus.Config    `embed:"" prefix:"bus-"`
	Keep    bool          `help:"Keep running, and create again what goes missing, for example after the server lost its store."`
	Timeout time.Duration `help:"Longest time to connect and to create everything, without --keep." default:"30s"`
}

// Validate reports every problem of the configuration at once.
func (c config) Validate() error {
	var timeout error
	if c.Timeout <= 0 {
		timeout = fmt.Errorf("timeout %s must be positive", c.Timeout)
	}
	return errors.Join(c.Bus.Validate(), timeout)
}

// declared are the consumers of all services.
func declared() []bus.Consumer { return provisioner.All() }

// run provisions the bus once, or, with Keep, until ctx ends.
func run(ctx context.Context, c config, log *slog.Logger) error {
	conn, err := bus.Connect("bus-admin", c.Bus, log)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	if c.Keep {
		keep(ctx, js, log)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	for {
		found, err := ensure(ctx, js, true)
		if err == nil {
			log.InfoContext(ctx, "streams and consumers ready", keyMade, found.Missing)
			tellLeftover(ctx, found, log)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; gave up after %s", err, c.Timeout)
		case <-time.After(retryWait):
		}
	}
}

// keep provisions the bus at first, so that settings are brought up to date, and whenever
// something is missing later.
func keep(ctx context.Context, js jetstream.JetStream, log *slog.Logger) {
	failing, first, leftover := false, true, ""
	for ctx.Err() == nil {
		found, err := ensure(ctx, js, first)
		wait := checkInterval
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				log.WarnContext(ctx, "streams and consumers not ready; it is tried again", telemetry.KeyError, err)
			}
			failing, wait = true, retryWait
		default:
			if first || failing || len(found.Missing) > 0 {
				log.InfoContext(ctx, "streams and consumers ready", keyMade, found.Missing)
			}
			failing, first = false, false
			if names := strings.Join(found.Leftover, " "); names != leftover {
				leftover = names
				tellLeftover(ctx, found, log)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// tellLeftover names the consumers that no service declares. They are left alone: a service of an earlier
// version may still read from them.
func tellLeftover(ctx context.Context, found bus.Difference, log *slog.Logger) {
	if len(found.Leftover) > 0 {
		log.WarnContext(ctx, "consumers without a service found; delete them once no earlier version runs", keyConsumers, found.Leftover)
	}
}

// ensure provisions the bus when told to or when something is missing, and returns how the server differed before.
func ensure(ctx context.Context, js jetstream.JetStream, always bool) (bus.Difference, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	// A question that is under way when the server ends is never answered.
	lost := js.Conn().StatusChanged(nats.RECONNECTING)
	defer js.Conn().RemoveStatusListener(lost)
	go func() {
		select {
		case <-lost:
			cancel()
		case <-ctx.Done():
		}
	}()
	found, err := bus.Compare(ctx, js, declared())
	if err != nil || !always && len(found.Missing) == 0 {
		return found, err
	}
	return found, bus.Provision(ctx, js, declared())
}

// Command bus-admin makes the streams, the consumers and the feed's bucket that the services
// use; they never make their own.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := servicefx.Load[config]("bus-admin", servicefx.OSArgs())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	log := telemetry.NewLogger(os.Stdout, "bus-admin", slog.LevelInfo)
	if err := run(ctx, c, log); err != nil {
		log.ErrorContext(ctx, "streams and consumers not ready", telemetry.KeyError, err)
		os.Exit(1)
	}
}

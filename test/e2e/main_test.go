//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

// traces receives what the services export.
var traces *collector

func TestMain(m *testing.M) {
	var err error
	if traces, err = startCollector(); err != nil {
		fmt.Fprintln(os.Stderr, "start trace collector:", err)
		os.Exit(1)
	}
	// The collector ends with the process.
	stacktest.Main(m, stack.Options{Env: []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + traces.url,
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_BSP_SCHEDULE_DELAY=500",
	}})
}

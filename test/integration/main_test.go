//go:build integration

// Package integration_test looks at one promise of the services at a time, on real parts.
package integration_test

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m, stack.Options{}) }

package main

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/servicefx/servicefxtest"
	"github.com/vpsie/vpsie-autoscaler/services/observer"
)

// TestFlagsAreDocumented compares the README with --help.
func TestFlagsAreDocumented(t *testing.T) {
	servicefxtest.WantFlags[observer.Config](t, "../../README.md")
}

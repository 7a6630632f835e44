package main

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/servicefx/servicefxtest"
	"github.com/vpsie/vpsie-autoscaler/services/planner"
)

// TestFlagsAreDocumented compares the README with --help. The flags that all services have are in the observer's README.
func TestFlagsAreDocumented(t *testing.T) {
	servicefxtest.WantFlags[planner.Config](t, "../../README.md", "../../../observer/README.md")
}

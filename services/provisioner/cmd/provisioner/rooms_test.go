package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The provisioner decides neither what to launch nor what to retire, so it links the model and the rules of the scheduling engine and
// none of its other rooms. What main depends on is compiled into this test, so a result from the cache is as good as a new one.
func TestNoRoomOfTheEngineIsLinked(t *testing.T) {
	const engine = "github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../...").Output()
	if err != nil {
		t.Fatalf("list what the provisioner links: %v", err)
	}
	model := false
	for _, pkg := range strings.Fields(string(out)) {
		model = model || pkg == engine
		if strings.HasPrefix(pkg, engine+"/") {
			t.Errorf("the provisioner links %s", pkg)
		}
	}
	if !model {
		t.Errorf("the list lacks %s, so it proves nothing", engine)
	}
}

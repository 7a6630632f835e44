//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// TestOneTraceFromPodToNode receives what the services export and follows one launch through it:
// from the Ready Node and from the call to VPSie up to the pods that waited.
func TestOneTraceFromPodToNode(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 2), workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
	s.AwaitRunning("web", 1)
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	node := s.Namespace + "/" + s.MustVPSieNodes()[0].Name

	// The paths of every launch up to its cause: from its own span, and from the message that wakes the provisioner for it.
	type step struct{ name, service string }
	cause := []step{{"decide scale up", stack.Planner}, {"pods pending", stack.Observer}}
	path := append([]step{{"launch machine", stack.Provisioner}}, cause...)
	wakeUp := append([]step{{"publish decision.launch", stack.Planner}}, cause...)
	check := func(leaf span, path []step) string {
		above := traces.above(leaf)
		if len(above) != len(path) {
			return fmt.Sprintf("%q has %d spans above it, want %d: %v", leaf.name, len(above), len(path), names(above))
		}
		for i, want := range path {
			if above[i].name != want.name || above[i].service != want.service || above[i].trace != leaf.trace {
				return fmt.Sprintf("above %q are %v, want %v", leaf.name, names(above), path)
			}
		}
		if above[len(above)-1].parent != "" {
			return "\"pods pending\" has a parent, and nothing comes before it"
		}
		return ""
	}
	s.Eventually("the trace of the launch is complete", func(context.Context) (bool, string) {
		ready := traces.find(func(sp span) bool { return sp.name == "node ready" && sp.attributes["vpsie.node"] == node })
		if len(ready) != 1 {
			return false, fmt.Sprintf("there are %d spans \"node ready\" of %s", len(ready), node)
		}
		problem := check(ready[0], path)
		return problem == "", problem
	})
	ready := traces.find(func(sp span) bool { return sp.name == "node ready" && sp.attributes["vpsie.node"] == node })[0]
	launch := traces.above(ready)[0]
	if launch.attributes["vpsie.node"] != node {
		t.Errorf("launch is of %q, want %q", launch.attributes["vpsie.node"], node)
	}
	s.Eventually("the message that woke the provisioner is in the trace", func(context.Context) (bool, string) {
		handled := traces.find(func(sp span) bool { return sp.name == "handle decision.launch" && sp.trace == launch.trace })
		if len(handled) != 1 || handled[0].service != stack.Provisioner {
			return false, fmt.Sprintf("handled %d times: %v", len(handled), names(handled))
		}
		problem := check(handled[0], wakeUp)
		return problem == "", problem
	})
	calls := traces.find(func(sp span) bool { return sp.parent == launch.id && sp.kind == tracev1.Span_SPAN_KIND_CLIENT })
	if len(calls) != 1 {
		t.Fatalf("the launch made %d calls, want 1: %v", len(calls), names(calls))
	}
	if problem := check(calls[0], path); problem != "" {
		t.Error(problem)
	}
	if url := calls[0].attributes["url.full"]; !strings.HasPrefix(url, s.SimURL()) || !strings.Contains(url, "/add/slave/group/") {
		t.Errorf("call is to %q, want VPSie's endpoint that adds a node", url)
	}
}

func names(spans []span) []string {
	var names []string
	for _, s := range spans {
		names = append(names, s.service+": "+s.name)
	}
	return names
}

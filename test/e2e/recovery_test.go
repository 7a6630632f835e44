//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// grown is how many machines the recovery stories need: one for each pod.
const grown = 8

// begin lets eight machines be needed of a VPSie that takes its time, so that whoever disturbs the
// purchase finds it half done.
func begin(t *testing.T) *stacktest.Scenario {
	t.Helper()
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", grown+2))
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionTrue)
	s.Switch(map[string]any{"latency": "300ms"})
	s.Create(workload.Deployment(s.Namespace, "web", grown, workload.OnePerNode))
	return s
}

// halfway waits until some of the machines were asked for, and reports how many.
func halfway(t *testing.T, s *stacktest.Scenario) {
	t.Helper()
	s.Eventually("VPSie was asked for a machine", func(context.Context) (bool, string) {
		n := len(s.Bought())
		return n > 0, fmt.Sprintf("it was asked for %d", n)
	})
	t.Logf("%d machines were asked for when it happened", len(s.Bought()))
}

// TestKilledServiceResumes kills each service in the middle of a scale-up and starts it again.
func TestKilledServiceResumes(t *testing.T) {
	for _, name := range stack.Services() {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			halfway(t, s)
			s.Kill(name)
			s.Restart(name)
			s.AwaitRunning("web", grown)
			s.WantBought(grown)
			s.AwaitVPSieNodes(grown, v1beta1.PhaseReady)
		})
	}
}

// TestEveryServiceKilledAtOnce is a machine room without power.
func TestEveryServiceKilledAtOnce(t *testing.T) {
	s := begin(t)
	halfway(t, s)
	for _, name := range stack.Services() {
		s.Kill(name)
	}
	for _, name := range stack.Services() {
		s.Restart(name)
	}
	s.AwaitRunning("web", grown)
	s.WantBought(grown)
}

// TestBusLosesEverything stops NATS in the middle of a scale-up and starts it again with an empty store.
func TestBusLosesEverything(t *testing.T) {
	s := begin(t)
	halfway(t, s)
	s.StopNATS()
	s.StartNATSEmpty()
	s.AwaitRunning("web", grown)
	s.WantBought(grown)
}

// TestBusIsAwayWhenPodsArrive lets the work come while there is no NATS at all.
func TestBusIsAwayWhenPodsArrive(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 4))
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionTrue)
	s.StopNATS()
	s.Create(workload.Deployment(s.Namespace, "web", 2, workload.OnePerNode))
	s.AwaitWaiting("web", 2)
	s.StartNATSEmpty()
	s.AwaitRunning("web", 2)
	s.WantBought(2)
}

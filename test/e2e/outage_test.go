//go:build e2e

package e2e_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// outageSeconds is a minute: the breaker opens, lets single calls through and opens again.
const outageSeconds = 60

// TestOutageIsSatOut lets VPSie fail while pods wait: the breaker opens, the NodeGroup says so, and
// work resumes by itself when VPSie answers again. The simulation has the other ways to fail.
func TestOutageIsSatOut(t *testing.T) {
	tests := map[string]vpsiesim.Fault{
		"Status500":        {Kind: vpsiesim.FaultStatus500},
		"TooManyForAWhile": {Kind: vpsiesim.FaultStatus429, RetryAfterSeconds: 3},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			s := stacktest.New(t)
			s.Create(workload.NodeGroup(s.Namespace, "general", 4))
			s.AwaitCondition("general", v1beta1.ConditionAPIHealthy, metav1.ConditionTrue)
			fault.DurationSeconds = outageSeconds
			s.Break(fault)
			s.Create(workload.Deployment(s.Namespace, "web", 2, workload.OnePerNode))

			c := s.AwaitCondition("general", v1beta1.ConditionAPIHealthy, metav1.ConditionFalse)
			for _, part := range []string{"VPSie's API fails", "no machine is launched", "work resumes automatically", "nothing needs to be done"} {
				if !strings.Contains(c.Message, part) {
					t.Errorf("condition says %q, want %q in it", c.Message, part)
				}
			}
			s.AwaitEvent("NodeGroup", "general", c.Reason, "VPSie's API fails")
			awaitMetric(s, stack.Provisioner, "vpsie_api_breaker_open 1")

			s.AwaitRunning("web", 2)
			s.AwaitCondition("general", v1beta1.ConditionAPIHealthy, metav1.ConditionTrue)
			awaitMetric(s, stack.Provisioner, "vpsie_api_breaker_open 0")
			s.WantLaunched(2)
		})
	}
}

// awaitMetric waits until a service exports a sample, given as its line.
func awaitMetric(s *stacktest.Scenario, service, line string) {
	s.Eventually("the "+service+" exports "+line, func(ctx context.Context) (bool, string) {
		text, err := s.Service(service).Metrics(ctx)
		if err != nil {
			return false, err.Error()
		}
		return strings.Contains("\n"+text, "\n"+line+"\n"), "it does not"
	})
}

// TestLostAnswersLaunchNothingTwice lets VPSie sell machines without saying so.
func TestLostAnswersLaunchNothingTwice(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 6))
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionTrue)
	s.Break(vpsiesim.Fault{Endpoint: "k8s.addSlaveToGroup", Kind: vpsiesim.FaultLostReply, EveryNth: 2, Count: 2})
	s.Create(workload.Deployment(s.Namespace, "web", 4, workload.OnePerNode))
	s.AwaitRunning("web", 4)
	s.WantLaunched(4)
}

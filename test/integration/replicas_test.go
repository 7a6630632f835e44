//go:build integration

package integration_test

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

// launch begins the launch of six machines by a VPSie that takes its time and waits until it is under way.
func launch(t *testing.T, s *stacktest.Scenario) {
	t.Helper()
	s.Create(workload.NodeGroup(s.Namespace, "general", 8))
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionTrue)
	s.Switch(map[string]any{"latency": "300ms"})
	s.Create(workload.Deployment(s.Namespace, "web", 6, workload.OnePerNode))
	s.Eventually("a machine is requested from VPSie", func(context.Context) (bool, string) {
		n := len(s.Launched())
		return n > 0, fmt.Sprintf("%d are requested", n)
	})
}

// TestStopIsGraceful asks each service to end in the middle of a launch.
func TestStopIsGraceful(t *testing.T) {
	for _, name := range stack.Services() {
		t.Run(name, func(t *testing.T) {
			s := stacktest.New(t)
			launch(t, s)
			if err := s.Service(name).Stop(); err != nil {
				t.Error(err)
			}
			s.Restart(name)
			s.AwaitRunning("web", 6)
			s.WantLaunched(6)
		})
	}
}

// TestStandbyTakesOver kills the elected replica of each service in the middle of a launch: the
// other one, which was only watching until then, goes on.
func TestStandbyTakesOver(t *testing.T) {
	for _, name := range stack.Services() {
		t.Run(name, func(t *testing.T) {
			s := stacktest.New(t)
			standby, err := s.AddReplica(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := standby.Stop(); err != nil {
					t.Error(err)
				}
			})
			var before string
			s.Eventually("a replica is elected", func(context.Context) (bool, string) {
				before = holder(t, s, name)
				return before != "", "the Lease is free"
			})
			launch(t, s)
			if now := holder(t, s, name); now != before {
				t.Fatalf("the Lease went from %s to %s while its holder lived", before, now)
			}
			s.Kill(name)
			s.Eventually("the standby is elected", func(context.Context) (bool, string) {
				now := holder(t, s, name)
				return now != before && now != "", "the Lease is held by " + now
			})
			s.AwaitRunning("web", 6)
			s.WantLaunched(6)
			s.Restart(name)
		})
	}
}

// holder is who has a service's Lease.
func holder(t *testing.T, s *stacktest.Scenario, service string) string {
	t.Helper()
	lease, err := s.Kube.CoordinationV1().Leases(stack.Namespace).Get(t.Context(), "vpsie-"+service, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

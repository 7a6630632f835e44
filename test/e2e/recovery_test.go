//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// grown is how many machines the recovery stories need: one for each pod.
const grown = 8

// begin lets eight machines be needed of a VPSie that takes its time, so that whoever disturbs the
// launch finds it half done.
func begin(t *testing.T) *stacktest.Scenario {
	t.Helper()
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", grown+2))
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionTrue)
	s.Switch(map[string]any{"latency": "300ms"})
	s.Create(workload.Deployment(s.Namespace, "web", grown, workload.OnePerNode))
	return s
}

// halfway waits until some of the machines were requested, and reports how many.
func halfway(t *testing.T, s *stacktest.Scenario) {
	t.Helper()
	s.Eventually("a machine is requested from VPSie", func(context.Context) (bool, string) {
		n := len(s.Launched())
		return n > 0, fmt.Sprintf("%d are requested", n)
	})
	t.Logf("%d machines were requested when it happened", len(s.Launched()))
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
			s.WantLaunched(grown)
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
	s.WantLaunched(grown)
}

// TestBusLosesEverything stops NATS in the middle of a scale-up and starts it again with an empty store.
func TestBusLosesEverything(t *testing.T) {
	s := begin(t)
	halfway(t, s)
	s.StopNATS()
	s.StartNATSEmpty()
	s.AwaitRunning("web", grown)
	s.WantLaunched(grown)
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
	s.WantLaunched(2)
}

// TestMachineGoesWhileBusIsAway has a machine go while there is no NATS: what became of it waits in Kubernetes, and is published once NATS
// is back.
func TestMachineGoesWhileBusIsAway(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 2), workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
	s.AwaitRunning("web", 1)
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	n := s.MustVPSieNodes()[0]
	s.StopNATS()
	if err := s.Client.Delete(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	s.Eventually("the machine's object is gone", func(ctx context.Context) (bool, string) {
		err := s.Client.Get(ctx, client.ObjectKeyFromObject(&n), &n)
		return apierrors.IsNotFound(err), fmt.Sprintf("its phase is %s: %v", n.Status.Phase, err)
	})
	kept := func(ctx context.Context) (int, error) {
		records := &corev1.ConfigMap{}
		err := s.Client.Get(ctx, client.ObjectKey{Namespace: stack.Namespace, Name: "vpsie-provisioner-records"}, records)
		return len(records.Data), client.IgnoreNotFound(err)
	}
	if count, err := kept(t.Context()); err != nil || count == 0 {
		t.Errorf("%d facts are kept while the bus is away: %v", count, err)
	}
	s.StartNATSEmpty()
	s.Eventually("what was kept is published", func(ctx context.Context) (bool, string) {
		count, err := kept(ctx)
		return err == nil && count == 0, fmt.Sprintf("%d facts are kept: %v", count, err)
	})
	s.AwaitRunning("web", 1)
}

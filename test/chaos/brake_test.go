//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

const (
	// brakeTime is how long the brake may take.
	brakeTime = 5 * time.Second
	// standstill is how long nothing must happen then.
	standstill = 4 * time.Second
	// sluggish makes VPSie take so long for each call that a launch or a removal lasts longer than the brake takes.
	sluggish = 1500 * time.Millisecond
)

// TestBrakeWorksAlone pulls the brake in the middle of a launch, and then of a removal, with the planner and NATS dead:
// no further machine is requested or deleted until it is released.
func TestBrakeWorksAlone(t *testing.T) {
	const pods = 6
	s := brew(t)
	s.slowDown(sluggish)
	before := s.calls(launches)
	s.Scale(work, pods)
	s.Eventually("all machines are intended and the first is requested from VPSie", func(ctx context.Context) (bool, string) {
		nodes, err := s.VPSieNodes(ctx)
		if err != nil {
			return false, err.Error()
		}
		launched := len(s.Launched())
		return launched > 0 && len(nodes) == pods, fmt.Sprintf("%d are intended and %d requested", len(nodes), launched)
	})
	s.pullsBrake(launches, before+pods)
	s.settles(pods)

	s.slowDown(sluggish)
	before = s.calls(deletes)
	s.Scale(work, 0)
	s.Eventually("all machines are to go and VPSie was asked to delete the first", func(ctx context.Context) (bool, string) {
		nodes, err := s.VPSieNodes(ctx)
		if err != nil {
			return false, err.Error()
		}
		retired := pods - len(nodes)
		for _, n := range nodes {
			if n.Spec.Retirement != nil {
				retired++
			}
		}
		deleted := s.calls(deletes) - before
		return deleted > 0 && retired == pods, fmt.Sprintf("%d are to go and %d were deleted", retired, deleted)
	})
	s.pullsBrake(deletes, before+pods)
	s.settles(0)
}

// pullsBrake stops everything with the planner and NATS dead, looks whether an endpoint is called all the same, of
// which all calls would be made soon without the brake, and releases it.
func (s *storm) pullsBrake(endpoint string, all int) {
	s.t.Helper()
	s.Kill(stack.Planner)
	s.StopNATS()
	pause := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: stack.Namespace, Name: brake.ConfigMapName},
		Data:       map[string]string{brake.KeyReason: "chaos"},
	}
	s.Create(pause)
	s.t.Cleanup(func() { s.release(context.Background(), pause) })
	s.say("the brake is pulled after %d calls of %s", s.calls(endpoint), endpoint)
	lapse(s.t.Context(), brakeTime)
	stopped := s.calls(endpoint)
	if stopped >= all {
		s.t.Fatalf("all %d calls of %s were made within %s, so the brake proves nothing", all, endpoint, brakeTime)
	}
	lapse(s.t.Context(), standstill)
	if now := s.calls(endpoint); now != stopped {
		s.t.Errorf("%d calls of %s were made later than %s after the brake was pulled", now-stopped, endpoint, brakeTime)
	}
	s.say("the brake is released after %d calls of %s", stopped, endpoint)
	s.release(s.t.Context(), pause)
	s.slowDown(0)
	if err := s.NATS.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.Restart(stack.Planner)
}

// slowDown makes every call of VPSie take a time.
func (s *storm) slowDown(latency time.Duration) {
	s.t.Helper()
	if err := s.Sim.SetSwitches(s.t.Context(), map[string]any{"latency": latency.String()}); err != nil {
		s.t.Fatal(err)
	}
}

// release removes the brake, which may be gone already.
func (s *storm) release(ctx context.Context, pause *corev1.ConfigMap) {
	s.t.Helper()
	if err := client.IgnoreNotFound(s.Client.Delete(ctx, pause)); err != nil {
		s.t.Error(err)
	}
}

// calls counts the calls of endpoints that reached VPSie, by a name that may end in a star.
func (s *storm) calls(endpoint string) int {
	s.t.Helper()
	calls, err := s.Sim.Calls(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	total := 0
	for name, c := range calls.Endpoints {
		if prefix, open := strings.CutSuffix(endpoint, "*"); name == endpoint || open && strings.HasPrefix(name, prefix) {
			total += c.Total
		}
	}
	return total
}

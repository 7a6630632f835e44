//go:build chaos

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/proxy"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

const (
	// group and work are the NodeGroup and the deployment of every test; each pod needs a machine of its own.
	group = "general"
	work  = "web"
	// machinesMax leaves room for machines that are launched beside the six that are needed at most.
	machinesMax = 12
	// unneededFor is how long a machine must be unneeded before it goes.
	unneededFor = 3 * time.Second
	// large is m-4vcpu-16gb, what is launched while the Medium size cannot be.
	large int64 = 32
)

// storm is one test's corner of the stack with what goes wrong there.
type storm struct {
	*stacktest.Scenario

	t     *testing.T
	dice  *rand.Rand
	began time.Time
	lanes sync.WaitGroup
}

// brew returns a corner with a NodeGroup and a workload without pods.
func brew(t *testing.T) *storm {
	t.Helper()
	s := &storm{Scenario: stacktest.New(t), t: t, dice: roll(t), began: time.Now()}
	s.breakNothing()
	g := workload.NodeGroup(s.Namespace, group, machinesMax)
	g.Spec.ScaleDown.UnneededFor = &metav1.Duration{Duration: unneededFor}
	g.Spec.Offerings = []int64{workload.Medium, large}
	s.Create(g, workload.Deployment(s.Namespace, work, 0, workload.OnePerNode))
	s.AwaitCondition(group, v1beta1.ConditionReady, metav1.ConditionTrue)
	s.AwaitCondition(group, v1beta1.ConditionAPIHealthy, metav1.ConditionTrue)
	return s
}

// breakNothing mends at the end of the test whatever it left broken, before the corner is cleaned.
func (s *storm) breakNothing() {
	switches, err := s.Sim.Switches(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.lanes.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), stacktest.Patience)
		defer cancel()
		problems := []error{s.Sim.ClearFaults(ctx), s.Sim.SetSwitches(ctx, stacktest.AsSwitches(switches)), s.rotateToken(ctx, ""), s.thawAll()}
		for _, service := range s.services() {
			for _, peer := range peers {
				if link := service.Link(peer); link != nil {
					problems = append(problems, link.Set(proxy.Fault{}))
				}
			}
			if !service.Running() {
				problems = append(problems, service.Launch())
			}
		}
		if !s.NATS.Running() {
			problems = append(problems, s.NATS.Start(ctx))
		}
		if err := errors.Join(problems...); err != nil {
			s.t.Error(err)
		}
	})
}

// thawAll lets everything go on that a test may have frozen.
func (s *storm) thawAll() error {
	for _, service := range s.services() {
		service.Thaw()
	}
	s.NATS.Thaw()
	return s.thawKubernetes()
}

// services are the first replicas.
func (s *storm) services() []*stack.Service {
	var all []*stack.Service
	for _, name := range stack.Services() {
		all = append(all, s.Service(name))
	}
	return all
}

// say logs what happens, with its time.
func (s *storm) say(format string, args ...any) {
	s.t.Logf("%7s  %s", time.Since(s.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// trouble is one thing that goes wrong for a while.
type trouble struct {
	name string
	// calm is how long nothing of its lane goes wrong before it, lasts how long it does at least.
	calm, lasts time.Duration
	// begin makes it go wrong and returns what ends that.
	begin func(ctx context.Context) (end func() error, err error)
}

// breaks starts a lane of troubles, which come one after the other.
func (s *storm) breaks(lane ...trouble) {
	ctx := s.t.Context()
	s.lanes.Go(func() {
		for _, next := range lane {
			if !lapse(ctx, next.calm) {
				return
			}
			s.say("%s begins", next.name)
			end, err := next.begin(ctx)
			if err != nil {
				s.t.Errorf("%s: %v", next.name, err)
				return
			}
			lapse(ctx, next.lasts)
			if err := end(); err != nil {
				s.t.Errorf("end of %s: %v", next.name, err)
				return
			}
			s.say("%s is over", next.name)
		}
	})
}

// lapse lets time pass, and reports false when the test ended meanwhile.
func lapse(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// over is closed when every lane has come to its end.
func (s *storm) over() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		s.lanes.Wait()
		close(done)
	}()
	return done
}

// list writes the names of troubles in their order.
func list(lane []trouble) string {
	var names []string
	for _, t := range lane {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

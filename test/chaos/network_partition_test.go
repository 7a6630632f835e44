//go:build chaos

package chaos_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/proxy"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

const (
	// partition is longer than a Lease.
	partition = 13 * time.Second
	// detour is how long connections are slow or lose one direction.
	detour = 6 * time.Second
	// slowest is a round trip to the API server that a leader can still keep its Lease with.
	slowest = 5 * time.Second
	// slow is a round trip to everything else.
	slow = time.Second
	// stopped is how long the API server stands still.
	stopped = 30 * time.Second
	// resets is how often connections are reset in a row, and resetEvery the time between two of them.
	resets     = 8
	resetEvery = 300 * time.Millisecond
)

// TestNetworkFails lets the network between the services and all that they talk to be slow, lose connections, or pass
// nothing, and the API server stand still, several at once, while work comes and goes.
func TestNetworkFails(t *testing.T) {
	s := brew(t)
	all := stack.Services()
	victim := all[s.dice.IntN(len(all))]
	s.breaks(s.timed(shuffled(s.dice,
		s.link("latency", stack.Kubernetes, detour, proxy.Latency(slowest), all...),
		s.reset(stack.Kubernetes, all...),
		s.link("partition", stack.Kubernetes, partition, proxy.BlackHole(), victim),
		s.link("lost answers", stack.Kubernetes, detour, proxy.Fault{Down: proxy.Way{Hold: true}}, stack.Provisioner),
		s.kubernetesStopped(),
	))...)
	s.breaks(s.timed(shuffled(s.dice,
		s.link("latency", stack.Bus, detour, proxy.Latency(slow), all...),
		s.reset(stack.Bus, all...),
		s.link("partition", stack.Bus, partition, proxy.BlackHole(), all...),
		s.link("lost questions", stack.Bus, detour, proxy.Fault{Up: proxy.Way{Hold: true}}, stack.Observer),
	))...)
	s.breaks(s.timed(shuffled(s.dice,
		s.link("latency", stack.VPSie, detour, proxy.Latency(slow), stack.Provisioner),
		s.reset(stack.VPSie, stack.Provisioner),
		s.link("partition", stack.VPSie, detour, proxy.BlackHole(), stack.Provisioner),
		s.link("lost answers", stack.VPSie, detour, proxy.Fault{Down: proxy.Way{Hold: true}}, stack.Provisioner),
		s.link("partition", stack.Catalogue, detour, proxy.BlackHole(), stack.Planner),
		s.reset(stack.Catalogue, stack.Planner),
	))...)
	s.ride()
}

// link disturbs what services say to a peer.
func (s *storm) link(what string, to stack.Peer, lasts time.Duration, f proxy.Fault, services ...string) trouble {
	set := func(f proxy.Fault) error {
		var problems []error
		for _, name := range services {
			problems = append(problems, s.Service(name).Link(to).Set(f))
		}
		return errors.Join(problems...)
	}
	return trouble{
		name: parting(what, to, services), lasts: lasts,
		begin: func(context.Context) (func() error, error) {
			return func() error { return set(proxy.Fault{}) }, set(f)
		},
	}
}

// parting names a trouble after those whom it parts.
func parting(what string, to stack.Peer, services []string) string {
	who := "the services"
	if len(services) == 1 {
		who = "the " + services[0]
	}
	return what + " between " + who + " and " + string(to)
}

// reset resets the connections to a peer, again and again.
func (s *storm) reset(to stack.Peer, services ...string) trouble {
	return trouble{
		name: parting("resets", to, services),
		begin: func(ctx context.Context) (func() error, error) {
			for range resets {
				for _, name := range services {
					s.Service(name).Link(to).Reset()
				}
				lapse(ctx, resetEvery)
			}
			return func() error { return nil }, nil
		},
	}
}

func (s *storm) kubernetesStopped() trouble {
	return trouble{
		name: "standstill of the API server", lasts: stopped,
		begin: func(context.Context) (func() error, error) { return s.thawKubernetes, s.freezeKubernetes() },
	}
}

//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

const (
	// freeze is longer than a Lease, so that a frozen leader has lost its own when it goes on.
	freeze = 12 * time.Second
	// deadMax is how long a killed process is gone at most.
	deadMax = 2 * time.Second
	// calmMax is how long a process is left alone at most.
	calmMax = 3 * time.Second
	// halfDone is how much slower VPSie is made where a launch must be found half done.
	halfDone = 300 * time.Millisecond
)

// TestPartsDieAndFreeze kills and freezes each service and NATS at moments that dice choose, NATS once with the loss
// of all it has stored, while work comes and goes.
func TestPartsDieAndFreeze(t *testing.T) {
	s := brew(t)
	for _, name := range stack.Services() {
		s.breaks(s.timed(shuffled(s.dice, s.killed(name), s.frozen(name)))...)
	}
	s.breaks(s.timed(shuffled(s.dice, s.natsKilled(false), s.natsKilled(true), s.natsFrozen()))...)
	s.ride()
}

// timed draws how long each trouble is waited for.
func (s *storm) timed(lane []trouble) []trouble {
	for i := range lane {
		lane[i].calm = between(s.dice, 0, calmMax)
	}
	s.say("a lane of trouble: %s", list(lane))
	return lane
}

func (s *storm) killed(name string) trouble {
	service := s.Service(name)
	return trouble{
		name: "death of the " + name, lasts: between(s.dice, 0, deadMax),
		begin: func(context.Context) (func() error, error) {
			service.Kill()
			return service.Launch, nil
		},
	}
}

func (s *storm) frozen(name string) trouble {
	service := s.Service(name)
	return trouble{
		name: "freeze of the " + name, lasts: freeze,
		begin: func(context.Context) (func() error, error) {
			service.Freeze()
			return func() error { service.Thaw(); return nil }, nil
		},
	}
}

// natsKilled ends NATS as a crash would, and may lose what it has stored.
func (s *storm) natsKilled(wiped bool) trouble {
	what := "death of NATS"
	if wiped {
		what += " and its store"
	}
	return trouble{
		name: what, lasts: between(s.dice, 0, deadMax),
		begin: func(context.Context) (func() error, error) {
			s.NATS.Kill()
			if wiped {
				if err := s.NATS.Wipe(); err != nil {
					return nil, err
				}
			}
			return func() error { return s.NATS.Start(context.Background()) }, nil
		},
	}
}

func (s *storm) natsFrozen() trouble {
	return trouble{
		name: "freeze of NATS", lasts: freeze,
		begin: func(context.Context) (func() error, error) {
			s.NATS.Freeze()
			return func() error { s.NATS.Thaw(); return nil }, nil
		},
	}
}

// TestFrozenLeadersAreReplaced freezes the leader of every service in the middle of a launch: the standbys go on,
// and what the old leaders do when they thaw harms nothing.
func TestFrozenLeadersAreReplaced(t *testing.T) {
	s := brew(t)
	const pods = 5
	leaders := map[string]string{}
	for _, name := range stack.Services() {
		leaders[name] = s.awaitHolder(name, "")
		standby, err := s.AddReplica(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := standby.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	s.Switch(map[string]any{"latency": halfDone.String()})
	s.Scale(work, pods)
	s.Eventually("a machine is requested from VPSie", func(context.Context) (bool, string) {
		n := len(s.Launched())
		return n > 0, fmt.Sprintf("%d are requested", n)
	})
	frozen := shuffled(s.dice, s.services()...)
	for _, service := range frozen {
		service.Freeze()
		s.say("%s is frozen after %d machines were requested", service.Name, len(s.Launched()))
	}
	for _, name := range stack.Services() {
		s.say("%s is elected", s.awaitHolder(name, leaders[name]))
	}
	s.AwaitRunning(work, pods)
	// The old leaders wake up one after the other while the new ones take machines away.
	s.Scale(work, 1)
	for _, service := range slices.Backward(frozen) {
		lapse(t.Context(), between(s.dice, 0, calmMax))
		service.Thaw()
		s.say("%s thaws", service.Name)
	}
	s.settles(1)
}

// awaitHolder waits until a service's Lease is held by another than the given one, and returns its holder.
func (s *storm) awaitHolder(service, other string) string {
	s.t.Helper()
	var holder string
	s.Eventually("a replica of the "+service+" is elected", func(ctx context.Context) (bool, string) {
		lease, err := s.Kube.CoordinationV1().Leases(stack.Namespace).Get(ctx, "vpsie-"+service, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		if lease.Spec.HolderIdentity == nil {
			return false, "the Lease is free"
		}
		holder = *lease.Spec.HolderIdentity
		return holder != "" && holder != other, "the Lease is held by " + holder
	})
	return holder
}

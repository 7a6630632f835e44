//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/proxy"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

const (
	// failing is how long VPSie fails in one way.
	failing = 2500 * time.Millisecond
	// strikeMax is how long a failure waits at most for a call that it can strike.
	strikeMax = 15 * time.Second
	// listLag is how old listings are while they lag, less than the provisioner settles an unclear launch request for.
	listLag = 5 * time.Second
	// breath is how long VPSie works between two failures at most.
	breath = time.Second
	// launchDeadline is the short one of the test that lets machines never join.
	launchDeadline = 10 * time.Second
)

// Endpoints that launch and delete machines.
const (
	launches = "k8s.addSlave*"
	deletes  = "k8s.deleteSlave"
)

// TestVPSieFails lets VPSie fail in every way that it has, in an order that dice choose, while machines are lost
// and work comes and goes.
func TestVPSieFails(t *testing.T) {
	s := brew(t)
	failures := shuffled(s.dice, s.vpsieFailures()...)
	for i := range failures {
		failures[i].calm = between(s.dice, 0, breath)
	}
	s.say("VPSie's failures: %s", list(failures))
	s.breaks(failures...)
	s.breaks(s.timed(shuffled(s.dice, s.machineDeleted(), s.machineVanished()))...)
	s.ride()
}

func (s *storm) vpsieFailures() []trouble {
	return []trouble{
		s.outage(),
		s.fault("status 500", vpsiesim.Fault{Kind: vpsiesim.FaultStatus500}),
		s.fault("proxy's page", vpsiesim.Fault{Kind: vpsiesim.FaultHTML502}),
		s.fault("too many requests", vpsiesim.Fault{Kind: vpsiesim.FaultStatus429, RetryAfterSeconds: 2}),
		s.fault("timeout after success", vpsiesim.Fault{Kind: vpsiesim.FaultTimeout, Process: true, HoldSeconds: 1, Probability: 0.5}),
		s.fault("lost replies to launch requests", vpsiesim.Fault{Kind: vpsiesim.FaultLostReply, Endpoint: launches}),
		s.fault("lost replies to deletions", vpsiesim.Fault{Kind: vpsiesim.FaultLostReply, Endpoint: deletes}),
		s.fault("200 with an error", vpsiesim.Fault{Kind: vpsiesim.FaultError200, Message: "Internal Server Error", Probability: 0.5}),
		s.fault("malformed bodies", vpsiesim.Fault{Kind: vpsiesim.FaultMalformed, Probability: 0.5}),
		s.fault("huge bodies", vpsiesim.Fault{Kind: vpsiesim.FaultHugeBody, Count: 2}),
		s.behaviour("lists that lag", map[string]any{"listLag": listLag.String()}, map[string]any{"listLag": "0s"}, listLag+failing),
		s.behaviour("partial lists", map[string]any{"listHides": 40}, map[string]any{"listHides": 0}, failing),
		s.behaviour("empty lists", map[string]any{"listHides": 100}, map[string]any{"listHides": 0}, failing),
		s.behaviour("a size sold out", map[string]any{"soldOut": []string{fmt.Sprint(workload.Medium)}}, map[string]any{"soldOut": []string{}}, failing),
		s.behaviour("a cap on workers", map[string]any{"workerCap": 2}, map[string]any{"workerCap": workerCap}, failing),
		s.tokenRevoked(),
		s.tokenRotated(),
	}
}

// workerCap is the stack's own.
const workerCap = 100

func (s *storm) outage() trouble {
	link := s.Service(stack.Provisioner).Link(stack.VPSie)
	return trouble{
		name: "outage", lasts: failing,
		begin: func(context.Context) (func() error, error) {
			return func() error { return link.Set(proxy.Fault{}) }, link.Set(proxy.Fault{Away: true})
		},
	}
}

func (s *storm) fault(name string, f vpsiesim.Fault) trouble {
	return trouble{
		name: name, lasts: failing,
		begin: func(ctx context.Context) (func() error, error) {
			added, err := s.Sim.AddFaults(ctx, f)
			if err != nil {
				return nil, err
			}
			return func() error {
				if !s.awaitStrike(ctx, added[0].ID) {
					s.say("%s struck no call", name)
				}
				return s.Sim.ClearFaults(context.Background())
			}, nil
		},
	}
}

// awaitStrike waits until a fault has struck a call, but not for ever, and reports whether it has.
func (s *storm) awaitStrike(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, strikeMax)
	defer cancel()
	for lapse(ctx, lookEvery) {
		faults, err := s.Sim.Faults(ctx)
		if err != nil {
			break
		}
		// One that has struck as often as it may is not among them any more.
		waits := slices.ContainsFunc(faults, func(f vpsiesim.Fault) bool { return f.ID == id && f.Hits == 0 })
		if !waits {
			return true
		}
	}
	return false
}

func (s *storm) behaviour(name string, during, after map[string]any, lasts time.Duration) trouble {
	return trouble{
		name: name, lasts: lasts,
		begin: func(ctx context.Context) (func() error, error) {
			return func() error { return s.Sim.SetSwitches(context.Background(), after) }, s.Sim.SetSwitches(ctx, during)
		},
	}
}

func (s *storm) tokenRevoked() trouble {
	return trouble{
		name: "revoked token", lasts: failing,
		begin: func(ctx context.Context) (func() error, error) {
			return func() error { return s.rotateToken(context.Background(), "") },
				s.Sim.ChangeToken(ctx, vpsiesim.TokenChange{Revoke: true})
		},
	}
}

// tokenRotated makes another token the good one, which the services are given a little later, as when a mounted
// secret is replaced.
func (s *storm) tokenRotated() trouble {
	token := fmt.Sprintf("rotated-%016x", s.dice.Uint64())
	return trouble{
		name: "rotated token", lasts: failing / 2,
		begin: func(ctx context.Context) (func() error, error) {
			return func() error { return s.WriteToken(token) }, s.Sim.ChangeToken(ctx, vpsiesim.TokenChange{Token: token})
		},
	}
}

// TestMachinesThatNeverJoinAreReplaced lets a machine that pods wait for never come to life.
func TestMachinesThatNeverJoinAreReplaced(t *testing.T) {
	s := brew(t)
	planner := s.Service(stack.Planner)
	s.relaunch(planner, "--launch-deadline="+launchDeadline.String())
	t.Cleanup(func() { s.relaunch(planner) })
	s.Switch(map[string]any{"nodeRegisters": false})
	s.Scale(work, 1)
	s.Eventually("a machine is launched that never joins", func(context.Context) (bool, string) {
		return len(s.Launched()) > 0, "none is"
	})
	if err := s.Sim.SetSwitches(t.Context(), map[string]any{"nodeRegisters": true}); err != nil {
		t.Fatal(err)
	}
	dead := s.Launched()[0]
	s.settles(1)
	truth, _ := s.Truth().Find(dead.Identifier)
	if truth.HowDeleted != vpsiesim.DeletedByIdentifier || truth.GoneAt.IsZero() {
		t.Errorf("machine %s, which never joined, is %s and was deleted by %q", dead.Hostname, truth.State, truth.HowDeleted)
	}
}

// relaunch starts a service again with further arguments.
func (s *storm) relaunch(service *stack.Service, args ...string) {
	s.t.Helper()
	if err := service.Stop(); err != nil {
		s.t.Error(err)
	}
	service.Configure(args...)
	ctx, cancel := context.WithTimeout(context.Background(), settlePatience)
	defer cancel()
	if err := service.Start(ctx); err != nil {
		s.t.Error(err)
	}
}

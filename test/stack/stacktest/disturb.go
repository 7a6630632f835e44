package stacktest

import (
	"context"
	"encoding/json"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// Kill ends the first replica of a service as a crash would. If the test does not start it again,
// the end of the test does.
func (s *Scenario) Kill(name string) {
	s.t.Helper()
	service := s.Service(name)
	service.Kill()
	s.t.Cleanup(func() {
		if service.Running() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := service.Start(ctx); err != nil {
			s.t.Error(err)
		}
	})
}

// Restart starts a service that Kill ended and returns when it is ready.
func (s *Scenario) Restart(name string) {
	s.t.Helper()
	if err := s.Service(name).Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// StopNATS stops the bus's server. If the test does not start it again, the end of the test does.
func (s *Scenario) StopNATS() {
	s.t.Helper()
	s.NATS.Stop()
	s.t.Cleanup(func() {
		if s.NATS.Running() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := s.NATS.Start(ctx); err != nil {
			s.t.Error(err)
		}
	})
}

// StartNATSEmpty starts the stopped server of the bus without anything that it has stored.
func (s *Scenario) StartNATSEmpty() {
	s.t.Helper()
	if err := s.NATS.Wipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.NATS.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// Switch changes switches of the simulated cloud, and puts them back at the end of the test.
func (s *Scenario) Switch(values map[string]any) {
	s.t.Helper()
	before, err := s.Sim.Switches(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Sim.SetSwitches(s.t.Context(), values); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := s.Sim.SetSwitches(context.Background(), AsSwitches(before)); err != nil {
			s.t.Error(err)
		}
	})
}

// AsSwitches writes switches in the form in which they are set.
func AsSwitches(s vpsiesim.Switches) map[string]any {
	values := map[string]any{}
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &values)
	}
	if err != nil {
		panic(err) // the simulator reads the same form
	}
	return values
}

// Break makes VPSie fail as told. If the faults do not end by themselves, the end of the test ends them.
func (s *Scenario) Break(faults ...vpsiesim.Fault) {
	s.t.Helper()
	if _, err := s.Sim.AddFaults(s.t.Context(), faults...); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := s.Sim.ClearFaults(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
}

// RefuseToken makes VPSie refuse the services' credentials until the returned function or the end of
// the test makes them good again.
func (s *Scenario) RefuseToken() (restore func()) {
	s.t.Helper()
	change := func(token string) {
		s.t.Helper()
		if err := s.Sim.ChangeToken(context.Background(), vpsiesim.TokenChange{Token: token}); err != nil {
			s.t.Error(err)
		}
	}
	change("another-token")
	restore = func() { change(vpsiesim.DefaultToken) }
	s.t.Cleanup(restore)
	return restore
}

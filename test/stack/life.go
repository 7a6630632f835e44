package stack

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/process"
)

const (
	// stopTimeout is how long a service may take for an orderly stop; its own limit is 25 s.
	stopTimeout = 40 * time.Second
	// restartDelay is how long a service that ended by itself stays dead.
	restartDelay = time.Second
	// statusGivenUp is the exit status of a service that ends so that another replica or its next life takes over.
	statusGivenUp = 1
)

// Start starts a service that was stopped or killed and returns when it is ready.
func (s *Service) Start(ctx context.Context) error {
	if err := s.Launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.awaitReady(ctx)
}

// Launch starts a service that was stopped or killed and does not wait for it.
func (s *Service) Launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return fmt.Errorf("%s runs already", s.Name)
	}
	return s.launch()
}

// launch starts a life. The caller holds the lock.
func (s *Service) launch() error {
	args := append(append([]string{}, s.args...), s.further...)
	p, err := process.Start(process.Options{Name: s.Name, Path: s.path, Args: args, Env: s.env, LogFile: s.LogFile})
	if err != nil {
		return err
	}
	s.process, s.frozen = p, false
	if s.restarts {
		s.work.Go(func() { s.restart(p) })
	}
	return nil
}

// restart starts the service again after a life that it has given up by itself.
func (s *Service) restart(p *process.Process) {
	if !hasGivenUp(p) {
		return
	}
	time.Sleep(restartDelay)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != p {
		return // what happens to it now is wanted
	}
	// Without its next life the service stays one that has given up, and is never ready.
	_ = s.launch()
}

// hasGivenUp waits for the end of a life and reports whether the service chose it.
func hasGivenUp(p *process.Process) bool {
	status, ok := errors.AsType[*exec.ExitError](p.Err())
	return ok && status.ExitCode() == statusGivenUp
}

// Configure sets arguments that the service gets from its next start on, besides those that it always has;
// they override them.
func (s *Service) Configure(args ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.further = args
}

func (s *Service) awaitReady(ctx context.Context) error {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	err := process.Await(ctx, process.HTTPProbe(s.Name, s.OpsURL+"/readyz", nil), p)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w; end of %s:\n%s", err, s.LogFile, process.Tail(s.LogFile))
	}
	return err
}

// take returns the running process, if any, and forgets it: what happens to it now is wanted.
func (s *Service) take() *process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.process
	if s.frozen {
		p.Signal(syscall.SIGCONT)
	}
	s.process, s.frozen = nil, false
	return p
}

// Running reports whether the service was started and not stopped since; it may have died.
func (s *Service) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
}

// answers reports whether the service runs and is not frozen.
func (s *Service) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && !s.frozen
}

// Freeze stops the service's process where it stands, without its knowledge, until Thaw. A service that
// does not run is left alone.
func (s *Service) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Signal(syscall.SIGSTOP)
		s.frozen = true
	}
}

// Thaw lets a frozen service go on.
func (s *Service) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		s.process.Signal(syscall.SIGCONT)
		s.frozen = false
	}
}

// Kill ends the service as a crash would and waits until it is gone.
func (s *Service) Kill() {
	if p := s.take(); p != nil {
		p.Kill()
	}
}

// Stop asks the service to end, waits for it, and returns an error if it ended badly or had to be
// killed. A service that does not run is fine.
func (s *Service) Stop() error {
	p := s.take()
	if p == nil {
		return nil
	}
	if s.restarts && isOver(p) && hasGivenUp(p) {
		return nil // between two lives
	}
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done():
	case <-time.After(stopTimeout):
		p.Kill()
		return fmt.Errorf("%s did not stop within %s; end of %s:\n%s", s.Name, stopTimeout, s.LogFile, process.Tail(s.LogFile))
	}
	if p.Err() != nil {
		return p.Failure()
	}
	return nil
}

// Err returns how the service died although it should run, or nil.
func (s *Service) Err() error {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil || !isOver(p) || s.restarts && hasGivenUp(p) {
		return nil
	}
	return p.Failure()
}

// isOver reports whether the process has ended.
func isOver(p *process.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

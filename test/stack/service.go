package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/process"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	// stopTimeout is how long a service may take for an orderly stop; its own limit is 25 s.
	stopTimeout = 40 * time.Second
	// metricsBytesMax bounds an answer of a service.
	metricsBytesMax = 16 << 20
)

// Service is one replica of a service. Its methods may be called concurrently.
type Service struct {
	// Name is the service's name; its further replicas have the same.
	Name string
	// LogFile holds the log of all its lives.
	LogFile string
	// OpsURL is where health, readiness and metrics are.
	OpsURL string
	// RPCAddress is where the service serves gRPC, empty if it does not.
	RPCAddress string

	path string
	args []string
	env  []string

	mu      sync.Mutex
	process *process.Process // nil while it should not run
}

// Service returns the first replica of a service; it panics on a name that Services does not list.
func (s *Stack) Service(name string) *Service {
	if err := known(name); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services[name]
}

// AddReplica starts another replica of a service and returns when it is ready. The stack stops it.
func (s *Stack) AddReplica(ctx context.Context, name string) (*Service, error) {
	if err := known(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	number := 2
	for _, r := range s.replicas {
		if r.Name == name {
			number++
		}
	}
	s.mu.Unlock()
	r, err := s.newService(name, fmt.Sprintf("%s-%d", name, number))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.replicas = append(s.replicas, r)
	s.mu.Unlock()
	return r, r.Start(ctx)
}

// startServices starts the first replicas side by side.
func (s *Stack) startServices(ctx context.Context) error {
	if err := os.WriteFile(s.path("token"), []byte(vpsiesim.DefaultToken+"\n"), 0o600); err != nil {
		return err
	}
	addresses, err := freeAddresses(1)
	if err != nil {
		return err
	}
	if s.catalogue, err = newRelay(addresses[0], s.catalogueAddresses); err != nil {
		return err
	}
	for _, name := range Services() {
		service, err := s.newService(name, name)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.services[name] = service
		s.mu.Unlock()
		fmt.Fprintf(s.log, "stack: start %s\n", name)
		if err := service.launch(); err != nil {
			return err
		}
	}
	for _, name := range Services() {
		if err := s.Service(name).awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// newService prepares a replica with a log and an operations port of its own.
func (s *Stack) newService(name, replica string) (*Service, error) {
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	service := &Service{
		Name: name, LogFile: s.path("logs", replica+".log"), OpsURL: "http://" + addresses[0],
		path: s.commands[name], env: s.options.Env,
	}
	args := []string{
		"--ops-address=" + addresses[0],
		"--kubeconfig=" + s.path(name+".kubeconfig"),
		"--namespace=" + Namespace,
		"--bus-url=" + s.NATS.URL,
	}
	switch name {
	case Planner:
		args = append(args, "--catalogue-address="+s.catalogue.listener.Addr().String())
	case Provisioner:
		service.RPCAddress = addresses[1]
		args = append(args,
			"--rpc-address="+service.RPCAddress,
			"--vpsie-url="+s.simURL,
			"--vpsie-token-file="+s.path("token"),
			// A real cloud is slower and meaner than what is simulated here.
			"--vpsie-requests-per-minute=600",
			"--vpsie-burst=60",
			"--vpsie-breaker-delay=5s",
			"--launch-settle=15s",
			"--launch-poll=500ms",
			"--drain-settle=1s",
			"--absence-interval=1s",
		)
	}
	service.args = append(args, s.options.ServiceArgs[name]...)
	return service, nil
}

// catalogueAddresses are where the provisioner's replicas serve the catalogue.
func (s *Stack) catalogueAddresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addresses []string
	for _, service := range s.all() {
		if service.Name == Provisioner && service.Running() {
			addresses = append(addresses, service.RPCAddress)
		}
	}
	return addresses
}

func (s *Stack) stopServices() []error {
	s.mu.Lock()
	all := s.all()
	s.mu.Unlock()
	problems := make([]error, len(all))
	var stopping sync.WaitGroup
	for i, service := range all {
		stopping.Go(func() { problems[i] = service.Stop() })
	}
	stopping.Wait()
	return problems
}

// all returns every replica. The caller holds the lock.
func (s *Stack) all() []*Service {
	var all []*Service
	for _, name := range Services() {
		if service := s.services[name]; service != nil {
			all = append(all, service)
		}
	}
	return append(all, s.replicas...)
}

// Start starts a service that was stopped or killed and returns when it is ready.
func (s *Service) Start(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.awaitReady(ctx)
}

func (s *Service) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return fmt.Errorf("%s runs already", s.Name)
	}
	p, err := process.Start(process.Options{Name: s.Name, Path: s.path, Args: s.args, Env: s.env, LogFile: s.LogFile})
	if err != nil {
		return err
	}
	s.process = p
	return nil
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
	s.process = nil
	return p
}

// Running reports whether the service was started and not stopped since; it may have died.
func (s *Service) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
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
	if p == nil {
		return nil
	}
	select {
	case <-p.Done():
		return p.Failure()
	default:
		return nil
	}
}

// ResidentBytes is the memory that the running service occupies.
func (s *Service) ResidentBytes() (int64, error) {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return 0, fmt.Errorf("%s does not run", s.Name)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s: no VmRSS in its status", s.Name)
}

// Metrics returns the service's metrics in Prometheus' text form.
func (s *Service) Metrics(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.OpsURL+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("metrics of %s: %w", s.Name, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, metricsBytesMax))
	if err != nil {
		return "", fmt.Errorf("metrics of %s: %w", s.Name, err)
	}
	return string(text), nil
}

// LogTail returns the end of the service's log.
func (s *Service) LogTail() string { return process.Tail(s.LogFile) }

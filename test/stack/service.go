package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/vpsie/vpsie-autoscaler/test/process"
	"github.com/vpsie/vpsie-autoscaler/test/proxy"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// metricsBytesMax bounds an answer of a service.
const metricsBytesMax = 16 << 20

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

	path  string
	args  []string
	env   []string
	links map[Peer]*proxy.Proxy
	// restarts says that the service is started again when it ends with status 1, by goroutines of work.
	restarts bool
	work     *sync.WaitGroup

	mu      sync.Mutex
	process *process.Process // nil while it should not run
	frozen  bool
	further []string // arguments of its next lives, after args
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
	r, err := s.newService(ctx, name, fmt.Sprintf("%s-%d", name, number))
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
	if err := s.WriteToken(vpsiesim.DefaultToken); err != nil {
		return err
	}
	for _, name := range Services() {
		service, err := s.newService(ctx, name, name)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.services[name] = service
		s.mu.Unlock()
		fmt.Fprintf(s.log, "stack: start %s\n", name)
		if err := service.Launch(); err != nil {
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

// newService prepares a replica with a log, a kubeconfig and an operations port of its own.
func (s *Stack) newService(ctx context.Context, name, replica string) (*Service, error) {
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	service := &Service{
		Name: name, LogFile: s.path("logs", replica+".log"), OpsURL: "http://" + addresses[0],
		path: s.commands[name], env: s.options.Env, links: map[Peer]*proxy.Proxy{}, restarts: s.options.Restart, work: &s.work,
	}
	peers, err := s.connectService(ctx, service, replica)
	if err != nil {
		return nil, err
	}
	args := []string{
		"--ops-address=" + addresses[0],
		"--kubeconfig=" + s.path(replica+".kubeconfig"),
		"--namespace=" + Namespace,
		"--bus-url=nats://" + peers[Bus],
	}
	switch name {
	case Planner:
		service.RPCAddress = addresses[1]
		args = append(args, "--catalogue-address="+peers[Catalogue], "--rpc-address="+service.RPCAddress)
	case Provisioner:
		service.RPCAddress = addresses[1]
		args = append(args,
			"--rpc-address="+service.RPCAddress,
			"--vpsie-url=http://"+peers[VPSie],
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

// WriteToken replaces the credentials with which the services call VPSie, at once, as a mounted secret is replaced.
func (s *Stack) WriteToken(token string) error {
	next := s.path("token.next")
	if err := os.WriteFile(next, []byte(token+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.path("token"))
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

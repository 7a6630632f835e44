// Package stack runs the whole product on real parts, each in a process of its own: a control plane
// with KWOK, a NATS server, the simulated VPSie cloud, and the services under their own identities.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/test/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/process"
	"github.com/vpsie/vpsie-autoscaler/test/proxy"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// Namespace is where the services run, as far as Kubernetes is concerned.
const Namespace = "vpsie-autoscaler"

// Names of the services.
const (
	Observer    = "observer"
	Planner     = "planner"
	Provisioner = "provisioner"
)

// Services lists the services.
func Services() []string { return []string{Observer, Planner, Provisioner} }

// startTimeout bounds the start of everything once the control plane runs.
// It takes about five seconds on an idle machine; a busy one gets the rest.
const startTimeout = 3 * time.Minute

// Options configure a stack. The zero value is a complete one in a temporary folder.
type Options struct {
	// Kubeconfig names a cluster to use instead of a new one, as its administrator. It must run
	// KWOK for annotated Nodes, as the one that "make cluster" leaves does, and have no other Nodes.
	Kubeconfig string
	// Bare says that this cluster has our definitions already and lets everybody do anything, as package kubesim's does:
	// nothing is installed, and the services have no identities.
	Bare bool
	// Dir keeps state and logs and must be empty or absent. When Dir is empty
	// a temporary folder is used, which Stop removes.
	Dir string
	// Log receives progress for people, or nothing when nil.
	Log io.Writer
	// ServiceArgs are further arguments by service; they override the stack's.
	ServiceArgs map[string][]string
	// SimArgs are further arguments of the simulated cloud; they override the stack's.
	SimArgs []string
	// Env is added to the environment of the services.
	Env []string
	// Links puts a proxy between each service and each of its peers.
	Links bool
	// Restart starts services that end with status 1 again, as a kubelet does: so they end when they lose
	// their Lease. Every other end is still taken for a crash.
	Restart bool
}

// Stack is the running product. Its methods may be called concurrently, except Stop.
type Stack struct {
	// Kubeconfig is the path of a kubeconfig that may do anything.
	Kubeconfig string
	// Kubectl is the path of a kubectl of the cluster's version.
	Kubectl string
	// Client may do anything, without a rate limit and without a cache.
	Client client.WithWatch
	// Kube may do anything, without a rate limit.
	Kube kubernetes.Interface
	// NATS is the bus's server. It may be stopped, wiped and started again.
	NATS *cluster.NATS
	// Sim is the simulated cloud's admin API.
	Sim *vpsiesim.AdminClient
	// Dir holds all state, and the services' logs in its folder "logs".
	Dir string

	options   Options
	temporary bool
	log       io.Writer
	config    *rest.Config
	cluster   *cluster.Cluster // nil when the cluster was there before
	commands  map[string]string
	simURL    string
	helpers   []*process.Process

	claims *claims
	// announced is what VPSieNodes showed of decisions.
	announced *announced
	facts     *facts
	stop      context.CancelFunc
	work      sync.WaitGroup

	mu       sync.Mutex
	services map[string]*Service
	replicas []*Service
	proxies  []*proxy.Proxy
}

// Start starts a stack and returns when every service is ready. Building missing programs is
// limited by ctx alone. The caller stops the stack; after an error nothing is left running.
func Start(ctx context.Context, o Options) (*Stack, error) {
	s, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start stack: %w", err), s.Stop())
	}
	return s, nil
}

func prepare(o Options) (*Stack, error) {
	s := &Stack{options: o, log: o.Log, Dir: o.Dir, services: map[string]*Service{}}
	if s.log == nil {
		s.log = io.Discard
	}
	if s.Dir == "" {
		dir, err := os.MkdirTemp("", "vpsie-stack-")
		if err != nil {
			return nil, err
		}
		s.Dir, s.temporary = dir, true
	}
	// Processes get paths, and their working folder need not stay ours.
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, err
	}
	s.Dir = dir
	return s, os.MkdirAll(s.path("logs"), 0o755)
}

func (s *Stack) start(ctx context.Context) error {
	if err := s.build(ctx); err != nil {
		return err
	}
	if err := s.startCluster(ctx); err != nil {
		return err
	}
	began := time.Now()
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = cancel
	ctx, cancel = context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, step := range []func(context.Context) error{
		s.startNATS,
		s.connect,
		s.install,
		s.refuseStrangers,
		s.startSimulator,
		s.startBusAdmin,
		func(ctx context.Context) error { return s.record(ctx, background) },
		s.startServices,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.log, "stack: all services are ready after %s; logs are in %s\n",
		time.Since(began).Round(time.Millisecond), s.path("logs"))
	return nil
}

// Stop ends everything: the services in order, so that they give up their Leases, the rest at once.
func (s *Stack) Stop() error {
	var problems []error
	if s.stop != nil {
		s.stop()
	}
	problems = append(problems, s.stopServices()...)
	for _, p := range s.proxies {
		p.Close()
	}
	for i := len(s.helpers) - 1; i >= 0; i-- {
		s.helpers[i].Kill()
	}
	if s.NATS != nil {
		problems = append(problems, s.NATS.Close())
	}
	if s.cluster != nil {
		problems = append(problems, s.cluster.Stop())
	}
	s.work.Wait()
	if s.temporary {
		problems = append(problems, os.RemoveAll(s.Dir))
	}
	return errors.Join(problems...)
}

// KeepFiles makes Stop leave state and logs behind even if the folder is a temporary one.
func (s *Stack) KeepFiles() { s.temporary = false }

// Err returns how a process that should run has died, or nil.
func (s *Stack) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var problems []error
	for _, service := range s.all() {
		problems = append(problems, service.Err())
	}
	for _, p := range s.helpers {
		select {
		case <-p.Done():
			problems = append(problems, p.Failure())
		default:
		}
	}
	return errors.Join(problems...)
}

// ControlPlane returns the control plane that the stack started, nil when it uses one that was there before.
func (s *Stack) ControlPlane() *cluster.Cluster { return s.cluster }

// RESTConfig returns a client configuration that may do anything, without a client-side rate limit.
func (s *Stack) RESTConfig() *rest.Config { return rest.CopyConfig(s.config) }

// AuditLog returns the file in which the API server records every write of the services,
// or "" when it does not.
func (s *Stack) AuditLog() string {
	file := cluster.AuditLog(s.Kubeconfig)
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

func (s *Stack) path(elements ...string) string {
	return filepath.Join(append([]string{s.Dir}, elements...)...)
}

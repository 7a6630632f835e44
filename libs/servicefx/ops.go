package servicefx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
)

// Readiness collects the checks that decide whether the service can serve. Liveness has none:
// it is the process's own and never depends on anything outside. Safe for concurrent use.
type Readiness struct {
	mu     sync.Mutex
	checks map[string]func() error
}

// NewReadiness returns a collection without checks, which is ready.
func NewReadiness() *Readiness { return &Readiness{checks: map[string]func() error{}} }

// Add names a check; it must return quickly and name what is missing.
func (r *Readiness) Add(name string, check func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks[name] = check
}

// Err joins what keeps the service from being ready, in the order of the checks' names.
func (r *Readiness) Err() error {
	r.mu.Lock()
	checks := maps.Clone(r.checks)
	r.mu.Unlock()
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if err := checks[name](); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

// Ops serves health, readiness, metrics and pprof on one port.
type Ops struct {
	address string
	network rpc.Network
	ready   *Readiness
	log     *slog.Logger
}

// NewOps returns a server that listens on the configured address once started.
func NewOps(c Config, network rpc.Network, ready *Readiness, log *slog.Logger) *Ops {
	return &Ops{address: c.OpsAddress, network: network, ready: ready, log: log}
}

// NeedLeaderElection is false: a standby must be observable too.
func (*Ops) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (o *Ops) Start(ctx context.Context) error {
	listener, err := o.network.Listen(ctx, o.address)
	if err != nil {
		return fmt.Errorf("listen for operations on %s: %w", o.address, err)
	}
	o.log.InfoContext(ctx, "operations endpoint ready", "address", listener.Addr().String())
	server := &http.Server{Handler: o.Handler(), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve operations: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// Handler answers /healthz, /readyz, /metrics and /debug/pprof/.
func (o *Ops) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.ready.Err(); err != nil {
			http.Error(w, strings.TrimSpace(err.Error()), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

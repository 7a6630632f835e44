package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/fx"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/services/observer"
	"github.com/vpsie/vpsie-autoscaler/services/planner"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner"
)

// The services, by name.
const (
	Observer    = "observer"
	Planner     = "planner"
	Provisioner = "provisioner"
)

const (
	namespace        = "vpsie-autoscaler"
	catalogueAddress = "127.0.0.1:9090"
	stopTimeout      = time.Minute
	// cachesFillIn is how long informers may take to read once more.
	cachesFillIn = 90 * time.Second
	// repliesIn is how long what a dead process has requested may take to have its effect.
	repliesIn = 90 * time.Second
	// requestsPerSecond switches the client's own limits off, which are not what is simulated.
	requestsPerSecond = -1
)

// process is one running instance of a service: its own module, with everything outside replaced.
type process struct {
	service string
	name    string // service and number
	gate    *gate
	clock   *skewedClock
	started time.Time
	app     *fx.App
	log     *ring
	// wasFrozen says that it stood still, so that what it asked before may reach the world late.
	wasFrozen atomic.Bool
	// ending says that it was told to stop, or is dead.
	ending atomic.Bool
	// filled is closed when the caches of its manager are filled. Told to stop before, a manager waits for them without a pause, and
	// time in a bubble stands still for as long as it does.
	filled chan struct{}
	// ended is closed when the last goroutine of the process has ended.
	ended chan struct{}
}

// whenFilled is called once the caches of a manager are filled, whoever leads.
type whenFilled func()

func (f whenFilled) Start(context.Context) error { f(); return nil }
func (whenFilled) NeedLeaderElection() bool      { return false }

// justThawed reports whether it went on a moment ago, so that what it had asked before may reach the world now.
func (p *process) justThawed() bool {
	return p.wasFrozen.Load() && time.Since(p.gate.thawedAt()) < thawSlack
}

func (w *world) start(service string) *process {
	w.mu.Lock()
	w.processes++
	number, local := w.processes, &skewedClock{}
	local.skew.Store(int64(w.skew[service]))
	w.mu.Unlock()
	p := &process{
		service: service, name: fmt.Sprintf("%s-%d", service, number), started: time.Now(), clock: local,
		filled: make(chan struct{}), ended: make(chan struct{}), log: w.log,
	}
	p.gate = &gate{crashed: func() { w.crashed(p) }}
	if c := w.plan.crash; c != nil && c.service == service && c.call > 0 && !w.dies.Swap(true) {
		p.gate.crashIn(c.call, c.after)
		p.gate.crashed = func() { w.hit("crash-point"); w.crashed(p) }
	}
	log := slog.New(w.log.handler(p.name))
	p.app = fx.New(
		servicefx.Module(servicefx.Name(service)), bus.Messages, modules[service], fx.NopLogger,
		fx.Replace(
			servicefx.Args{Values: w.arguments(service), Out: io.Discard},
			&rest.Config{Host: "http://kubernetes.sim", Transport: w.cluster.server.TransportFor(p.name), QPS: requestsPerSecond, UserAgent: p.name},
			log,
			sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())),
		),
		fx.Decorate(
			func() *kube.Clock { return kube.NewClock(p.clock, log) },
			func() rpc.Network { return &gatedNetwork{world: w, owner: p} },
		),
		fx.Supply(
			servicefx.AdjustManager(func(o *manager.Options) { o.Controller.SkipNameValidation = new(true) }),
			feed.Open(func(context.Context) (feed.Bucket, error) { return w.bucketFor(p) }),
			fx.Annotate(w.busFor(p), fx.As(new(bus.Transport))),
		),
		outside(w, p),
		fx.Invoke(func(m manager.Manager) error { return m.Add(whenFilled(func() { close(p.filled) })) }),
	)
	w.mu.Lock()
	w.running[service] = append(w.running[service], p)
	w.cluster.clients[p.name] = p
	w.mu.Unlock()
	w.note("process", "start %s", p.name)
	if err := p.app.Start(context.Background()); err != nil {
		w.fail("harness", "%s does not start: %v", p.name, err)
	}
	gaveUp := p.app.Wait()
	go func() {
		select {
		case <-gaveUp:
			// Its manager gave up, for instance because its Lease went to another: the process ends.
			w.exited(p)
		case <-p.ended:
		}
	}()
	return p
}

var modules = map[string]fx.Option{Observer: observer.Module, Planner: planner.Module, Provisioner: provisioner.Module}

// outside replaces what only some services reach.
func outside(w *world, p *process) fx.Option {
	registry := fx.Decorate(func() prometheus.Registerer { return prometheus.NewRegistry() })
	switch p.service {
	case Planner:
		return registry
	case Provisioner:
		return fx.Options(registry, fx.Decorate(func() http.RoundTripper { return w.cloud.transportFor(p) }))
	}
	return fx.Options()
}

func (w *world) arguments(service string) []string {
	args := []string{"--kubeconfig=none", "--namespace=" + namespace, "--lease-duration=" + w.plan.leaseDuration.String(), "--log-level=info"}
	if service == Provisioner {
		args = append(args, "--vpsie-url=http://vpsie.sim", "--vpsie-token-file="+filepath.Join(w.folder, "token"), "--rpc-address="+catalogueAddress,
			"--vpsie-requests-per-minute=600", "--orphan-policy="+w.plan.orphanPolicy, "--cluster-poll="+w.plan.clusterPoll.String())
	}
	if service == Planner {
		args = append(args, "--catalogue-address="+catalogueAddress, "--plan-interval="+w.plan.planInterval.String())
	}
	return args
}

// stop ends a process in an orderly way, as a rolling update does.
func (w *world) stop(p *process) {
	w.note("process", "stop %s", p.name)
	if p.gate.isFrozen() || w.apiDown() {
		p.gate.cut() // what does not stop is killed in the end
	}
	w.end(p)
}

// kill ends a process at once.
func (w *world) kill(p *process) {
	w.note("process", "kill %s", p.name)
	p.gate.cut()
	w.end(p)
}

// end stops the goroutines of a process, which take part in nothing if it is dead.
func (w *world) end(p *process) {
	if !w.remove(p) {
		return // somebody else ends it
	}
	w.ending.Add(1)
	defer w.ending.Done()
	p.ending.Store(true)
	if p.gate.alive() != nil {
		time.Sleep(repliesIn)
	}
	select {
	case <-p.filled:
	case <-time.After(cachesFillIn):
	}
	time.Sleep(time.Millisecond) // which passes when all that the manager starts then has started
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := p.app.Stop(ctx); err != nil && p.gate.alive() == nil {
		w.fail("harness", "%s does not stop: %v", p.name, err)
	}
	p.gate.cut()
	w.cluster.server.CloseWatches(clientIs(p.name), nil)
	p.app = nil // the process is still asked what it was; its megabytes may go
	close(p.ended)
}

// remove forgets a process as running and reports whether it was.
func (w *world) remove(p *process) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.running[p.service] {
		if other == p {
			w.running[p.service] = append(w.running[p.service][:i:i], w.running[p.service][i+1:]...)
			return true
		}
	}
	return false
}

package servicefx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// Name is the service's name, as in its Lease, logs and traces.
type Name string

// Module provides what every service starts from. The service's own module provides a Config,
// usually by Load, and may provide cache.Options to trim what its informers keep.
func Module(name Name) fx.Option {
	return fx.Options(
		fx.StopTimeout(40*time.Second),
		fx.WithLogger(func(log *slog.Logger) fxevent.Logger {
			l := &fxevent.SlogLogger{Logger: log}
			l.UseLogLevel(slog.LevelDebug)
			return l
		}),
		fx.Module("servicefx",
			fx.Supply(name),
			fx.Provide(
				OSArgs,
				newLogger,
				newTracerProvider,
				NewReadiness,
				NewOps,
				restConfig,
				func() rpc.Network { return rpc.TCP{} },
				newManager,
				func(log *slog.Logger) *kube.Clock { return kube.NewClock(clock.RealClock{}, log) },
				func(c *kube.Clock) clock.WithTicker { return c },
				func(m manager.Manager) client.Client { return m.GetClient() },
				func(m manager.Manager) client.Reader { return m.GetAPIReader() },
			),
			fx.Invoke(tuneMemory, addOps, run),
		),
	)
}

func newLogger(name Name, c Config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("log-level %q: %w", c.LogLevel, err)
	}
	log := telemetry.NewLogger(os.Stdout, string(name), level)
	// client-go and controller-runtime speak of their inner life; operators read warnings.
	libraries := telemetry.NewLogger(os.Stdout, string(name), max(level, slog.LevelWarn))
	ctrl.SetLogger(logr.FromSlogHandler(libraries.Handler()))
	klog.SetSlogLogger(libraries)
	slog.SetDefault(log)
	return log, nil
}

func newTracerProvider(lc fx.Lifecycle, name Name) (*trace.TracerProvider, error) {
	provider, err := telemetry.NewTracerProvider(context.Background(), string(name))
	if err != nil {
		return nil, err
	}
	lc.Append(fx.Hook{OnStop: func(ctx context.Context) error {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return provider.Shutdown(flush)
	}})
	return provider, nil
}

func restConfig(c Config) (*rest.Config, error) { return kube.RESTConfig(c.Kubeconfig) }

// AdjustManager changes how a manager is made.
type AdjustManager func(*manager.Options)

type managerParams struct {
	fx.In

	Name   Name
	Config Config
	REST   *rest.Config
	Clock  *kube.Clock
	Cache  *cache.Options `optional:"true"`
	// Adjust changes the manager of a service that shares its process with others.
	Adjust AdjustManager `optional:"true"`
	// Tracing is asked for so that the provider is installed before anything makes spans.
	Tracing *trace.TracerProvider
	Log     *slog.Logger
}

func newManager(p managerParams) (manager.Manager, *Leadership, error) {
	scheme, err := kube.Scheme()
	if err != nil {
		return nil, nil, err
	}
	var cacheOptions cache.Options
	if p.Cache != nil {
		cacheOptions = *p.Cache
	}
	config := rest.CopyConfig(p.REST)
	config.Wrap(p.Clock.Listen)
	renewDeadline := p.Config.LeaseDuration * 7 / 10
	name := "vpsie-" + string(p.Name)
	lock, err := newLease(config, p.Config.Namespace, name, renewDeadline)
	if err != nil {
		return nil, nil, err
	}
	options := manager.Options{
		Scheme:                 scheme,
		Logger:                 ctrl.Log,
		Cache:                  cacheOptions,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		LeaderElection:         true,
		LeaderElectionID:       name,
		LeaseDuration:          new(p.Config.LeaseDuration),
		RenewDeadline:          new(renewDeadline),
		RetryPeriod:            new(p.Config.LeaseDuration / 5),
		// Safe because run ends the process as soon as the manager stops.
		LeaderElectionReleaseOnCancel:       true,
		LeaderElectionResourceLockInterface: lock,
		GracefulShutdownTimeout:             new(p.Config.StopTimeout),
	}
	if p.Adjust != nil {
		p.Adjust(&options)
	}
	mgr, err := manager.New(config, options)
	if err != nil {
		return nil, nil, fmt.Errorf("make manager: %w", err)
	}
	lock.LockConfig.EventRecorder = mgr.GetEventRecorderFor(lock.Identity()) //nolint:staticcheck // what the lock asks for
	return mgr, &Leadership{lock: lock, duration: p.Config.LeaseDuration}, nil
}

func addOps(m manager.Manager, o *Ops) error { return m.Add(o) }

// run starts the manager, the only blocking part of a service: everything long-lived is one of
// its runnables. When it ends by itself, the process ends with exit status 1.
func run(lc fx.Lifecycle, mgr manager.Manager, stop fx.Shutdowner, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	lc.Append(fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				defer close(done)
				err := mgr.Start(ctx)
				if ctx.Err() != nil && err == nil {
					return
				}
				log.ErrorContext(ctx, "manager stopped; the process exits so that another replica or a restart takes over", telemetry.KeyError, err)
				if err := stop.Shutdown(fx.ExitCode(1)); err != nil {
					log.ErrorContext(ctx, "shutdown failed", telemetry.KeyError, err)
				}
			}()
			return nil
		},
		OnStop: func(stopping context.Context) error {
			cancel()
			select {
			case <-done:
				return nil
			case <-stopping.Done():
				return errors.Join(errors.New("manager did not stop in time"), stopping.Err())
			}
		},
	})
}

// LeaderTask makes a function a runnable that only the elected replica runs.
func LeaderTask(f func(ctx context.Context) error) manager.Runnable {
	return task{run: f, leader: true}
}

// ReplicaTask makes a function a runnable that every replica runs, standby or not.
func ReplicaTask(f func(ctx context.Context) error) manager.Runnable { return task{run: f} }

type task struct {
	run    func(ctx context.Context) error
	leader bool
}

func (t task) Start(ctx context.Context) error { return t.run(ctx) }
func (t task) NeedLeaderElection() bool        { return t.leader }

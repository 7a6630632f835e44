// Package planner decides which machines to launch and which to retire.
package planner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/catalogue"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	libkube "github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/adapters/grpc"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/adapters/kube"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
)

// Config is what the planner can be told.
type Config struct {
	fx.Out

	Service   servicefx.Config `embed:""`
	Bus       bus.Config       `embed:"" prefix:"bus-"`
	Catalogue catalogue.Config `embed:"" prefix:"catalogue-"`
	App       app.Config       `embed:""`
	RPC       RPCConfig        `embed:"" prefix:"rpc-"`
}

// RPCConfig says where explanations are served.
type RPCConfig struct {
	Address string `help:"Address of the gRPC service that explains the last plan of a pod, a shape, a Node or a NodeGroup. The elected replica answers." default:"127.0.0.1:9091"`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	return errors.Join(c.Service.Validate(), c.Bus.Validate(), c.Catalogue.Validate(), c.App.Validate())
}

// Module is everything the planner is made of.
var Module = fx.Module("planner",
	fx.Provide(
		servicefx.Load[Config],
		kube.CacheOptions,
		newRecorder,
		func(r *libkube.PacedRecorder) events.EventRecorder { return r },
		newReplica,
		newCatalogues,
		func(r *feed.Replica) app.Feed { return r },
		func(c *catalogue.Client) app.Catalogues { return c },
		func(p *bus.Publisher) app.Announcer { return p },
		newOutbox,
		func(o *facts.Outbox, store client.Client, log *slog.Logger) *facts.Queue {
			return facts.NewQueue(o, store, log)
		},
		func(q *facts.Queue) app.Records { return q },
		func() prometheus.Registerer { return metrics.Registry },
		newBrake,
		func(l *servicefx.Leadership) app.Leadership { return l },
		newChanges,
		app.NewMetrics,
		newNominator,
		func(n *app.PodNominator) app.Nominator { return n },
		func(store client.Client, r events.EventRecorder, log *slog.Logger) *app.StatusWriter {
			return app.NewStatusWriter(store, r, log)
		},
		func(w *app.StatusWriter) app.Statuses { return w },
		app.NewExplanations,
		newServer,
		app.NewPlanner,
	),
	fx.Invoke(start),
)

func newRecorder(mgr manager.Manager, log *slog.Logger) *libkube.PacedRecorder {
	return libkube.NewPacedRecorder(mgr.GetEventRecorder("vpsie-autoscaler-planner"), log)
}

// nominationsPerSecond is the budget of nominations. They have a client of their own, so that intents do not wait behind them.
const nominationsPerSecond = 400

func newNominator(c *rest.Config, mgr manager.Manager, metrics *app.Metrics, clk clock.WithTicker, log *slog.Logger) (*app.PodNominator, error) {
	if c.QPS > 0 {
		c = rest.CopyConfig(c)
		c.QPS, c.Burst = nominationsPerSecond, nominationsPerSecond
	}
	pods, err := client.New(c, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("make the client of nominations: %w", err)
	}
	return app.NewPodNominator(pods.Status(), metrics, clk, log), nil
}

// recordsConfigMap names the ConfigMaps that hold the decision records that the bus did not take yet.
const recordsConfigMap = "vpsie-planner-records"

func newOutbox(p *bus.Publisher, store client.Client, live client.Reader, c servicefx.Config, registry prometheus.Registerer, log *slog.Logger) (*facts.Outbox, error) {
	return facts.NewOutbox(p, store, live, client.ObjectKey{Namespace: c.Namespace, Name: recordsConfigMap}, registry, log)
}

func newBrake(live client.Reader, c servicefx.Config, clk clock.WithTicker) app.Brake {
	return brake.New(live, c.Namespace, clk)
}

func newCatalogues(lc fx.Lifecycle, c catalogue.Config, network rpc.Network) (*catalogue.Client, error) {
	client, err := catalogue.NewClient(c, network)
	if err == nil {
		lc.Append(fx.StopHook(client.Close))
	}
	return client, err
}

func newServer(c RPCConfig, network rpc.Network, explanations *app.Explanations, log *slog.Logger) *rpc.Server {
	return grpc.NewServer(c.Address, network, explanations, log)
}

// changes breaks the circle between the feed's replica, which tells of changes, and the planner,
// which reads the replica.
type changes struct{ tell func() }

func newChanges() *changes { return &changes{tell: func() {}} }

func newReplica(open feed.Open, c *changes, log *slog.Logger) *feed.Replica {
	return feed.NewReplica(open, func() { c.tell() }, log)
}

// start follows the feed on every replica, so that a standby is warm, and plans on the elected one.
func start(mgr manager.Manager, replica *feed.Replica, planner *app.Planner, nominator *app.PodNominator, statuses *app.StatusWriter, server *rpc.Server, c *changes, outbox *facts.Outbox, queue *facts.Queue, recorder *libkube.PacedRecorder) error {
	c.tell = planner.FeedChanged
	return errors.Join(
		mgr.Add(servicefx.ReplicaTask(replica.Run)),
		mgr.Add(servicefx.LeaderTask(outbox.Run)),
		mgr.Add(servicefx.LeaderTask(queue.Run)),
		mgr.Add(servicefx.ReplicaTask(server.Run)),
		mgr.Add(servicefx.ReplicaTask(recorder.Run)),
		mgr.Add(servicefx.LeaderTask(nominator.Run)),
		mgr.Add(servicefx.LeaderTask(statuses.Run)),
		mgr.Add(servicefx.LeaderTask(func(ctx context.Context) error {
			if err := kube.Watch(ctx, mgr.GetCache(), planner.Changed); err != nil {
				return err
			}
			server.Activate()
			return planner.Run(ctx)
		})),
	)
}

// Package provisioner makes the machines that were decided on, and takes them away again.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	libkube "github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/consumers"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/adapters/grpc"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/adapters/kube"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/adapters/vpsie"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

// Config is what the provisioner can be told.
type Config struct {
	fx.Out

	Service servicefx.Config `embed:""`
	Bus     bus.Config       `embed:"" prefix:"bus-"`
	VPSie   vpsie.Config     `embed:"" prefix:"vpsie-"`
	App     app.Config       `embed:""`
	RPC     RPCConfig        `embed:"" prefix:"rpc-"`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	return errors.Join(c.Service.Validate(), c.Bus.Validate(), c.VPSie.Validate(), c.App.Validate())
}

// RPCConfig says where the catalogue is served.
type RPCConfig struct {
	Address string `help:"Address of the catalogue service (gRPC)." default:"127.0.0.1:9090"`
}

// Module is everything the provisioner is made of.
var Module = fx.Module("provisioner",
	fx.Provide(
		servicefx.Load[Config],
		kube.CacheOptions,
		kube.NewWakeups[string],
		kube.NewWakeups[reconcile.Request],
		newStore,
		newRecorder,
		func(r *libkube.PacedRecorder) events.EventRecorder { return r },
		func() prometheus.Registerer { return metrics.Registry },
		vpsie.NewMetrics,
		newTransport,
		fx.Annotate(vpsie.NewClient, fx.As(new(app.Cloud)), fx.As(new(app.HealthSource))),
		newOutbox,
		func(o *facts.Outbox) app.Facts { return o },
		facts.NewDecisions,
		app.NewTeller,
		newBrake,
		func(c servicefx.Config) app.Namespace { return app.Namespace(c.Namespace) },
		app.NewOrphans,
		app.NewCatalogue,
		app.NewClusters,
		app.NewNodes,
		newServer,
	),
	fx.Invoke(start, subscribe),
)

func newStore(c client.Client, live client.Reader, f app.Facts, decisions *facts.Decisions, clk clock.WithTicker) *app.Store {
	return &app.Store{Client: c, Live: live, Facts: f, Decisions: decisions, Clock: clk}
}

// recordsConfigMap names the ConfigMaps that hold the facts about machines that are gone which the bus did not take yet.
const recordsConfigMap = "vpsie-provisioner-records"

func newOutbox(p *bus.Publisher, store client.Client, live client.Reader, c servicefx.Config, registry prometheus.Registerer, log *slog.Logger) (*facts.Outbox, error) {
	return facts.NewOutbox(p, store, live, client.ObjectKey{Namespace: c.Namespace, Name: recordsConfigMap}, registry, log)
}

func newBrake(live client.Reader, c servicefx.Config, clk clock.WithTicker) app.Brake {
	return brake.New(live, c.Namespace, clk)
}

func newRecorder(mgr manager.Manager, log *slog.Logger) *libkube.PacedRecorder {
	return libkube.NewPacedRecorder(mgr.GetEventRecorder("vpsie-autoscaler-provisioner"), log)
}

// newTransport makes the connections to VPSie, with proxies as the environment says.
func newTransport() (http.RoundTripper, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("default transport is a %T", http.DefaultTransport)
	}
	return transport.Clone(), nil
}

func newServer(c RPCConfig, network rpc.Network, catalogue *app.Catalogue, log *slog.Logger) *rpc.Server {
	return grpc.NewServer(c.Address, network, catalogue, log)
}

// start serves on every replica, and calls VPSie and changes Kubernetes on the elected one only.
func start(mgr manager.Manager, nodes *app.Nodes, clusters *app.Clusters, wakeups kube.ClusterWakeups, nodeWakeups kube.NodeWakeups, catalogue *app.Catalogue, server *rpc.Server, outbox *facts.Outbox, teller *app.Teller, recorder *libkube.PacedRecorder) error {
	catalogue.Listen(func(ctx context.Context, cluster string, listing app.Listing, at time.Time) {
		clusters.Survey(cluster, listing, at)
		_ = wakeups.Wake(ctx, cluster) // it fails only when the process stops
	})
	return errors.Join(
		kube.AddNodes(mgr, nodes, nodeWakeups),
		kube.AddTeller(mgr, teller),
		kube.AddClusters(mgr, clusters, wakeups),
		mgr.Add(servicefx.LeaderTask(func(ctx context.Context) error {
			server.Activate()
			return catalogue.Run(ctx)
		})),
		mgr.Add(servicefx.ReplicaTask(server.Run)),
		mgr.Add(servicefx.LeaderTask(outbox.Run)),
		mgr.Add(servicefx.ReplicaTask(recorder.Run)),
	)
}

// subscribe turns decisions into wake-ups. They carry no authority: what is to be done is read from
// the VPSieNodes.
func subscribe(mgr manager.Manager, router *bus.Router, clusters *app.Clusters, clusterWakeups kube.ClusterWakeups, nodes *app.Nodes, nodeWakeups kube.NodeWakeups) error {
	bus.On(router, consumers.Launch, func(ctx context.Context, d *busv1.LaunchDecision) error {
		clusters.Announce(d.GetNamespace(), d.GetVpsieNodes())
		return clusterWakeups.Wake(ctx, d.GetCluster())
	})
	bus.On(router, consumers.Retire, func(ctx context.Context, d *busv1.RetireDecision) error {
		for _, name := range d.GetVpsieNodes() {
			key := client.ObjectKey{Namespace: d.GetNamespace(), Name: name}
			nodes.Announce(key)
			if err := nodeWakeups.Wake(ctx, reconcile.Request{NamespacedName: key}); err != nil {
				return err
			}
		}
		return nil
	})
	return mgr.Add(servicefx.LeaderTask(router.Run))
}

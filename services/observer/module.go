// Package observer turns pods and nodes into pressure and writes it to the feed.
package observer

import (
	"context"
	"errors"
	"log/slog"

	"go.uber.org/fx"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/adapters/kube"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// Config is what the observer can be told.
type Config struct {
	fx.Out

	Service servicefx.Config `embed:""`
	Bus     bus.Config       `embed:"" prefix:"bus-"`
	App     app.Config       `embed:""`
}

// Validate reports every problem at once.
func (c Config) Validate() error { return errors.Join(c.Service.Validate(), c.Bus.Validate()) }

// Module is everything the observer is made of.
var Module = fx.Module("observer",
	fx.Provide(
		servicefx.Load[Config],
		kube.CacheOptions,
		app.NewLedger,
		app.NewObserver,
		fx.Annotate(feed.NewWriter, fx.As(new(app.Feed))),
	),
	fx.Invoke(start),
)

// start watches on every replica, so that a standby is warm, and writes on the elected one. The
// first batch waits for the first complete listing: an incomplete cluster is not a small one.
func start(mgr manager.Manager, ledger *app.Ledger, observer *app.Observer, c clock.WithTicker, ready *servicefx.Readiness, log *slog.Logger) error {
	synced := make(chan struct{})
	ready.Add("watches", func() error {
		select {
		case <-synced:
			return nil
		default:
			return errors.New("the first listing of pods and nodes is incomplete")
		}
	})
	watch := servicefx.ReplicaTask(func(ctx context.Context) error {
		r, err := kube.Watch(ctx, mgr.GetCache(), ledger, c, log)
		if err != nil {
			return err
		}
		var has []toolscache.InformerSynced
		for _, registration := range r {
			has = append(has, registration.HasSynced)
		}
		if toolscache.WaitForCacheSync(ctx.Done(), has...) {
			close(synced)
		}
		<-ctx.Done()
		return nil
	})
	write := servicefx.LeaderTask(func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-synced:
			return observer.Run(ctx)
		}
	})
	return errors.Join(mgr.Add(watch), mgr.Add(write))
}

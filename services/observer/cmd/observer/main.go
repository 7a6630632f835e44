// Command observer runs the observer of the VPSie node autoscaler.
package main

import (
	"go.uber.org/fx"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/services/observer"
)

func main() { fx.New(options()).Run() }

func options() fx.Option {
	return fx.Options(
		servicefx.Module("observer"),
		bus.Module,
		feed.Module,
		observer.Module,
	)
}

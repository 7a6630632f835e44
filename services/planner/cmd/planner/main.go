// Command planner runs the planner of the VPSie node autoscaler.
package main

import (
	"go.uber.org/fx"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
	"github.com/vpsie/vpsie-autoscaler/services/planner"
)

func main() { fx.New(options()).Run() }

func options() fx.Option {
	return fx.Options(
		servicefx.Module("planner"),
		bus.Module,
		feed.Module,
		planner.Module,
	)
}

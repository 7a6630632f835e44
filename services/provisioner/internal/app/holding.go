package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// Holds counts what is held back for a reason that lies with us, or with what VPSie's listings show.
type Holds struct{ total *prometheus.CounterVec }

// NewHolds registers the metric.
func NewHolds(registry prometheus.Registerer) (*Holds, error) {
	h := &Holds{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vpsie_launch_holds_total", Help: "Launches put on hold, by reason code; a launch counts again when its reason changes.",
	}, []string{"reason"})}
	return h, registry.Register(h.total)
}

// hold keeps the candidates from being launched, and says why in their Launched condition.
func (c *Clusters) hold(ctx context.Context, r *roster, code reason.Code, message string) {
	h := machine.Hindrance{Code: code, Reason: code.Condition(), Message: machine.Truncate(message)}
	for _, n := range r.candidates {
		written, err := c.store.Change(ctx, n, machine.Hindered(h, c.clock.Now()))
		switch {
		case ignoreGone(err) != nil:
			c.log.WarnContext(ctx, "status not written; it is repeated", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyError, err)
		case written:
			c.store.record(ctx, c.log, n, reason.Hold, code, message)
			c.holds.total.WithLabelValues(string(code)).Inc()
			c.log.WarnContext(ctx, "launch on hold", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyReason, string(code), telemetry.KeyMessage, message)
		}
	}
}

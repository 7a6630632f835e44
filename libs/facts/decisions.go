package facts

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// Decisions counts what a service decided. It is safe for concurrent use.
type Decisions struct{ total *prometheus.CounterVec }

// NewDecisions registers the metric.
func NewDecisions(registry prometheus.Registerer) (*Decisions, error) {
	d := &Decisions{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vpsie_scaling_decisions_total", Help: "Decisions, by kind and reason code; refusals and holds are decisions too.",
	}, []string{"kind", "reason"})}
	return d, registry.Register(d.total)
}

// Count counts a decision.
func (d *Decisions) Count(kind reason.Kind, code reason.Code) {
	d.total.WithLabelValues(string(kind), string(code)).Inc()
}

package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Values of the decision label.
const (
	decisionScaleUp     = "scale_up"
	decisionNoScaleUp   = "no_scale_up"
	decisionScaleDown   = "scale_down"
	decisionNoScaleDown = "no_scale_down"
	decisionRepair      = "repair"
	decisionHold        = "hold"
)

// Values of the outcome label.
const (
	nominationWritten   = "written"
	nominationTakenBack = "taken_back"
	nominationOutdated  = "outdated"
	nominationFailed    = "failed"
)

// Metrics of the planner.
type Metrics struct {
	nominations *prometheus.CounterVec
	decisions   *prometheus.CounterVec
	machines    *prometheus.CounterVec
	seconds     prometheus.Histogram
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vpsie_scaling_decisions_total", Help: "Decisions, by kind; refusals are decisions too.",
		}, []string{"decision"}),
		machines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vpsie_scaling_machines_total", Help: "Machines that decisions bought or retired, by kind of decision.",
		}, []string{"decision"}),
		nominations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vpsie_nominations_total", Help: "Nominations of pods that were written to the API server, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "vpsie_plan_duration_seconds", Help: "Time that one plan took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	for _, c := range []prometheus.Collector{m.decisions, m.machines, m.nominations, m.seconds} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) planned(took time.Duration) { m.seconds.Observe(took.Seconds()) }

func (m *Metrics) nominated(outcome string) { m.nominations.WithLabelValues(outcome).Inc() }

func (m *Metrics) decided(decision string, machines int) {
	m.decisions.WithLabelValues(decision).Inc()
	if decision == decisionScaleUp || decision == decisionScaleDown || decision == decisionRepair {
		m.machines.WithLabelValues(decision).Add(float64(machines))
	}
}

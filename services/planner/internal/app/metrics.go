package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
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
	decisions   *facts.Decisions
	machines    *prometheus.CounterVec
	seconds     prometheus.Histogram
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	decisions, err := facts.NewDecisions(registry)
	if err != nil {
		return nil, err
	}
	m := &Metrics{
		decisions: decisions,
		machines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vpsie_scaling_machines_total", Help: "Machines that decisions launched or retired, by kind of decision.",
		}, []string{"kind"}),
		nominations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vpsie_nominations_total", Help: "Nominations of pods that were written to the API server, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "vpsie_plan_duration_seconds", Help: "Time that one plan took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	for _, c := range []prometheus.Collector{m.machines, m.nominations, m.seconds} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) planned(took time.Duration) { m.seconds.Observe(took.Seconds()) }

func (m *Metrics) nominated(outcome string) { m.nominations.WithLabelValues(outcome).Inc() }

// acted counts the machines that a decision launched or retired.
func (m *Metrics) acted(kind reason.Kind, machines int) {
	m.machines.WithLabelValues(string(kind)).Add(float64(machines))
}

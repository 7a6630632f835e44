package vpsie

import (
	"log/slog"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

// Metrics of the calls to VPSie. Endpoints and outcomes come from fixed sets.
type Metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	breaker prometheus.Gauge
	paused  prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vpsie_api_requests_total", Help: "Requests to VPSie, by endpoint and outcome.",
		}, []string{"endpoint", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vpsie_api_request_duration_seconds", Help: "Time until VPSie answered, by endpoint.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"endpoint"}),
		breaker: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "vpsie_api_breaker_open", Help: "1 while the circuit breaker for calls to VPSie is open.",
		}),
		paused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vpsie_api_rate_limit_hits_total", Help: "Replies with which VPSie refused a request because of its rate limit.",
		}),
	}
	for _, c := range []prometheus.Collector{m.calls, m.seconds, m.breaker, m.paused} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var outcomes = map[app.Failure]string{
	app.OutcomeUnknown: "unknown", app.NotMade: "not_made", app.Unauthorized: "unauthorized",
	app.NotFound: "not_found", app.Refused: "refused", app.Held: "held",
}

// begin starts to time a request; the returned function ends it.
func (m *Metrics) begin(endpoint string) func(error) {
	began := time.Now()
	return func(err error) {
		outcome := "ok"
		if err != nil {
			outcome = outcomes[app.AsCloudError(err).Failure]
		}
		m.calls.WithLabelValues(endpoint, outcome).Inc()
		m.seconds.WithLabelValues(endpoint).Observe(time.Since(began).Seconds())
	}
}

// health remembers how the calls went. It is safe for concurrent use.
type health struct {
	metrics *Metrics
	log     *slog.Logger

	mu          sync.Mutex
	state       app.Health
	pausedUntil time.Time
}

func newHealth(m *Metrics, log *slog.Logger) *health { return &health{metrics: m, log: log} }

func (h *health) get() app.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// called takes the outcome of a call that was made.
func (h *health) called(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.state = app.Health{Known: true, BreakerOpen: h.state.BreakerOpen}
		return
	}
	e := app.AsCloudError(err)
	switch e.Failure {
	case app.Held:
	case app.Refused, app.NotFound:
		h.state = app.Health{Known: true, BreakerOpen: h.state.BreakerOpen}
	case app.Unauthorized:
		h.state = app.Health{Known: true, Unauthorized: true, Message: e.Message, BreakerOpen: h.state.BreakerOpen}
	default:
		// One failed call is not yet an outage: the breaker decides.
		h.state.Known, h.state.Message = true, e.Message
	}
}

func (h *health) breakerChanged(e circuitbreaker.StateChangedEvent) {
	open := e.NewState != circuitbreaker.ClosedState
	h.mu.Lock()
	was := h.state.BreakerOpen
	h.state.BreakerOpen = open
	message := h.state.Message
	h.mu.Unlock()
	if open == was {
		return
	}
	if open {
		h.metrics.breaker.Set(1)
		h.log.Warn("circuit breaker opened; no calls to VPSie until one is tried", telemetry.KeyMessage, message)
	} else {
		h.metrics.breaker.Set(0)
		h.log.Info("circuit breaker closed; VPSie answers again")
	}
}

func (h *health) pauseFor(d time.Duration) {
	h.metrics.paused.Inc()
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := time.Now().Add(d); until.After(h.pausedUntil) {
		h.pausedUntil = until
	}
}

// pause is how long VPSie still wants to be left alone.
func (h *health) pause() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.pausedUntil)
}

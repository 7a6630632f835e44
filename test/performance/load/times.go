package load

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

// Names of histograms that the services keep, in seconds.
const (
	histogramReconcile = "controller_runtime_reconcile_time_seconds"
	histogramPlan      = "vpsie_plan_duration_seconds"
)

// histogram counts observations by their upper bounds in ascending order; counts are cumulative.
type histogram struct {
	bounds []float64
	counts []uint64
}

// reconciles reads the histograms of what the services do again and again, by a name for people.
func reconciles(ctx context.Context, s *stack.Stack) (map[string]histogram, error) {
	found := map[string]histogram{}
	for _, name := range stack.Services() {
		text, err := s.Service(name).Metrics(ctx)
		if err != nil {
			return nil, err
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("parse metrics of %s: %w", name, err)
		}
		for _, m := range families[histogramPlan].GetMetric() {
			found["planner, plan"] = histogramOf(m)
		}
		for _, m := range families[histogramReconcile].GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "controller" {
					found[name+", "+label.GetValue()] = histogramOf(m)
				}
			}
		}
	}
	return found, nil
}

func histogramOf(m *dto.Metric) histogram {
	var h histogram
	for _, b := range m.GetHistogram().GetBucket() {
		h.bounds = append(h.bounds, b.GetUpperBound())
		h.counts = append(h.counts, b.GetCumulativeCount())
	}
	return h
}

// since is what was observed after an earlier reading.
func (h histogram) since(earlier histogram) histogram {
	if len(earlier.counts) != len(h.counts) {
		return h
	}
	out := histogram{bounds: h.bounds}
	for i := range h.counts {
		out.counts = append(out.counts, h.counts[i]-earlier.counts[i])
	}
	return out
}

func (h histogram) count() uint64 {
	if len(h.counts) == 0 {
		return 0
	}
	return h.counts[len(h.counts)-1]
}

// percentile reads a percentile as Prometheus does, evenly inside its bucket. Of observations beyond the last bound only that bound is known.
func (h histogram) percentile(percent float64) time.Duration {
	rank := float64(h.count()) * percent / 100
	var lower float64
	var below uint64
	for i, bound := range h.bounds {
		if float64(h.counts[i]) >= rank && h.counts[i] > below {
			if math.IsInf(bound, 1) {
				return seconds(lower)
			}
			return seconds(lower + (bound-lower)*(rank-float64(below))/float64(h.counts[i]-below))
		}
		lower, below = bound, h.counts[i]
	}
	return 0
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

package telemetry

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

var propagator = propagation.TraceContext{}

// exporting tells whether the environment asks for traces to be sent anywhere.
func exporting() bool {
	for _, key := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"} {
		if v := os.Getenv(key); v != "" && v != "none" {
			return true
		}
	}
	return false
}

// NewTracerProvider makes the provider and installs it with the W3C propagator. Spans always
// get ids, so that logs correlate; they are exported only if an OTEL_* endpoint is set. The
// caller shuts the provider down.
func NewTracerProvider(ctx context.Context, service string) (*sdktrace.TracerProvider, error) {
	res, err := resource.Merge(resource.Default(), resource.NewSchemaless(semconv.ServiceName("vpsie-autoscaler-"+service)))
	if err != nil {
		return nil, fmt.Errorf("describe service for traces: %w", err)
	}
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if exporting() {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("make span exporter from OTEL_* environment: %w", err)
		}
		opts = append(opts, sdktrace.WithBatcher(exporter))
	}
	provider := sdktrace.NewTracerProvider(opts...)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagator)
	return provider, nil
}

// Tracer is the tracer of everything in this repository.
func Tracer() trace.Tracer { return otel.Tracer("github.com/vpsie/vpsie-autoscaler") }

// Traceparent is the W3C trace context of ctx, empty when there is none.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagator.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// ContextWithTraceparent returns ctx with the remote span that a W3C trace context names as
// its parent. An empty or unreadable value changes nothing.
func ContextWithTraceparent(ctx context.Context, traceparent string) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

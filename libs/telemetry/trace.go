package telemetry

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

var propagator = propagation.TraceContext{}

// Environment variables of the OpenTelemetry specification that decide whether and how traces are
// sent; the exporters read the rest of them.
const (
	envExporter      = "OTEL_TRACES_EXPORTER"
	envEndpoint      = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTraceEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol      = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTraceProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// newExporter returns the exporter that the environment asks for, nil when it asks for none.
//
// The contrib module's autoexport knows more exporters, and costs every service eight megabytes of
// memory for those that nobody asked for.
func newExporter(ctx context.Context) (*otlptrace.Exporter, error) {
	exporter := os.Getenv(envExporter)
	if exporter == "none" || exporter == "" && os.Getenv(envEndpoint) == "" && os.Getenv(envTraceEndpoint) == "" {
		return nil, nil
	}
	if exporter != "" && exporter != "otlp" {
		return nil, fmt.Errorf("%s=%q: only otlp and none are known", envExporter, exporter)
	}
	protocol := os.Getenv(envTraceProtocol)
	if protocol == "" {
		protocol = os.Getenv(envProtocol)
	}
	switch protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	}
	return nil, fmt.Errorf("%s=%q: only http/protobuf and grpc are known", envProtocol, protocol)
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
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("make span exporter from OTEL_* environment: %w", err)
	}
	if exporter != nil {
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

package bus_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/bustest"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// TestTraceTravels follows a decision to its handler, which publishes a fact: one trace, each
// span the child of what caused it, and each message naming its cause.
func TestTraceTravels(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	previous := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(previous) })

	for transport, open := range benches {
		t.Run(transport, func(t *testing.T) {
			recorder.Reset()
			b := open(t)
			publisher := bus.NewPublisher(b.open(t), "test")
			router := bus.NewRouter(b.open(t), discard)
			bus.On(router, readsLaunch, func(ctx context.Context, m *busv1.LaunchDecision) error {
				return publisher.Publish(ctx, bus.TopicPhase, m.GetNamespace(), m.GetNodeGroup(), "fact-1", &busv1.NodePhaseChanged{})
			})
			start(t, router)
			ctx, root := telemetry.Tracer().Start(t.Context(), "decide")
			m := &busv1.LaunchDecision{Namespace: "default", NodeGroup: "workers"}
			if err := publisher.Publish(ctx, bus.TopicLaunch, "default", "workers", "decision-1", m); err != nil {
				t.Fatal(err)
			}
			root.End()
			spans := map[string]sdktrace.ReadOnlySpan{}
			await(t, "all spans have ended", func() bool {
				for _, s := range recorder.Ended() {
					spans[s.Name()] = s
				}
				return len(spans) == 4
			})
			chain := []struct {
				name string
				kind trace.SpanKind
			}{
				{"decide", trace.SpanKindInternal},
				{"publish decision.launch", trace.SpanKindProducer},
				{"handle decision.launch", trace.SpanKindConsumer},
				{"publish fact.phase", trace.SpanKindProducer},
			}
			var parent trace.SpanContext
			for _, link := range chain {
				span, ok := spans[link.name]
				if !ok {
					t.Fatalf("no span %q in %v", link.name, spans)
				}
				if span.Parent().SpanID() != parent.SpanID() || span.SpanKind() != link.kind {
					t.Errorf("span %q of kind %s has parent %s, want kind %s and parent %s", link.name, span.SpanKind(), span.Parent().SpanID(), link.kind, parent.SpanID())
				}
				if span.SpanContext().TraceID() != root.SpanContext().TraceID() {
					t.Errorf("span %q is in another trace", link.name)
				}
				parent = span.SpanContext()
			}
		})
	}
}

func TestEnvelope(t *testing.T) {
	memory := bustest.NewMemory()
	publisher := bus.NewPublisher(memory, "vpsie-autoscaler/planner")
	router := bus.NewRouter(memory, discard)
	bus.On(router, readsLaunch, func(ctx context.Context, _ *busv1.LaunchDecision) error {
		return publisher.Publish(ctx, bus.TopicPhase, "default", "workers", "fact-1", &busv1.NodePhaseChanged{})
	})
	start(t, router)
	ctx := telemetry.WithCorrelationID(t.Context(), "c-42")
	if err := publisher.Publish(ctx, bus.TopicLaunch, "default", "workers", "decision-1", &busv1.LaunchDecision{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the fact is published", func() bool { return len(memory.Published("vpsie.v1.fact.")) == 1 })
	decision, fact := memory.Published("vpsie.v1.decision.")[0].Metadata, memory.Published("vpsie.v1.fact.")[0].Metadata
	for key, want := range map[string]string{
		"ce-id": "decision-1", "ce-type": "vpsie.bus.v1.LaunchDecision", "ce-source": "vpsie-autoscaler/planner",
		"ce-dataschema": "v1.0", "content-type": "application/protobuf", "correlation-id": "c-42", "causation-id": "",
	} {
		if got := decision[key]; got != want {
			t.Errorf("header %s of the decision is %q, want %q", key, got, want)
		}
	}
	for key, want := range map[string]string{
		"ce-id": "fact-1", "ce-type": "vpsie.bus.v1.NodePhaseChanged", "correlation-id": "c-42", "causation-id": "decision-1",
	} {
		if got := fact[key]; got != want {
			t.Errorf("header %s of the fact is %q, want %q", key, got, want)
		}
	}
	if decision["ce-time"] == "" {
		t.Error("the decision has no time")
	}
}

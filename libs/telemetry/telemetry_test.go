package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const planted = "s3cr3t-c4n4ry"

// TestSecretsNeverPrint plants a token in every place from which one could reach a log.
func TestSecretsNeverPrint(t *testing.T) {
	secret := telemetry.Secret(planted)
	tests := map[string]func(*slog.Logger){
		"SecretType":     func(l *slog.Logger) { l.Info("m", "x", secret) },
		"SecretInStruct": func(l *slog.Logger) { l.Info("m", "x", struct{ T telemetry.Secret }{secret}) },
		"KeyOfAttribute": func(l *slog.Logger) { l.Info("m", "vmPassword", planted) },
		"KeyWithDashes":  func(l *slog.Logger) { l.Info("m", "Vpsie-Auth", planted) },
		"Group":          func(l *slog.Logger) { l.Info("m", slog.Group("g", slog.String("token", planted))) },
		"With":           func(l *slog.Logger) { l.With("password", planted).Info("m") },
		"BearerInError":  func(l *slog.Logger) { l.Info("m", "error", errors.New("sent Authorization: Bearer "+planted)) },
		"HeaderInText":   func(l *slog.Logger) { l.Info("m", "x", "Vpsie-Auth: "+planted) },
		"JSONInText":     func(l *slog.Logger) { l.Info("m", "x", `{"password":"`+planted+`"}`) },
		"Message":        func(l *slog.Logger) { l.Info("token=" + planted) },
		"Formatted":      func(l *slog.Logger) { l.Info(fmt.Sprintf("%v %s %+v %#v", secret, secret, secret, secret)) },
	}
	for name, log := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log(telemetry.NewLogger(&out, "test", slog.LevelInfo))
			if strings.Contains(out.String(), planted) {
				t.Errorf("the secret is printed: %s", out.String())
			}
			if out.Len() == 0 {
				t.Error("nothing is printed")
			}
		})
	}
	if raw, err := json.Marshal(secret); err != nil || strings.Contains(string(raw), planted) {
		t.Errorf("encoded as %s, error %v", raw, err)
	}
	if secret.Reveal() != planted {
		t.Error("a secret does not reveal itself when asked")
	}
}

func TestEntriesCarryTraceAndCorrelation(t *testing.T) {
	const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	ctx := telemetry.ContextWithTraceparent(t.Context(), traceparent)
	if got := telemetry.Traceparent(ctx); got != traceparent {
		t.Errorf("traceparent %q, want what was given", got)
	}
	if !trace.SpanContextFromContext(telemetry.ContextWithTraceparent(ctx, "broken")).IsValid() {
		t.Error("an unreadable trace context displaced a good one")
	}
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, "test", slog.LevelInfo)
	log.InfoContext(ctx, "m")
	log.InfoContext(telemetry.WithCorrelationID(ctx, "chosen"), "m")
	log.DebugContext(ctx, "too detailed")
	var entries []map[string]any
	for line := range strings.Lines(out.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	if len(entries) != 2 {
		t.Fatalf("%d entries, want 2:\n%s", len(entries), out.String())
	}
	for i, correlation := range []string{"0123456789abcdef0123456789abcdef", "chosen"} {
		for key, want := range map[string]string{
			telemetry.KeyService: "test", telemetry.KeyTraceID: "0123456789abcdef0123456789abcdef",
			telemetry.KeySpanID: "0123456789abcdef", telemetry.KeyCorrelationID: correlation,
		} {
			if entries[i][key] != want {
				t.Errorf("entry %d: %s = %v, want %q", i, key, entries[i][key], want)
			}
		}
	}
}

func TestExporterIsChosenByTheEnvironment(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		fail bool
	}{
		"NothingSet":      {env: map[string]string{}},
		"None":            {env: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}},
		"HTTP":            {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}},
		"GRPC":            {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}},
		"UnknownExporter": {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, fail: true},
		"UnknownProtocol": {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, fail: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
				t.Setenv(key, tc.env[key])
			}
			provider, err := telemetry.NewTracerProvider(t.Context(), "test")
			if (err != nil) != tc.fail {
				t.Fatalf("error %v, want failure: %v", err, tc.fail)
			}
			if err == nil {
				_ = provider.Shutdown(t.Context()) // nobody listens, and nothing was recorded
			}
		})
	}
}

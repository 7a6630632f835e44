//go:build e2e

package e2e_test

import (
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const exportBytesMax = 16 << 20

// span is what the tests look at in an exported span.
type span struct {
	id, parent, trace string
	name, service     string
	kind              tracev1.Span_SpanKind
	attributes        map[string]string
}

// collector receives spans by OTLP over HTTP. It is safe for concurrent use.
type collector struct {
	url string

	mu    sync.Mutex
	spans []span
}

// startCollector listens until the process ends.
func startCollector() (*collector, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &collector{url: "http://" + listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", c.receive)
	go func() { _ = http.Serve(listener, mux) }() // nobody closes the listener
	return c, nil
}

func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, exportBytesMax))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var export collectorv1.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = strings.TrimPrefix(a.GetValue().GetStringValue(), "vpsie-autoscaler-")
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				attributes := map[string]string{}
				for _, a := range s.GetAttributes() {
					attributes[a.GetKey()] = a.GetValue().GetStringValue()
				}
				c.spans = append(c.spans, span{
					id: hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()),
					trace: hex.EncodeToString(s.GetTraceId()), name: s.GetName(), service: service, kind: s.GetKind(), attributes: attributes,
				})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// find returns the spans for which is holds.
func (c *collector) find(is func(span) bool) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []span
	for _, s := range c.spans {
		if is(s) {
			found = append(found, s)
		}
	}
	return found
}

// above returns the span's ancestors, nearest first.
func (c *collector) above(s span) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ancestors []span
	for s.parent != "" {
		i := slices.IndexFunc(c.spans, func(p span) bool { return p.id == s.parent && p.trace == s.trace })
		if i < 0 {
			return ancestors
		}
		s = c.spans[i]
		ancestors = append(ancestors, s)
	}
	return ancestors
}

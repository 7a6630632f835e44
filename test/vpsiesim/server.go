package vpsiesim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	requestBytesMax = 1 << 20
	hugeBodyBytes   = 64 << 20
	pageSizeMax     = 10_000
)

// call is one request on its way through a handler.
type call struct {
	model    *Model
	switches Switches // as they were when the call arrived
	request  *http.Request
	body     []byte
	vars     map[string]string
	caller   string // user agent and token fingerprint
}

// fields decodes the body as a JSON object; anything else reads as an empty one.
func (c *call) fields() object {
	var o object
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.UseNumber()
	if dec.Decode(&o) != nil || o == nil {
		return object{}
	}
	return o
}

// number reads an int that may be a JSON number or a string; 0 if it is neither.
func number(v any) int {
	switch v := v.(type) {
	case json.Number:
		n, _ := strconv.Atoi(v.String())
		return n
	case string:
		n, _ := strconv.Atoi(v)
		return n
	}
	return 0
}

// text reads a string field, or "".
func text(v any) string {
	s, _ := v.(string)
	return s
}

// page cuts rows as the query's offset and limit ask.
func (c *call) page(rows []object) []object {
	query := c.request.URL.Query()
	limit, offset := c.switches.DefaultPageSize, 0
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		limit = min(n, pageSizeMax)
	}
	if n, err := strconv.Atoi(query.Get("offset")); err == nil && n > 0 {
		offset = min(n, len(rows))
	}
	rows = rows[offset:]
	if limit > 0 && limit < len(rows) {
		rows = rows[:limit]
	}
	if rows == nil {
		rows = []object{}
	}
	return rows
}

// api serves the cloud's HTTP interface.
type api struct {
	model  *Model
	log    *slog.Logger
	served int // calls so far, for tooManyEvery; the model's lock guards it
}

// ServeHTTP answers one call, or lets a fault answer it.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	ep, vars := route(r.Method, r.URL.Path)
	outcome := a.serve(w, r, ep, vars)
	a.log.Debug("call served", "method", r.Method, "path", r.URL.Path, "endpoint", ep.name, "outcome", outcome,
		"took_ms", time.Since(started).Milliseconds())
	if outcome == outcomeDropped {
		drop(w)
	}
}

const outcomeDropped = "dropped"

func (a *api) serve(w http.ResponseWriter, r *http.Request, ep endpoint, vars map[string]string) string {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestBytesMax))
	if err != nil {
		rep := failed(http.StatusRequestEntityTooLarge, "request entity too large")
		a.model.countCall(ep.name, r.URL.Path, rep.outcome())
		write(w, rep)
		return rep.outcome()
	}
	if !wait(r.Context(), a.model.latency()) {
		a.model.countCall(ep.name, r.URL.Path, outcomeDropped)
		return outcomeDropped
	}
	fault := a.model.strike(ep.name, r.Method, r.URL.Path)
	var rep reply
	if fault == nil || fault.takesEffect() {
		rep = a.process(r, ep, vars, body)
	}
	outcome := rep.outcome()
	if fault != nil {
		outcome = "fault-" + string(fault.Kind)
	}
	a.model.countCall(ep.name, r.URL.Path, outcome)
	switch {
	case fault != nil:
		return a.spoil(w, r, *fault, rep)
	case rep.lost:
		return outcomeDropped
	}
	write(w, rep)
	return outcome
}

// process carries the call out.
func (a *api) process(r *http.Request, ep endpoint, vars map[string]string, body []byte) reply {
	switches := a.model.Switches()
	c := &call{model: a.model, switches: switches, request: r, body: body, vars: vars}
	return a.answer(c, ep).in(switches.ErrorForm)
}

func (a *api) answer(c *call, ep endpoint) reply {
	if ep.handle == nil {
		return failed(http.StatusNotFound, "Not found")
	}
	if a.isTooMany(c.switches.TooManyEvery) {
		return tooMany(c.switches.RetryAfterSeconds)
	}
	if !ep.open {
		token, ok := a.model.authenticate(c.request.Header)
		if !ok {
			return failed(http.StatusUnauthorized, "Please authenticate")
		}
		c.caller = strings.TrimSpace(c.request.UserAgent() + " token:" + fingerprint(token))
	}
	return ep.handle(c)
}

func (a *api) isTooMany(every int) bool {
	a.model.mu.Lock()
	defer a.model.mu.Unlock()
	a.served++
	return every > 0 && a.served%every == 0
}

// spoil answers as the fault wants; rep is the true answer if the call took effect.
func (a *api) spoil(w http.ResponseWriter, r *http.Request, f Fault, rep reply) string {
	outcome := "fault-" + string(f.Kind)
	switch f.Kind {
	case FaultTimeout:
		wait(r.Context(), f.hold())
		return outcomeDropped
	case FaultReset, FaultLostReply:
		return outcomeDropped
	case FaultMalformed:
		b, contentType := rep.encode()
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(rep.status)
		_, _ = w.Write(b[:len(b)/2])
	case FaultHugeBody:
		w.Header().Set("Content-Type", jsonType)
		w.WriteHeader(http.StatusOK)
		writeHuge(w)
	default:
		write(w, f.reply())
	}
	return outcome
}

// writeHuge sends a valid envelope that is far too long.
func writeHuge(w io.Writer) {
	_, err := io.WriteString(w, `{"error":false,"data":"`)
	block := bytes.Repeat([]byte("x"), 64<<10)
	for sent := 0; sent < hugeBodyBytes && err == nil; sent += len(block) {
		_, err = w.Write(block)
	}
	_, _ = io.WriteString(w, `"}`)
}

func write(w http.ResponseWriter, rep reply) {
	b, contentType := rep.encode()
	w.Header().Set("Content-Type", contentType)
	if rep.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(rep.retryAfter))
	}
	w.WriteHeader(rep.status)
	_, _ = w.Write(b) // the client may be gone
}

// latency draws how long the next call takes.
func (m *Model) latency() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := time.Duration(m.switches.Latency)
	if jitter := int64(m.switches.LatencyJitter); jitter > 0 {
		d += time.Duration(m.random.Int64N(jitter))
	}
	return d
}

// wait pauses for d and reports whether the client is still there.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drop ends the connection without an answer: by a reset where there is a TCP connection.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's way to close without an answer
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

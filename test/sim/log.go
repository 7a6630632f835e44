package sim

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// stepsMax is how many of the last steps a failure shows.
const stepsMax = 400

// ring keeps the last steps of a run: what the services log, what the world does. It is safe for concurrent use.
type ring struct {
	mu     sync.Mutex
	lines  [stepsMax]string
	next   int
	digest hash.Hash
}

func newRing() *ring { return &ring{digest: fnv.New128a()} }

func (r *ring) add(who, text string) {
	line := time.Now().UTC().Format("01-02 15:04:05.000") + " " + who + ": " + text
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[r.next%stepsMax] = line
	r.next++
	r.mix(line)
}

// passed takes note of what is too frequent to be kept, and when it was.
func (r *ring) passed(parts ...string) {
	now := strconv.FormatInt(time.Now().UnixNano(), 36)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mix(now)
	for _, part := range parts {
		r.mix(part)
	}
}

// mix adds to the digest. The caller holds the lock.
func (r *ring) mix(text string) {
	_, _ = io.WriteString(r.digest, text)
	_, _ = io.WriteString(r.digest, "\n")
}

// trace is the digest of what the services log, ask of the API server and of VPSie, and publish, of what the world does, and of
// the order of all that.
func (r *ring) trace() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hex.EncodeToString(r.digest.Sum(nil))
}

// last returns the newest n lines, oldest first.
func (r *ring) last(n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for i := max(r.next-min(n, stepsMax), 0); i < r.next; i++ {
		out = append(out, r.lines[i%stepsMax])
	}
	return out
}

func (r *ring) handler(who string) slog.Handler { return &ringHandler{ring: r, who: who} }

type ringHandler struct {
	ring  *ring
	who   string
	attrs []slog.Attr
}

func (*ringHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (h *ringHandler) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Level.String() + " " + r.Message)
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&text, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	h.ring.add(h.who, text.String())
	return nil
}

func (h *ringHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &ringHandler{ring: h.ring, who: h.who, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h *ringHandler) WithGroup(string) slog.Handler { return h }

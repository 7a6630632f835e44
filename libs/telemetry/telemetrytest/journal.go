// Package telemetrytest has a log for tests to look into.
package telemetrytest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// Journal keeps what is logged, as JSON. Its zero value is empty, and it is safe for concurrent use.
type Journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends to the log.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// Logger returns a logger that writes to the journal.
func (j *Journal) Logger() *slog.Logger { return slog.New(slog.NewJSONHandler(j, nil)) }

// Count returns how often the log has a text.
func (j *Journal) Count(text string) int { return strings.Count(j.String(), text) }

// String returns the whole log.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

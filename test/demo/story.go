package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

const (
	// patience is how long one step may take on a busy machine. Each takes seconds on an idle one.
	patience = 4 * time.Minute
	stepPoll = 100 * time.Millisecond
	// logLinesShown is how much of a service's log explains a step that did not happen.
	logLinesShown = 12
)

// story prints events with the time since it began. It is safe for concurrent use.
type story struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

// begin starts the clock of the story.
func (s *story) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
}

// line prints one event of a subject.
func (s *story) line(subject, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%7.1fs  %-9s %s\n", time.Since(s.began).Seconds(), subject, fmt.Sprintf(format, args...))
}

// step is something that must happen next.
type step struct {
	// what says it to people.
	what string
	// service is whose work it is, to show its log if it does not happen.
	service string
	// done reports whether it has happened, and how far it is.
	done func() (bool, string)
}

// await waits for a step, and returns an error that explains why it did not happen.
func await(ctx context.Context, s *stack.Stack, next step) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(stepPoll)
	defer ticker.Stop()
	for {
		done, progress := next.done()
		if done {
			return nil
		}
		if err := s.Err(); err != nil {
			return fmt.Errorf("while waiting that %s: %w", next.what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			service := s.Service(next.service)
			return fmt.Errorf("waited %s that %s, and it did not happen (%s); end of %s:\n%s",
				patience, next.what, progress, service.LogFile, lastLines(service.LogTail()))
		case <-ticker.C:
		}
	}
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(len(lines)-logLinesShown, 0):], "\n")
}

package bus

import (
	"context"
	"log/slog"
	"sync"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// state tells people when the bus ceases to be readable and when it is again, once for all
// consumers of a process. It is safe for concurrent use.
type state struct {
	log *slog.Logger

	mu      sync.Mutex
	failing map[string]bool
}

func newState(log *slog.Logger) *state { return &state{log: log, failing: map[string]bool{}} }

// failed notes that a consumer cannot be read.
func (s *state) failed(ctx context.Context, consumer string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failing) == 0 {
		s.log.WarnContext(ctx, "reading from the bus failed; messages wait", telemetry.KeyError, err)
	}
	s.failing[consumer] = true
}

// recovered notes that a consumer is read.
func (s *state) recovered(ctx context.Context, consumer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.failing[consumer] {
		return
	}
	delete(s.failing, consumer)
	if len(s.failing) == 0 {
		s.log.InfoContext(ctx, "reading from the bus resumed")
	}
}

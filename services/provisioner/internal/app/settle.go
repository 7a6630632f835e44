package app

import (
	"sync"
	"time"
)

// taintKept is after how long a taint is forgotten; a drain that goes on for longer settles once more.
const taintKept = time.Hour

// settling is since when this process knows of the taint on each Node that it drains. When the drain began, or what another
// process wrote of a time, does not say that everybody has seen the taint: that process may have died before it. The methods
// are safe for concurrent use.
type settling struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func newSettling() *settling { return &settling{since: map[string]time.Time{}} }

// forget has the time of a Node's taint begin anew when it is next seen.
func (s *settling) forget(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, node)
}

// passed is for how long the taint on a Node has been known by now.
func (s *settling) passed(node string, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, since := range s.since {
		if now.Sub(since) > taintKept {
			delete(s.since, name)
		}
	}
	since, known := s.since[node]
	if !known {
		s.since[node] = now
		return 0
	}
	return now.Sub(since)
}

package load

import (
	"context"
	"sync"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

const (
	meterEvery = time.Second
	megabyte   = 1e6
)

// Memory is what the services occupy together, in bytes of resident memory: what they share with each other counts each time.
type Memory map[string]int64

// Total is what all services occupy.
func (m Memory) Total() int64 {
	var total int64
	for _, bytes := range m {
		total += bytes
	}
	return total
}

// memoryOf reads what the services occupy; one that does not run is left out.
func memoryOf(services []*stack.Service) Memory {
	m := Memory{}
	for _, s := range services {
		if bytes, err := s.ResidentBytes(); err == nil {
			m[s.Name] = bytes
		}
	}
	return m
}

// meter remembers the moment at which the services occupied most.
type meter struct {
	services []*stack.Service

	mu   sync.Mutex
	peak Memory
}

// run looks until ctx ends.
func (m *meter) run(ctx context.Context) {
	ticker := time.NewTicker(meterEvery)
	defer ticker.Stop()
	for {
		now := memoryOf(m.services)
		m.mu.Lock()
		if now.Total() > m.peak.Total() {
			m.peak = now
		}
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// most is what the services occupied at that moment since the last call.
func (m *meter) most() Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	peak := m.peak
	m.peak = nil
	return peak
}

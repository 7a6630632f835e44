package vpsiesim

import (
	"maps"
	"slices"
	"time"
)

const (
	rateBuckets      = 60 // one a second, together a minute
	unknownPathsMax  = 50
	unknownEndpoint  = "unknown"
	totalOfEndpoints = ""
)

// Calls counts what clients asked for.
type Calls struct {
	Since      time.Time                `json:"since"`
	Total      int                      `json:"total"`
	LastMinute int                      `json:"lastMinute"`
	PeakMinute int                      `json:"peakMinute"` // most calls in any 60 seconds
	Endpoints  map[string]EndpointCalls `json:"endpoints"`
	// UnknownPaths are the first paths that no endpoint serves.
	UnknownPaths []string `json:"unknownPaths"`
}

// EndpointCalls counts the calls of one endpoint by outcome, such as 200, 404, 200-error or fault-reset.
type EndpointCalls struct {
	Total      int            `json:"total"`
	LastMinute int            `json:"lastMinute"`
	PeakMinute int            `json:"peakMinute"`
	Outcomes   map[string]int `json:"outcomes"`
}

// callLedger is guarded by the model's lock.
type callLedger struct {
	since   time.Time
	by      map[string]*callCounter
	unknown []string
}

type callCounter struct {
	EndpointCalls
	seconds [rateBuckets]int64 // the second each bucket counts
	counts  [rateBuckets]int
}

func newCallLedger(now time.Time) callLedger {
	return callLedger{since: now.UTC(), by: map[string]*callCounter{}}
}

func (l *callLedger) add(endpoint, outcome string, now time.Time) {
	for _, name := range []string{totalOfEndpoints, endpoint} {
		c := l.by[name]
		if c == nil {
			c = &callCounter{EndpointCalls: EndpointCalls{Outcomes: map[string]int{}}}
			l.by[name] = c
		}
		c.add(outcome, now)
	}
}

func (c *callCounter) add(outcome string, now time.Time) {
	c.Total++
	c.Outcomes[outcome]++
	second := now.Unix()
	i := second % rateBuckets
	if c.seconds[i] != second {
		c.seconds[i], c.counts[i] = second, 0
	}
	c.counts[i]++
	c.PeakMinute = max(c.PeakMinute, c.lastMinute(now))
}

func (c *callCounter) lastMinute(now time.Time) int {
	n := 0
	for i, second := range c.seconds {
		if now.Unix()-second < rateBuckets {
			n += c.counts[i]
		}
	}
	return n
}

func (l *callLedger) addUnknown(path string) {
	if len(l.unknown) < unknownPathsMax && !slices.Contains(l.unknown, path) {
		l.unknown = append(l.unknown, path)
	}
}

func (l *callLedger) snapshot(now time.Time) Calls {
	calls := Calls{Since: l.since, Endpoints: map[string]EndpointCalls{}, UnknownPaths: append([]string{}, l.unknown...)}
	for name, c := range l.by {
		e := c.EndpointCalls
		e.LastMinute, e.Outcomes = c.lastMinute(now), maps.Clone(c.Outcomes)
		if name == totalOfEndpoints {
			calls.Total, calls.LastMinute, calls.PeakMinute = e.Total, e.LastMinute, e.PeakMinute
			continue
		}
		calls.Endpoints[name] = e
	}
	return calls
}

// countCall notes one finished call.
func (m *Model) countCall(endpoint, path, outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls.add(endpoint, outcome, time.Now())
	if endpoint == unknownEndpoint {
		m.calls.addUnknown(path)
	}
}

// Calls returns what clients asked for since the start or the last reset.
func (m *Model) Calls() Calls {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls.snapshot(time.Now())
}

func (m *Model) resetCalls() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = newCallLedger(time.Now())
}

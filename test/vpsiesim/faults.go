package vpsiesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// FaultKind names what a fault does to a call.
type FaultKind string

// The kinds of faults. The last three let the call take effect first, so that its outcome is unknown to the client.
const (
	FaultStatus    FaultKind = "status"    // the given status with an error envelope
	FaultStatus500 FaultKind = "status500" // 500 with an error envelope
	FaultStatus429 FaultKind = "status429" // 429, with Retry-After if retryAfterSeconds is set
	FaultHTML502   FaultKind = "html502"   // the proxy's HTML page
	FaultError200  FaultKind = "error200"  // HTTP 200 with error true
	FaultTimeout   FaultKind = "timeout"   // silence for holdSeconds, then the connection drops
	FaultReset     FaultKind = "reset"     // the connection is reset
	FaultLostReply FaultKind = "lostReply" // the connection closes without a reply
	FaultMalformed FaultKind = "malformed" // a reply cut in half
	FaultHugeBody  FaultKind = "hugeBody"  // a reply of 64 MiB
)

var faultKinds = []FaultKind{
	FaultStatus, FaultStatus500, FaultStatus429, FaultHTML502, FaultError200,
	FaultTimeout, FaultReset, FaultLostReply, FaultMalformed, FaultHugeBody,
}

const (
	faultHoldDefault = 30 * time.Second
	faultRulesMax    = 200
)

// Fault makes calls that match it go wrong. Of several that match, the oldest acts.
type Fault struct {
	ID string `json:"id"`
	// Endpoint is an endpoint name or a pattern such as "k8s.*"; empty matches all, as do Method and Path.
	Endpoint string `json:"endpoint,omitempty"`
	Method   string `json:"method,omitempty"`
	// Path is matched as path.Match does, or as a prefix if it ends in "/**".
	Path   string    `json:"path,omitempty"`
	Kind   FaultKind `json:"kind"`
	Status int       `json:"status,omitempty"`
	// Process lets the call take effect before the failure is reported.
	Process           bool    `json:"process,omitempty"`
	Message           string  `json:"message,omitempty"`
	RetryAfterSeconds int     `json:"retryAfterSeconds,omitempty"`
	HoldSeconds       float64 `json:"holdSeconds,omitempty"`

	// Probability, EveryNth and Count limit which matching calls are hit; zero means no limit.
	Probability float64 `json:"probability,omitempty"`
	EveryNth    int     `json:"everyNth,omitempty"`
	Count       int     `json:"count,omitempty"`
	// DurationSeconds ends the fault by itself; zero means never.
	DurationSeconds float64 `json:"durationSeconds,omitempty"`

	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	Matched   int       `json:"matched"`
	Hits      int       `json:"hits"`
}

// validate reports every problem at once.
func (f *Fault) validate() error {
	var problems []error
	if !slices.Contains(faultKinds, f.Kind) {
		problems = append(problems, fmt.Errorf("fault kind %q is none of %v", f.Kind, faultKinds))
	}
	if f.Kind == FaultStatus && (f.Status < 200 || f.Status > 599) {
		problems = append(problems, fmt.Errorf("fault status %d is not between 200 and 599", f.Status))
	}
	if f.Probability < 0 || f.Probability > 1 {
		problems = append(problems, fmt.Errorf("fault probability %v is not between 0 and 1", f.Probability))
	}
	if f.EveryNth < 0 || f.Count < 0 || f.DurationSeconds < 0 || f.HoldSeconds < 0 || f.RetryAfterSeconds < 0 {
		problems = append(problems, errors.New("fault numbers must not be negative"))
	}
	for _, pattern := range []string{f.Endpoint, f.Path} {
		if _, err := path.Match(pattern, ""); err != nil {
			problems = append(problems, fmt.Errorf("fault pattern %q: %w", pattern, err))
		}
	}
	return errors.Join(problems...)
}

// takesEffect reports whether the call is carried out although it is answered wrongly.
func (f *Fault) takesEffect() bool {
	return f.Process || f.Kind == FaultLostReply || f.Kind == FaultMalformed || f.Kind == FaultHugeBody
}

func (f *Fault) hold() time.Duration {
	if f.HoldSeconds == 0 {
		return faultHoldDefault
	}
	return time.Duration(f.HoldSeconds * float64(time.Second))
}

func (f *Fault) matches(endpoint, method, urlPath string) bool {
	if f.Method != "" && !strings.EqualFold(f.Method, method) {
		return false
	}
	return patternMatches(f.Endpoint, endpoint) && patternMatches(f.Path, urlPath)
}

func patternMatches(pattern, s string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/**"); ok {
		return strings.HasPrefix(s, prefix+"/")
	}
	ok, err := path.Match(pattern, s)
	return pattern == "" || ok && err == nil
}

// over reports whether the fault will never act again.
func (f *Fault) over(now time.Time) bool {
	return f.Count > 0 && f.Hits >= f.Count || !f.ExpiresAt.IsZero() && !now.Before(f.ExpiresAt)
}

// reply is what a fault answers, whether or not the call took effect.
func (f *Fault) reply() reply {
	message := f.Message
	if message == "" {
		message = "Injected fault " + string(f.Kind)
	}
	switch f.Kind {
	case FaultStatus:
		return failed(f.Status, message)
	case FaultStatus429:
		return tooMany(f.RetryAfterSeconds)
	case FaultHTML502:
		return badGateway()
	case FaultError200:
		return failed(http.StatusOK, message)
	default:
		return failed(http.StatusInternalServerError, message)
	}
}

// parseFaults reads one fault or a list of them.
func parseFaults(body []byte) ([]Fault, error) {
	var list []Fault
	if err := json.Unmarshal(body, &list); err == nil {
		return list, nil
	}
	var one Fault
	if err := json.Unmarshal(body, &one); err != nil {
		return nil, fmt.Errorf("decode fault: %w", err)
	}
	return []Fault{one}, nil
}

// addFaults puts the faults at the end of the list and returns them with their ids.
func (m *Model) addFaults(list []Fault) ([]Fault, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range list {
		if err := list[i].validate(); err != nil {
			return nil, err
		}
	}
	m.expireFaults()
	if len(m.faults)+len(list) > faultRulesMax {
		return nil, fmt.Errorf("more than %d faults", faultRulesMax)
	}
	for i := range list {
		f := list[i]
		m.faultSeq++
		f.ID, f.Matched, f.Hits, f.ExpiresAt = fmt.Sprintf("fault-%d", m.faultSeq), 0, 0, time.Time{}
		if f.DurationSeconds > 0 {
			f.ExpiresAt = time.Now().UTC().Add(time.Duration(f.DurationSeconds * float64(time.Second)))
		}
		list[i] = f
		m.faults = append(m.faults, &f)
	}
	return list, nil
}

// Faults returns the faults that can still act.
func (m *Model) Faults() []Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireFaults()
	list := []Fault{}
	for _, f := range m.faults {
		list = append(list, *f)
	}
	return list
}

// removeFault removes one fault, or all for an empty id, and reports whether there was any.
func (m *Model) removeFault(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.faults)
	m.faults = slices.DeleteFunc(m.faults, func(f *Fault) bool { return id == "" || f.ID == id })
	return len(m.faults) < before
}

func (m *Model) expireFaults() {
	now := time.Now()
	m.faults = slices.DeleteFunc(m.faults, func(f *Fault) bool { return f.over(now) })
}

// strike picks the fault that hits a call, if any.
func (m *Model) strike(endpoint, method, urlPath string) *Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireFaults()
	for _, f := range m.faults {
		if !f.matches(endpoint, method, urlPath) {
			continue
		}
		f.Matched++
		if f.EveryNth > 1 && f.Matched%f.EveryNth != 0 {
			continue
		}
		if f.Probability > 0 && m.random.Float64() >= f.Probability {
			continue
		}
		f.Hits++
		hit := *f
		return &hit
	}
	return nil
}

// Package brake is the switch by which a person stops everything: while a ConfigMap of a fixed name exists in
// the services' namespace, no machine is launched, drained or deleted. It needs nothing but Kubernetes.
package brake

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// ConfigMapName is the object whose presence pauses the autoscaler.
	ConfigMapName = "vpsie-autoscaler-pause"
	// KeyReason is the ConfigMap's key for the reason that is shown to people.
	KeyReason = "reason"
	// KeyUntil is the ConfigMap's key for the time, in RFC 3339, at which the pause ends by itself.
	KeyUntil = "until"
	// memoryFor is how long an answer of the API server is used again.
	memoryFor = time.Second
	// reasonCharsMax bounds the reason, which ends up in conditions.
	reasonCharsMax = 256
)

// State is whether everything stands still, and why. The zero value is an autoscaler at work.
type State struct {
	Paused bool
	// Message says who or what pauses, until when, and how to go on. It changes with the ConfigMap only.
	Message string
	// Until is when the pause ends by itself, zero where it does not.
	Until time.Time
}

// Parse reads the ConfigMap's data. An end that cannot be read ends nothing.
func Parse(data map[string]string, now time.Time) State {
	state := State{Paused: true}
	message := "everything is paused by ConfigMap " + ConfigMapName
	if text := data[KeyReason]; text != "" {
		if runes := []rune(text); len(runes) > reasonCharsMax {
			text = string(runes[:reasonCharsMax]) + "…"
		}
		message += " (" + text + ")"
	}
	if text := data[KeyUntil]; text != "" {
		until, err := time.Parse(time.RFC3339, text)
		switch {
		case err != nil:
			message += fmt.Sprintf("; its %s %.64q is not an RFC 3339 time, so the pause has no end", KeyUntil, text)
		case !now.Before(until):
			return State{}
		default:
			state.Until = until
			message += " until " + until.UTC().Format(time.RFC3339)
		}
	}
	state.Message = message + "; nothing is launched, drained or terminated during the pause; delete the ConfigMap to resume"
	return state
}

// Brake reads the switch from the API server. It is safe for concurrent use.
type Brake struct {
	live  client.Reader
	key   client.ObjectKey
	clock clock.PassiveClock

	mu sync.Mutex
	// data is what was read, nil when there is no ConfigMap, and at when reading began.
	data map[string]string
	at   time.Time
}

// New returns a brake that reads the ConfigMap in a namespace; live must not be a cache.
func New(live client.Reader, namespace string, c clock.PassiveClock) *Brake {
	return &Brake{live: live, key: client.ObjectKey{Namespace: namespace, Name: ConfigMapName}, clock: c}
}

// State tells whether everything stands still, as of at most a second ago. An error means that this is
// unknown; nothing may be launched, drained or deleted then.
func (b *Brake) State(ctx context.Context) (State, error) {
	now := b.clock.Now()
	data, fresh := b.remembered(now)
	if !fresh {
		var err error
		if data, err = b.read(ctx); err != nil {
			return State{}, err
		}
		b.mu.Lock()
		b.data, b.at = data, now
		b.mu.Unlock()
	}
	if data == nil {
		return State{}, nil
	}
	return Parse(data, now), nil
}

// remembered returns what was read last, and whether that is recent enough.
func (b *Brake) remembered(now time.Time) (map[string]string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := now.Sub(b.at)
	return b.data, !b.at.IsZero() && age >= 0 && age < memoryFor
}

// read returns what the ConfigMap holds, nil when there is none. Nobody waits for another's read: a
// slow API server must not make one out of many.
func (b *Brake) read(ctx context.Context) (map[string]string, error) {
	object := &corev1.ConfigMap{}
	err := b.live.Get(ctx, b.key, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read pause ConfigMap %s: %w", b.key, err)
	case object.Data == nil:
		return map[string]string{}, nil
	}
	return object.Data, nil
}

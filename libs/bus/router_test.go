package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/bustest"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry/telemetrytest"
)

var (
	errInvalid = errors.New("invalid\nin two lines")
	errBusy    = errors.New("busy")
)

func TestOutcome(t *testing.T) {
	cases := map[string]struct {
		why      string
		handle   func(attempt int) error
		attempts int
		outcome  string
		reason   string // of the dead letter, empty where there is none
	}{
		"Handled": {
			why:    "success is acknowledged",
			handle: func(int) error { return nil }, attempts: 1, outcome: "handled",
		},
		"Failed": {
			why:    "what keeps failing is kept for people, with a reason of one line, and those behind it go on",
			handle: func(int) error { return fmt.Errorf("act: %w", errInvalid) }, attempts: 4, outcome: "failed",
			reason: "act: invalid in two lines",
		},
		"Retried": {
			why: "any other error may pass",
			handle: func(attempt int) error {
				if attempt < 3 {
					return errBusy
				}
				return nil
			}, attempts: 3, outcome: "handled",
		},
		"Panicked": {
			why: "a bug in a handler must not end the process",
			handle: func(attempt int) error {
				if attempt == 1 {
					panic("boom")
				}
				return nil
			}, attempts: 2, outcome: "handled",
		},
	}
	for transport, open := range benches {
		t.Run(transport, func(t *testing.T) {
			b := open(t)
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					var log telemetrytest.Journal
					var attempts atomic.Int64
					router := bus.NewRouter(b.open(t), log.Logger())
					next := make(chan struct{})
					bus.On(router, readsLaunch, func(ctx context.Context, m *busv1.LaunchDecision) error {
						if m.GetDecisionId() == name+"-next" {
							close(next)
							return nil
						}
						if ctx.Err() != nil {
							t.Errorf("attempt %d has no time", attempts.Load()+1)
						}
						return c.handle(int(attempts.Add(1)))
					})
					before := len(b.letters(t))
					launch(t, b.open(t), "workers", name)
					launch(t, b.open(t), "workers", name+"-next")
					stop := start(t, router)
					await(t, "the next message is handled", func() bool {
						select {
						case <-next:
							return true
						default:
							return false
						}
					})
					stop()
					if got := attempts.Load(); got != int64(c.attempts) {
						t.Errorf("%s: %d attempts, want %d", c.why, got, c.attempts)
					}
					if got := log.Count(`"message handled"`); got != 2 {
						t.Errorf("%s: %d entries in the log, want one for each message", c.why, got)
					}
					if log.Count(fmt.Sprintf(`"event_id":%q,"delivery":1,"outcome":%q`, name, c.outcome)) != 1 {
						t.Errorf("%s: no entry with outcome %q: %s", c.why, c.outcome, log.String())
					}
					letters := b.letters(t)[before:]
					if c.reason == "" && len(letters) > 0 {
						t.Errorf("%s: unexpected dead letters %v", c.why, letters)
					}
					if c.reason != "" && (len(letters) != 1 || letters[0].reason != c.reason || letters[0].id != name || letters[0].handler != readsLaunch.Name) {
						t.Errorf("%s: dead letters %v, want one with reason %q", c.why, letters, c.reason)
					}
				})
			}
		})
	}
}

func TestForeignMessageIsBuried(t *testing.T) {
	body, err := proto.Marshal(&busv1.LaunchDecision{DecisionId: "foreign"})
	if err != nil {
		t.Fatal(err)
	}
	const kind = "vpsie.bus.v1.LaunchDecision"
	cases := map[string]struct {
		why, kind, schema string
		body              []byte
		reason            string
	}{
		"Type":    {why: "another message may decode by accident", kind: "vpsie.bus.v1.RetireDecision", schema: "v1.0", body: body, reason: "type is"},
		"NoType":  {why: "a message that is not ours", schema: "v1.0", body: body, reason: "type is"},
		"Version": {why: "a newer major version means something else", kind: kind, schema: "v2.0", body: body, reason: "schema version"},
		"Body":    {why: "a broken body never gets better", kind: kind, schema: "v1.0", body: []byte{0xff}, reason: "decode"},
	}
	for transport, open := range benches {
		t.Run(transport, func(t *testing.T) {
			b := open(t)
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					raw := message.NewMessage(name, c.body)
					raw.Metadata = message.Metadata{"ce-id": name, "ce-type": c.kind, "ce-dataschema": c.schema}
					subject := bus.Subject(bus.TopicLaunch, "default", "workers")
					if err := b.open(t).Publish(subject, raw); err != nil {
						t.Fatal(err)
					}
					launch(t, b.open(t), "workers", name+"-next")
					var handled inbox
					router := bus.NewRouter(b.open(t), discard)
					bus.On(router, readsLaunch, handled.launches)
					before := len(b.letters(t))
					stop := start(t, router)
					await(t, "the next message is handled", handled.has(name+"-next"))
					stop()
					if got := handled.got(); len(got) != 1 {
						t.Errorf("%s: handled %v", c.why, got)
					}
					letters := b.letters(t)[before:]
					if len(letters) != 1 || !strings.Contains(letters[0].reason, c.reason) || letters[0].subject != subject || letters[0].body != string(c.body) {
						t.Errorf("%s: dead letters %v, want one with reason %q", c.why, letters, c.reason)
					}
				})
			}
		})
	}
}

// TestNewerMinorVersion checks that a message of a newer publisher, which knows more fields, is
// handled.
func TestNewerMinorVersion(t *testing.T) {
	memory := bustest.NewMemory()
	raw := message.NewMessage("newer", []byte("\x0a\x05newer\xfa\x3f\x01x")) // decision_id, and field 1023
	raw.Metadata = message.Metadata{"ce-id": "newer", "ce-type": "vpsie.bus.v1.LaunchDecision", "ce-dataschema": "v1.7"}
	if err := memory.Publish(bus.Subject(bus.TopicLaunch, "default", "workers"), raw); err != nil {
		t.Fatal(err)
	}
	var handled inbox
	router := bus.NewRouter(memory, discard)
	bus.On(router, readsLaunch, handled.launches)
	start(t, router)
	await(t, "the message is handled", handled.has("newer"))
}

func TestDuplicatesAreStoredOnce(t *testing.T) {
	for transport, open := range benches {
		t.Run(transport, func(t *testing.T) {
			b := open(t)
			var handled inbox
			router := bus.NewRouter(b.open(t), discard)
			bus.On(router, readsLaunch, func(_ context.Context, m *busv1.LaunchDecision) error {
				handled.add(m.GetNodeGroup() + "/" + m.GetDecisionId())
				return nil
			})
			// The same decision may concern two NodeGroups; that is no repeat.
			for _, group := range []string{"workers", "workers", "web", "workers", "web"} {
				launch(t, b.open(t), group, "1")
			}
			launch(t, b.open(t), "workers", "2")
			launch(t, b.open(t), "web", "2")
			start(t, router)
			await(t, "the last of workers", handled.has("workers/2"))
			await(t, "the last of web", handled.has("web/2"))
			got := handled.got()
			slices.Sort(got)
			if want := []string{"web/1", "web/2", "workers/1", "workers/2"}; !slices.Equal(got, want) {
				t.Errorf("handled %v, want %v", got, want)
			}
		})
	}
}

func TestInvalidMessageIsNotPublished(t *testing.T) {
	publisher := bus.NewPublisher(bustest.NewMemory(), "test")
	for why, about := range map[string]struct{ group, id string }{
		"without an id repeats are not recognised":   {"workers", ""},
		"a space would end the subject":              {"wor kers", "1"},
		"a wildcard would be refused by the server":  {"*", "1"},
		"a line break would be a command of its own": {"workers\r\nPUB", "1"},
	} {
		err := publisher.Publish(t.Context(), bus.TopicLaunch, "default", about.group, about.id, &busv1.LaunchDecision{})
		if !errors.Is(err, bus.ErrInvalidMessage) {
			t.Errorf("%s: got %v", why, err)
		}
	}
}

func TestRouterRunsOnce(t *testing.T) {
	router := bus.NewRouter(bustest.NewMemory(), discard)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := router.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := router.Run(ctx); err == nil {
		t.Error("a router was run twice")
	}
}

func TestHandlerSeesCorrelation(t *testing.T) {
	for transport, open := range benches {
		t.Run(transport, func(t *testing.T) {
			b := open(t)
			seen := make(chan string, 1)
			router := bus.NewRouter(b.open(t), discard)
			bus.On(router, readsLaunch, func(ctx context.Context, _ *busv1.LaunchDecision) error {
				seen <- telemetry.CorrelationID(ctx)
				return nil
			})
			start(t, router)
			ctx := telemetry.WithCorrelationID(t.Context(), "c-42")
			if err := bus.NewPublisher(b.open(t), "test").Publish(ctx, bus.TopicLaunch, "default", "workers", "1", &busv1.LaunchDecision{}); err != nil {
				t.Fatal(err)
			}
			if got := <-seen; got != "c-42" {
				t.Errorf("handler has correlation id %q", got)
			}
		})
	}
}

// grudging is a transport that does not store the first dead letters.
type grudging struct {
	bus.Transport
	refusals atomic.Int64
}

func (g *grudging) Publish(topic string, messages ...*message.Message) error {
	if strings.HasPrefix(topic, "vpsie.v1.dlq.") && g.refusals.Add(-1) >= 0 {
		return errBusy
	}
	return g.Transport.Publish(topic, messages...)
}

// TestGivenBack checks that a message is delivered again where nobody would learn what became of it: its dead letter is
// not stored, or its handler was stopped.
func TestGivenBack(t *testing.T) {
	cases := map[string]struct {
		refusals int64
		handle   func(delivery uint64) error
		letters  int
	}{
		"LetterNotStored": {refusals: 2, handle: func(uint64) error { return errInvalid }, letters: 1},
		"Stopped": {handle: func(delivery uint64) error {
			if delivery < 3 {
				return fmt.Errorf("wake: %w", context.Canceled)
			}
			return nil
		}},
	}
	for transport, open := range benches {
		t.Run(transport, func(t *testing.T) {
			b := open(t)
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					g := &grudging{Transport: b.open(t)}
					g.refusals.Store(c.refusals)
					var handled inbox
					var last atomic.Uint64
					router := bus.NewRouter(g, discard)
					bus.On(router, readsLaunch, func(ctx context.Context, m *busv1.LaunchDecision) error {
						if m.GetDecisionId() != name {
							handled.add(m.GetDecisionId())
							return nil
						}
						last.Store(bus.DeliveryOf(ctx).Attempt)
						return c.handle(last.Load())
					})
					before := len(b.letters(t))
					launch(t, g, "workers", name)
					launch(t, g, "workers", name+"-next")
					stop := start(t, router)
					await(t, "the next message is handled", handled.has(name+"-next"))
					stop()
					if last.Load() != 3 {
						t.Errorf("the message was delivered %d times, want 3", last.Load())
					}
					if got := len(b.letters(t)) - before; got != c.letters {
						t.Errorf("%d dead letters, want %d", got, c.letters)
					}
				})
			}
		})
	}
}

package facts_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
)

// weighed is a decision for which so many candidates were weighed, about 100 bytes each.
func weighed(id string, candidates int) facts.Fact {
	r := &busv1.DecisionRecord{Id: id, Message: "why", NodeGroup: "default/g", VpsieNodes: []string{"n"}}
	for range candidates {
		r.Candidates = append(r.Candidates, &busv1.Candidate{Name: "default/g", Message: strings.Repeat("x", 80)})
	}
	return facts.Decision(context.Background(), "default", "g", r)
}

// verbose is a decision of which everything is too long.
func verbose(id string) facts.Fact {
	f := weighed(id, 1000)
	r := f.Message.(*busv1.DecisionRecord)
	r.Message = strings.Repeat("ä", 1<<16)
	r.Parameters = map[string]string{"offerings": strings.Repeat("y", 1<<16)}
	r.Subject = &busv1.Subject{Kind: "Node", Name: strings.Repeat("z", 1<<16)}
	for i := range 5000 {
		r.VpsieNodes = append(r.VpsieNodes, fmt.Sprintf("machine-%d", i))
	}
	return f
}

// TestFactThatCannotBeRecordedHoldsUpNothing has one fact that the bus or Kubernetes never takes go on record in a shorter form, or be dropped,
// and what is behind it go on.
func TestFactThatCannotBeRecordedHoldsUpNothing(t *testing.T) {
	malformed := func(id string) facts.Fact {
		return facts.Decision(context.Background(), "default", "g", &busv1.DecisionRecord{Id: id, Message: "why \xff"})
	}
	tests := map[string]struct {
		fact    facts.Fact
		away    bool
		dropped float64
		// want is what must be left of it.
		want func(*busv1.DecisionRecord) bool
	}{
		"TooLargeForBus": {
			fact: weighed("1", 20_000), want: func(r *busv1.DecisionRecord) bool { return r.GetMessage() == "why" && len(r.GetCandidates()) == 0 },
		},
		"TooLargeForConfigMap": {
			fact: weighed("1", 1000), away: true, want: func(r *busv1.DecisionRecord) bool { return r.GetMessage() == "why" && len(r.GetCandidates()) == 0 },
		},
		"NotEncodable":     {fact: malformed("1"), want: func(r *busv1.DecisionRecord) bool { return r.GetMessage() == "why …" }},
		"NotEncodableKept": {fact: malformed("1"), away: true, want: func(r *busv1.DecisionRecord) bool { return r.GetMessage() == "why …" }},
		"VerboseForBus":    {fact: verbose("1"), want: func(r *busv1.DecisionRecord) bool { return r.GetVpsieNodes()[0] == "n" }},
		"VerboseKept":      {fact: verbose("1"), away: true, want: func(r *busv1.DecisionRecord) bool { return r.GetVpsieNodes()[0] == "n" }},
		"NoKey":            {fact: decision("a/b"), away: true, dropped: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.away = tc.away
				o := w.outbox()
				q := facts.NewQueue(o, w.kube, slog.New(slog.DiscardHandler))
				stop := running(t, o.Run, q.Run)
				defer stop()
				q.Record(tc.fact, func() {})
				q.Record(decision("2"), func() {})
				time.Sleep(time.Minute)
				w.set(func() { w.away = false })
				time.Sleep(time.Minute)
				if w.published("2") == 0 || w.kept(t) != 0 {
					t.Errorf("the next fact was published %d times, %d are kept", w.published("2"), w.kept(t))
				}
				if got := w.dropped(t); got != tc.dropped {
					t.Errorf("%v facts were dropped, want %v", got, tc.dropped)
				}
				if r, _ := w.messages["1"].(*busv1.DecisionRecord); tc.want != nil && !tc.want(r) {
					t.Errorf("on record: %.200v", r)
				}
			})
		})
	}
}

// TestFactThatTheBusNeverTakesIsDropped has the bus refuse even the shortest form, also one that an earlier process kept.
func TestFactThatTheBusNeverTakesIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.away = true
		if err := w.outbox().Record(t.Context(), decision("1"), decision("2")); err != nil || w.kept(t) != 2 {
			t.Fatalf("%d kept: %v", w.kept(t), err)
		}
		w.away, w.payloadMax = false, 0
		o := w.outbox()
		stop := running(t, o.Run)
		defer stop()
		if err := o.Publish(t.Context(), decision("3")); err != nil {
			t.Errorf("a fact that is dropped is repeated: %v", err)
		}
		time.Sleep(time.Minute)
		if got := w.dropped(t); got != 3 || w.kept(t) != 0 {
			t.Errorf("%v dropped, %d kept, want 3 dropped", got, w.kept(t))
		}
	})
}

// TestRecordDoesNotForbidTheAct bounds what an object carries to what the API server takes: the record is shortened, and old ones make room.
func TestRecordDoesNotForbidTheAct(t *testing.T) {
	const annotationsMax = 256 << 10
	n := &v1beta1.VPSieNode{}
	var displaced []facts.Fact
	for i := range 10 {
		for _, f := range []facts.Fact{weighed(fmt.Sprintf("%02d-weighed", i), 5000), weighed(fmt.Sprintf("%02d-whole", i), 200), verbose(fmt.Sprintf("%02d-verbose", i))} {
			displaced = append(displaced, facts.MakeRoom(n)...)
			if err := facts.Attach(n, f); err != nil {
				t.Fatal(err)
			}
		}
		size := 0
		for key, text := range n.Annotations {
			size += len(key) + len(text)
		}
		if size > annotationsMax {
			t.Fatalf("after %d rounds the object carries %d bytes, the API server takes %d", i+1, size, annotationsMax)
		}
	}
	attached := facts.Attached(n)
	if all := append(displaced, attached...); len(all) != 30 || !slices.IsSortedFunc(all, func(a, b facts.Fact) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%d facts made room and %d are left, want 30 together, the oldest first", len(displaced), len(attached))
	}
	if len(attached) < 4 || attached[len(attached)-1].ID != "09-whole" {
		t.Fatalf("%d records are left, want the newest of them", len(attached))
	}
	if r := attached[len(attached)-1].Message.(*busv1.DecisionRecord); len(r.GetCandidates()) != 200 {
		t.Errorf("a record that has room lost candidates: %d are left", len(r.GetCandidates()))
	}
}

// TestDisplacedFactIsNotLostSilently has an object that has no room hand over facts while nothing is taken, and while Kubernetes takes them.
func TestDisplacedFactIsNotLostSilently(t *testing.T) {
	w := newWorld(t)
	w.away, w.refuses = true, errors.New("no")
	o := w.outbox()
	if o.Displace(t.Context(), decision("1"), decision("2")); w.dropped(t) != 2 {
		t.Errorf("%v are counted as lost, want two", w.dropped(t))
	}
	w.refuses = nil
	if o.Displace(t.Context(), decision("3"), decision("4")); w.dropped(t) != 2 || w.kept(t) != 2 {
		t.Errorf("%v are counted as lost and %d kept, want two more kept", w.dropped(t), w.kept(t))
	}
}

// TestFullConfigMapIsFollowedByTheNext keeps several ConfigMaps of facts, refuses more than all hold, and publishes everything in the end. What
// was emptied has room for as much again.
func TestFullConfigMapIsFollowedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.bytesMax = 80 << 10
		o := w.outbox()
		stop := running(t, o.Run)
		defer stop()
		least := len(facts.ConfigMaps(key.Name)) * w.bytesMax / (40 << 10)
		for round := range 2 {
			w.set(func() { w.away = true })
			var recorded []string
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%04d", round, i)
				if err := o.Record(t.Context(), weighed(id, 200)); err != nil {
					break
				}
				if recorded = append(recorded, id); len(recorded) > 1000 {
					t.Fatal("more is kept than all ConfigMaps hold")
				}
			}
			if len(recorded) < least || w.kept(t) != len(recorded) {
				t.Fatalf("round %d: %d facts are on record, %d kept, want %d at least", round, len(recorded), w.kept(t), least)
			}
			w.set(func() { w.away = false })
			time.Sleep(time.Minute)
			for _, id := range recorded {
				if w.published(id) == 0 {
					t.Errorf("%s was kept and is lost", id)
				}
			}
		}
	})
}

// TestManyLargeFactsAtOnce keeps more at once than one ConfigMap holds.
func TestManyLargeFactsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.away = true
	var all []facts.Fact
	for i := range 64 {
		all = append(all, weighed(fmt.Sprintf("%02d", i), 200))
	}
	if err := w.outbox().Record(t.Context(), all...); err != nil || w.kept(t) != len(all) {
		t.Errorf("%d of %d facts are kept: %v", w.kept(t), len(all), err)
	}
}

// TestWaitingFactsAreKeptTogether writes a ConfigMap for many facts at once.
func TestWaitingFactsAreKeptTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.away = true
		q := facts.NewQueue(w.outbox(), w.kube, slog.New(slog.DiscardHandler))
		var told []int
		for i := range 200 {
			q.Record(decision(fmt.Sprintf("%03d", i)), func() { told = append(told, i) })
		}
		stop := running(t, q.Run)
		synctest.Wait()
		stop()
		if w.kept(t) != 200 || w.writes > 10 {
			t.Errorf("%d facts are kept after %d writes, want 200 after few", w.kept(t), w.writes)
		}
		for i := range told {
			if told[i] != i {
				t.Fatalf("told %v, want the order in which they came", told)
			}
		}
		if len(told) != 200 {
			t.Errorf("%d are told, want 200", len(told))
		}
	})
}

// TestBusIsBackOnceItTakesSomething keeps asking a bus that is away for as long as it is, though nothing is kept, and does not have others ask it.
func TestBusIsBackOnceItTakesSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.away = true
		o := w.outbox()
		stop := running(t, o.Run)
		defer stop()
		for range 100 { // as a Teller does, whose objects carry the facts
			if o.Publish(t.Context(), decision("1")) == nil {
				t.Fatal("a bus that is away took a fact")
			}
			time.Sleep(100 * time.Millisecond)
		}
		w.set(func() {
			if w.asked > 10 || w.asked < 3 {
				t.Errorf("the bus was asked %d times within ten seconds, want about 6", w.asked)
			}
			w.away = false
		})
		time.Sleep(10 * time.Second)
		if err := o.Publish(t.Context(), decision("2")); err != nil || w.published("2") != 1 {
			t.Errorf("the bus is back: %v", err)
		}
	})
}

// TestBusThatNeverTakesTheFactItIsAskedWith drops the fact that the bus is asked with, and asks with the next.
func TestBusThatNeverTakesTheFactItIsAskedWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.away = true
		o := w.outbox()
		stop := running(t, o.Run)
		defer stop()
		if o.Publish(t.Context(), weighed("1", 100)) == nil {
			t.Fatal("a bus that is away took a fact")
		}
		w.set(func() { w.away, w.payloadMax = false, 15 })
		time.Sleep(10 * time.Second)
		w.set(func() { w.payloadMax = 100 })
		if err := o.Publish(t.Context(), decision("2")); err != nil || w.published("2") != 1 || w.dropped(t) != 1 {
			t.Errorf("the bus is back: %v, %v dropped", err, w.dropped(t))
		}
	})
}

// slow is an outbox that takes a while, and remembers how much it was given at once.
type slow struct{ most int }

func (s *slow) Record(_ context.Context, all ...facts.Fact) error {
	s.most = max(s.most, len(all))
	time.Sleep(time.Second)
	return nil
}

func (s *slow) Displace(context.Context, ...facts.Fact) {}

// TestBatchIsBounded announces the first of many facts before the last is on record.
func TestBatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, outbox := newWorld(t), &slow{}
		q := facts.NewQueue(outbox, w.kube, slog.New(slog.DiscardHandler))
		told := 0
		for i := range 1000 {
			q.Record(decision(fmt.Sprintf("%03d", i)), func() { told++ })
		}
		stop := running(t, q.Run)
		time.Sleep(1500 * time.Millisecond)
		stop()
		if told == 0 || outbox.most > 100 {
			t.Errorf("%d of 1000 are told after one call of the outbox, which got %d at once", told, outbox.most)
		}
	})
}

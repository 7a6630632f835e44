package facts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
)

var (
	errAway = errors.New("bus is away")
	errDead = errors.New("process is dead")
	key     = client.ObjectKey{Namespace: "vpsie-autoscaler", Name: "records"}
)

// world is a bus and a Kubernetes in memory, and how many calls to them a process makes before it dies.
type world struct {
	kube client.WithWatch

	mu    sync.Mutex
	bus   map[string]int // how often each id was published
	asked int
	away  bool
	// refuses fails writes of ConfigMaps; left is how many calls have an effect, negative for all.
	refuses error
	left    int
	// payloadMax is how large a message the bus takes, bytesMax how much a ConfigMap holds, writes how often one was written.
	payloadMax, bytesMax, writes int
	messages                     map[string]proto.Message
	registry                     *prometheus.Registry
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		bus: map[string]int{}, left: -1, payloadMax: 1 << 20, bytesMax: 1 << 20, messages: map[string]proto.Message{},
		registry: prometheus.NewRegistry(),
	}
	w.kube = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := w.call(o); err != nil {
				return err
			}
			if err := w.hasRoom(ctx, c, o, p); err != nil {
				return err
			}
			return c.Patch(ctx, o, p, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := w.call(o); err != nil {
				return err
			}
			if object, is := o.(*corev1.ConfigMap); is {
				if err := w.fits(object); err != nil {
					return err
				}
			}
			return c.Create(ctx, o, opts...)
		},
	}).Build()
	return w
}

func (w *world) call(o client.Object) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 {
		return errDead
	}
	w.left--
	if _, is := o.(*corev1.ConfigMap); is {
		w.writes++
		return w.refuses
	}
	return nil
}

// hasRoom refuses what would make a ConfigMap too large, as the API server does.
func (w *world) hasRoom(ctx context.Context, c client.Reader, o client.Object, p client.Patch) error {
	if _, is := o.(*corev1.ConfigMap); !is {
		return nil
	}
	now := &corev1.ConfigMap{}
	if err := c.Get(ctx, client.ObjectKeyFromObject(o), now); err != nil {
		return err
	}
	body, err := p.Data(o)
	if err != nil {
		return err
	}
	var change struct{ Data map[string]*string }
	if err := json.Unmarshal(body, &change); err != nil {
		return err
	}
	if now.Data == nil {
		now.Data = map[string]string{}
	}
	for key, text := range change.Data {
		if delete(now.Data, key); text != nil {
			now.Data[key] = *text
		}
	}
	return w.fits(now)
}

func (w *world) fits(object *corev1.ConfigMap) error {
	size, valid := 0, true
	for key, text := range object.Data {
		size += len(text)
		valid = valid && len(validation.IsConfigMapKey(key)) == 0
	}
	if !valid || size > w.bytesMax {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind(), object.Name, nil)
	}
	return nil
}

func (w *world) Publish(_ context.Context, _ bus.Topic, _, _, id string, m proto.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	switch {
	case w.left == 0:
		return errDead
	case w.away:
		return errAway
	}
	if body, err := proto.Marshal(m); err != nil || len(body) > w.payloadMax {
		return bus.ErrInvalidMessage
	}
	w.left--
	w.bus[id]++
	w.messages[id] = m
	return nil
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) published(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bus[id]
}

func (w *world) kept(t *testing.T) int {
	t.Helper()
	count := 0
	for _, name := range facts.ConfigMaps(key.Name) {
		object := &corev1.ConfigMap{}
		if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: key.Namespace, Name: name}, object); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		count += len(object.Data)
	}
	return count
}

// outbox is that of a new process.
func (w *world) outbox() *facts.Outbox {
	registry := prometheus.NewRegistry()
	o, err := facts.NewOutbox(w, w.kube, w.kube, key, registry, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	w.registry = registry
	return o
}

// dropped is what the last process counted.
func (w *world) dropped(t *testing.T) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("metrics %v: %v", families, err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

func decision(id string) facts.Fact {
	return facts.Decision(context.Background(), "default", "g", &busv1.DecisionRecord{Id: id, Message: "why"})
}

// running starts parts of a process, and returns how to end them.
func running(t *testing.T, parts ...func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for _, run := range parts {
		group.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

func TestAttachedFactIsWhole(t *testing.T) {
	n := &v1beta1.VPSieNode{}
	want := facts.Fact{Topic: bus.TopicDecision, Namespace: "default", NodeGroup: "g", ID: "2", Traceparent: "00-1-2-01", Message: &busv1.DecisionRecord{Id: "2", Pods: 7, Parameters: map[string]string{"a": "b"}}}
	for _, f := range []facts.Fact{want, decision("1")} {
		if err := facts.Attach(n, f); err != nil {
			t.Fatal(err)
		}
	}
	n.Annotations["other"] = "x"
	n.Annotations[v1beta1.AnnotationRecordPrefix+"broken"] = "{"
	got := facts.Attached(n)
	if len(got) != 2 || got[0].ID != "1" {
		t.Fatalf("attached %v, want two, oldest first", got)
	}
	if diff := cmp.Diff(want, got[1], protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// TestOutbox records facts while the bus is there, away and back.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := w.outbox()
		stop := running(t, o.Run)
		defer stop()
		if err := o.Record(t.Context(), decision("1")); err != nil || w.published("1") != 1 || w.kept(t) != 0 {
			t.Fatalf("with a bus: %v, published %d times, %d kept", err, w.published("1"), w.kept(t))
		}
		w.set(func() { w.away = true })
		for _, id := range []string{"2", "3"} {
			if err := o.Record(t.Context(), decision(id)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if w.kept(t) != 2 {
			t.Fatalf("%d facts are kept without a bus, want 2", w.kept(t))
		}
		w.set(func() { w.asked = 0 })
		for i := range 50 {
			if err := o.Record(t.Context(), decision(fmt.Sprintf("more-%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		w.set(func() {
			if w.asked > 2 {
				t.Errorf("a bus that is away was asked %d times within a second", w.asked)
			}
			w.away = false
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if w.published("2") != 1 || w.published("3") != 1 || w.published("more-49") != 1 || w.kept(t) != 0 {
			t.Errorf("with the bus back: %v published, %d kept", w.bus, w.kept(t))
		}
		if err := o.Record(t.Context(), decision("4")); err != nil || w.published("4") != 1 {
			t.Errorf("after that: %v, published %d times", err, w.published("4"))
		}
	})
}

// TestFactOfAnotherProcessIsPublished has a former leader keep a fact after its successor found nothing kept.
func TestFactOfAnotherProcessIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		former, o := w.outbox(), w.outbox()
		stop := running(t, o.Run)
		defer stop()
		synctest.Wait()
		w.set(func() { w.away = true })
		if err := former.Record(t.Context(), decision("late")); err != nil || w.kept(t) != 1 {
			t.Fatalf("without a bus: %v, %d kept", err, w.kept(t))
		}
		w.set(func() { w.away = false })
		if err := o.Record(t.Context(), decision("other")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if w.published("late") != 1 || w.kept(t) != 0 {
			t.Errorf("the fact is published %d times and %d are kept, want it published and none kept", w.published("late"), w.kept(t))
		}
	})
}

// TestNothingIsAnnouncedBefore holds back what people are told while neither the bus nor Kubernetes takes the record.
func TestNothingIsAnnouncedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.away, w.refuses = true, errors.New("no")
		q := facts.NewQueue(w.outbox(), w.kube, slog.New(slog.DiscardHandler))
		stop := running(t, q.Run)
		defer stop()
		var told []string
		var mu sync.Mutex
		tell := func(what string) func() {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, what)
			}
		}
		if !q.Record(decision("1"), tell("record")) || !q.Tell(tell("event")) {
			t.Fatal("an empty queue has no room")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(told) > 0 {
			t.Fatalf("told %v, which is not on record", told)
		}
		w.set(func() { w.refuses = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{"record", "event"}; !slices.Equal(told, want) || w.kept(t) != 1 {
			t.Errorf("told %v with %d kept, want %v with one", told, w.kept(t), want)
		}
	})
}

func TestFullQueueSaysSo(t *testing.T) {
	w := newWorld(t)
	q := facts.NewQueue(w.outbox(), w.kube, slog.New(slog.DiscardHandler))
	taken := 0
	for q.Tell(func() {}) { // Run was never called
		taken++
	}
	if taken == 0 || q.Record(decision("1"), func() {}) {
		t.Errorf("a queue took %d entries, and one more", taken)
	}
}

// TestDeathAtAnyCall has a process die before each of its calls, with the bus there and away: what an object carries and what was
// announced is published in the end, and the object carries nothing any more.
func TestDeathAtAnyCall(t *testing.T) {
	for _, away := range []bool{false, true} {
		for calls := range 12 {
			t.Run(fmt.Sprintf("away=%v/%d", away, calls), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					carrier := &v1beta1.VPSieNode{}
					carrier.Namespace, carrier.Name = "default", "n"
					if err := facts.Attach(carrier, decision("act")); err != nil {
						t.Fatal(err)
					}
					w := newWorld(t, carrier)
					w.away, w.left = away, calls
					announced := map[string]bool{}
					var mu sync.Mutex
					life := func() (stop func()) {
						o := w.outbox()
						q := facts.NewQueue(o, w.kube, slog.New(slog.DiscardHandler))
						stop = running(t, o.Run, q.Run)
						there := &v1beta1.VPSieNode{}
						if err := w.kube.Get(t.Context(), client.ObjectKeyFromObject(carrier), there); err != nil {
							t.Fatal(err)
						}
						for _, f := range facts.Attached(there) {
							q.Carried(f, client.ObjectKeyFromObject(there))
							q.Carried(f, client.ObjectKeyFromObject(there)) // as every plan does
						}
						return stop
					}
					stop := life()
					o := w.outbox()
					q := facts.NewQueue(o, w.kube, slog.New(slog.DiscardHandler))
					stopOther := running(t, o.Run, q.Run)
					for i := range 3 {
						id := fmt.Sprintf("refusal-%d", i)
						q.Record(decision(id), func() {
							mu.Lock()
							defer mu.Unlock()
							announced[id] = true
						})
					}
					time.Sleep(time.Minute)
					stop()
					stopOther()
					w.set(func() { w.away, w.left = false, -1 })
					stop = life()
					time.Sleep(time.Minute)
					stop()
					if w.published("act") == 0 {
						t.Error("the record that the object carried is lost")
					}
					for id := range announced {
						if w.published(id) == 0 {
							t.Errorf("%s was announced and is lost", id)
						}
					}
					there := &v1beta1.VPSieNode{}
					if err := w.kube.Get(t.Context(), client.ObjectKeyFromObject(carrier), there); err != nil {
						t.Fatal(err)
					}
					if left := len(facts.Attached(there)); left != 0 || w.kept(t) != 0 {
						t.Errorf("the object carries %d, the ConfigMap %d", left, w.kept(t))
					}
				})
			})
		}
	}
}

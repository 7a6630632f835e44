package kubesim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// faults are set by a test while it runs.
type faults struct {
	mu     sync.Mutex
	seen   []kubesim.Request
	strike func(kubesim.Request) kubesim.Verdict
	due    func(kubesim.Request, time.Time) time.Time
}

func (f *faults) Strike(r kubesim.Request) kubesim.Verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r)
	if f.strike == nil || r.Resource.Empty() {
		return kubesim.Verdict{}
	}
	return f.strike(r)
}

func (f *faults) Due(r kubesim.Request, changed time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due == nil {
		return time.Time{}
	}
	return f.due(r, changed)
}

func newClient(t *testing.T, s *kubesim.Server, name string) client.WithWatch {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(&rest.Config{Host: "http://kubesim", Transport: s.TransportFor(name), QPS: -1}, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var errReset = errors.New("connection reset")

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		verdict kubesim.Verdict
		want    func(error) bool
		stored  bool
		took    time.Duration
	}{
		"NoFault":             {want: func(err error) bool { return err == nil }, stored: true},
		"ConnectionFails":     {verdict: kubesim.Verdict{Err: errReset}, want: func(err error) bool { return errors.Is(err, errReset) }},
		"ServerRefuses":       {verdict: kubesim.Verdict{Err: apierrors.NewInternalError(errReset)}, want: apierrors.IsInternalError},
		"ReplyIsLost":         {verdict: kubesim.Verdict{Err: errReset, LostReply: true}, want: func(err error) bool { return errors.Is(err, errReset) }, stored: true},
		"ServerIsSlow":        {verdict: kubesim.Verdict{Delay: 5 * time.Second}, want: func(err error) bool { return err == nil }, stored: true, took: 5 * time.Second},
		"ClientLosesPatience": {verdict: kubesim.Verdict{Delay: time.Hour}, want: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, took: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &faults{strike: func(kubesim.Request) kubesim.Verdict { return c.verdict }}
				s := kubesim.New(kubesim.Config{Faults: f})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				err := newClient(t, s, "planner").Create(ctx, podOn("one", ""))
				if !c.want(err) {
					t.Errorf("the error is %v", err)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if stored := kubesim.Get[corev1.Pod](s, metav1.NamespaceDefault, "one") != nil; stored != c.stored {
					t.Errorf("the pod is stored: %v", stored)
				}
				want := kubesim.Request{Client: "planner", Verb: "create", Resource: corev1.Resource("pods"), Namespace: metav1.NamespaceDefault}
				if !slices.Contains(f.seen, want) {
					t.Errorf("the faults saw %+v, want %+v among them", f.seen, want)
				}
			})
		})
	}
}

// TestFaultsSeeWhatIsListed tells the pods of one Node from all pods.
func TestFaultsSeeWhatIsListed(t *testing.T) {
	f := &faults{}
	s := kubesim.New(kubesim.Config{Faults: f})
	if err := newClient(t, s, "provisioner").List(t.Context(), &corev1.PodList{}, client.MatchingFields{"spec.nodeName": "a"}); err != nil {
		t.Fatal(err)
	}
	want := kubesim.Request{Client: "provisioner", Verb: "list", Resource: corev1.Resource("pods"), FieldSelector: "spec.nodeName=a"}
	if !slices.Contains(f.seen, want) {
		t.Errorf("the faults saw %+v, want %+v among them", f.seen, want)
	}
}

// TestWatchIsHeldBack shows a client an old state, as a cache that lags does.
func TestWatchIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		thaw := time.Now().Add(10 * time.Minute)
		f := &faults{due: func(r kubesim.Request, changed time.Time) time.Time {
			switch r.Client {
			case "late":
				return changed.Add(5 * time.Second)
			case "frozen":
				return thaw
			}
			return time.Time{}
		}}
		s := kubesim.New(kubesim.Config{Faults: f})
		began := time.Now()
		type seen struct{ client, pod string }
		var mu sync.Mutex
		at := map[seen]time.Duration{}
		for _, name := range []string{"prompt", "late", "frozen"} {
			w, err := newClient(t, s, name).Watch(t.Context(), &corev1.PodList{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			go func() {
				for e := range w.ResultChan() {
					mu.Lock()
					at[seen{name, e.Object.(*corev1.Pod).Name}] = time.Since(began)
					mu.Unlock()
				}
			}()
		}
		synctest.Wait()
		for i := range 3 {
			if err := s.As("world").Create(podOn(fmt.Sprintf("pod-%d", i), "")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		for i := range 3 {
			pod, made := fmt.Sprintf("pod-%d", i), time.Duration(i)*2*time.Second
			for name, want := range map[string]time.Duration{"prompt": made, "late": made + 5*time.Second, "frozen": 10 * time.Minute} {
				if got := at[seen{name, pod}]; got != want {
					t.Errorf("%s saw %s after %v, want %v", name, pod, got, want)
				}
			}
		}
	})
}

// TestWatchesAreClosed ends watches from the outside, with and without a reason.
func TestWatchesAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kubesim.New(kubesim.Config{})
		open := func(name string) watch.Interface {
			w, err := newClient(t, s, name).Watch(t.Context(), &corev1.PodList{})
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		dropped, expired, kept := open("dropped"), open("expired"), open("kept")
		defer kept.Stop()
		of := func(name string) func(kubesim.Request) bool {
			return func(r kubesim.Request) bool { return r.Client == name }
		}
		s.CloseWatches(of("dropped"), nil)
		s.CloseWatches(of("expired"), apierrors.NewResourceExpired("too old"))
		if e, ok := <-dropped.ResultChan(); ok {
			t.Errorf("the dropped watch told %v", e)
		}
		e := <-expired.ResultChan()
		if e.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
			t.Errorf("the expired watch told %v", e)
		}
		if e, ok := <-expired.ResultChan(); ok {
			t.Errorf("the expired watch went on with %v", e)
		}
		if err := s.As("world").Create(podOn("one", "")); err != nil {
			t.Fatal(err)
		}
		if e := <-kept.ResultChan(); e.Type != watch.Added {
			t.Errorf("the other watch told %v", e)
		}
	})
}

// TestCompactionEndsAWatchThatIsBehind is what a client sees that was away for too long.
func TestCompactionEndsAWatchThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour)
		s := kubesim.New(kubesim.Config{Faults: &faults{due: func(kubesim.Request, time.Time) time.Time { return until }}})
		w, err := newClient(t, s, "frozen").Watch(t.Context(), &corev1.PodList{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		if err := s.As("world").Create(podOn("one", "")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Compact()
		e := <-w.ResultChan()
		if e.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
			t.Errorf("the watch told %v", e)
		}
	})
}

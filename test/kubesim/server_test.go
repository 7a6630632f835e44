package kubesim_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// TestObserversSeeEachChangeOnce checks who did what to which object, in order.
func TestObserversSeeEachChangeOnce(t *testing.T) {
	s := kubesim.New(kubesim.Config{})
	var got []string
	s.Observe(func(c kubesim.Change) {
		was, is := "nothing", "nothing"
		if c.Old != nil {
			was = string(c.Old.(*corev1.Pod).Status.Phase)
		}
		if c.New != nil {
			is = string(c.New.(*corev1.Pod).Status.Phase)
			if stored := kubesim.Get[corev1.Pod](s, c.New.GetNamespace(), c.New.GetName()); stored != c.New {
				t.Errorf("at revision %d the store holds %v", c.Revision, stored)
			}
		}
		if c.Revision != s.Revision() {
			t.Errorf("revision %d is told at %d", c.Revision, s.Revision())
		}
		got = append(got, fmt.Sprintf("%s %s %s/%s: %s to %s", c.Request.Client, c.Request.Verb, c.Request.Name, c.Request.Subresource, was, is))
	})
	kubelet, c := s.As("kubelet"), newClient(t, s, "drainer")
	pod := podOn("one", "")
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	for range 2 { // the second write changes nothing
		if err := kubelet.UpdateStatus(pod); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"drainer create one/: nothing to Pending",
		"kubelet update one/status: Pending to Running",
		// A pod that has no node to end on is marked and gone at once.
		"drainer delete one/: Running to Running",
		"drainer delete one/: Running to nothing",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the changes are not as wanted (-want +got):\n%s", diff)
	}
}

// TestDirectWritesMeanWhatRequestsMean checks the world's access against the rules of the API.
func TestDirectWritesMeanWhatRequestsMean(t *testing.T) {
	s := kubesim.New(kubesim.Config{})
	world := s.As("world")
	pod := podOn("one", "")
	if err := world.Create(pod); err != nil {
		t.Fatal(err)
	}
	stale := pod.DeepCopy()
	if err := world.Bind(pod.Namespace, pod.Name, "node"); err != nil {
		t.Fatal(err)
	}
	stale.Status.Phase = corev1.PodRunning
	if err := world.UpdateStatus(stale); !apierrors.IsConflict(err) {
		t.Errorf("a write of an old state returned %v", err)
	}
	if err := world.Bind(pod.Namespace, pod.Name, "other"); !apierrors.IsConflict(err) {
		t.Errorf("a second binding returned %v", err)
	}
	if err := world.Delete(pod, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	held := kubesim.Get[corev1.Pod](s, pod.Namespace, pod.Name)
	if held == nil || held.DeletionTimestamp == nil || held.Spec.NodeName != "node" {
		t.Fatalf("the pod is %+v", held)
	}
	if err := world.Delete(pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
	if left := kubesim.List[corev1.Pod](s, ""); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	if err := world.Create(&metav1.PartialObjectMetadata{}); err == nil {
		t.Error("a type that is not served was stored")
	}
}

// TestWhatIsStoredSharesNothingWithTheWriter changes an object after it was written.
func TestWhatIsStoredSharesNothingWithTheWriter(t *testing.T) {
	s := kubesim.New(kubesim.Config{})
	pod := podOn("one", "")
	if err := s.As("world").Create(pod); err != nil {
		t.Fatal(err)
	}
	before := kubesim.Get[corev1.Pod](s, pod.Namespace, pod.Name).DeepCopy()
	pod.Labels["app"], pod.Spec.Containers[0].Name = "changed", "changed"
	if diff := cmp.Diff(before, kubesim.Get[corev1.Pod](s, pod.Namespace, pod.Name)); diff != "" {
		t.Errorf("the stored object changed (-before +after):\n%s", diff)
	}
}

// TestNamespaceIsEmptiedByTheWorld lets a namespace go in the two steps of the API.
func TestNamespaceIsEmptiedByTheWorld(t *testing.T) {
	s := kubesim.New(kubesim.Config{})
	world := s.As("world")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "short"}}
	if err := world.Create(ns); err != nil {
		t.Fatal(err)
	}
	if err := world.Delete(ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := kubesim.Get[corev1.Namespace](s, "", "short"); n == nil || n.Status.Phase != corev1.NamespaceTerminating {
		t.Fatalf("the namespace is %+v", n)
	}
	if err := world.Finalize("short"); err != nil {
		t.Fatal(err)
	}
	if n := kubesim.Get[corev1.Namespace](s, "", "short"); n != nil {
		t.Errorf("the namespace is %+v", n)
	}
}

// TestEventsExpire bounds what a cluster keeps of them.
func TestEventsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kubesim.New(kubesim.Config{})
		world := s.As("world")
		for i := range 6 {
			e := &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("event-%d", i)}}
			if err := world.Create(e); err != nil {
				t.Fatal(err)
			}
			time.Sleep(25 * time.Minute)
		}
		var got []string
		for _, e := range kubesim.List[eventsv1.Event](s, "") {
			got = append(got, e.Name)
		}
		if diff := cmp.Diff([]string{"event-3", "event-4", "event-5"}, got); diff != "" {
			t.Errorf("the events are not as wanted (-want +got):\n%s", diff)
		}
	})
}

// TestBudgetThatIsNotCountedYetRefuses holds for the moment before the disruption controller has seen a budget.
func TestBudgetThatIsNotCountedYetRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kubesim.New(kubesim.Config{})
		world, c := s.As("world"), newClient(t, s, "drainer")
		pod := podOn("one", "node")
		if err := world.Create(pod); err != nil {
			t.Fatal(err)
		}
		pod.Status.Phase = corev1.PodRunning
		if err := world.UpdateStatus(pod); err != nil {
			t.Fatal(err)
		}
		budget := &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: "web"},
			Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: pod.Labels}},
		}
		if err := world.Create(budget); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err := c.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{})
		if !apierrors.IsTooManyRequests(err) || !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
			t.Errorf("the eviction returned %v", err)
		}
		// client-go does as the answer says: it waits ten times.
		if took := time.Since(began); took != 100*time.Second {
			t.Errorf("the client tried for %v", took)
		}
	})
}

// TestPagesAreForgotten bounds the lists that clients began and never finished.
func TestPagesAreForgotten(t *testing.T) {
	s := kubesim.New(kubesim.Config{})
	c := newClient(t, s, "reader")
	var first corev1.NamespaceList
	for i := range 100 {
		var list corev1.NamespaceList
		if err := c.List(t.Context(), &list, client.Limit(1)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = list
		}
	}
	err := c.List(t.Context(), &corev1.NamespaceList{}, client.Limit(1), client.Continue(first.Continue))
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("the rest of a forgotten list returned %v", err)
	}
}

// TestServerSideApplyIsRefused rather than taken for another patch.
func TestServerSideApplyIsRefused(t *testing.T) {
	s := kubesim.New(kubesim.Config{})
	pod := podOn("one", "")
	if err := s.As("world").Create(pod); err != nil {
		t.Fatal(err)
	}
	err := newClient(t, s, "applier").Patch(t.Context(), pod, client.RawPatch(types.ApplyYAMLPatchType, []byte(`{}`)), client.FieldOwner("applier"))
	if !apierrors.IsUnsupportedMediaType(err) {
		t.Errorf("server-side apply returned %v", err)
	}
	err = newClient(t, s, "careful").Delete(t.Context(), pod, client.DryRunAll)
	if !apierrors.IsBadRequest(err) || kubesim.Get[corev1.Pod](s, pod.Namespace, pod.Name) == nil {
		t.Errorf("a dry run returned %v", err)
	}
}

// TestWritersWithoutALockLoseNothing has clients count in one object, each on the condition that nobody else did.
func TestWritersWithoutALockLoseNothing(t *testing.T) {
	const writers, each = 4, 25
	s := kubesim.New(kubesim.Config{})
	counter := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "counter"}, Data: map[string]string{"n": "0"}}
	first := newClient(t, s, "first")
	if err := first.Create(t.Context(), counter); err != nil {
		t.Fatal(err)
	}
	w, err := first.Watch(t.Context(), &corev1.ConfigMapList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: counter.ResourceVersion}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var running sync.WaitGroup
	for i := range writers {
		c := newClient(t, s, fmt.Sprintf("writer-%d", i))
		running.Go(func() {
			for range each {
				err := retry.OnError(wait.Backoff{Steps: 1_000_000, Duration: time.Microsecond}, apierrors.IsConflict, func() error {
					var now corev1.ConfigMap
					if err := c.Get(t.Context(), client.ObjectKeyFromObject(counter), &now); err != nil {
						return err
					}
					n, err := strconv.Atoi(now.Data["n"])
					if err != nil {
						return err
					}
					now.Data["n"] = strconv.Itoa(n + 1)
					return c.Update(t.Context(), &now)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	for n := range writers * each {
		if got, want := (<-w.ResultChan()).Object.(*corev1.ConfigMap).Data["n"], strconv.Itoa(n+1); got != want {
			t.Fatalf("the watch tells %s, want %s", got, want)
		}
	}
}

// watchFrom opens a watch of pods for a minute and returns its events.
func watchFrom(t *testing.T, s *kubesim.Server, revision int64) watch.Interface {
	t.Helper()
	w, err := newClient(t, s, "watcher").Watch(t.Context(), &corev1.PodList{}, &client.ListOptions{Raw: &metav1.ListOptions{
		ResourceVersion: strconv.FormatInt(revision, 10), TimeoutSeconds: new(int64(60)), AllowWatchBookmarks: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// TestQuietWatchOutlivesCompaction lets a client of a resource that does not change go on from a bookmark.
func TestQuietWatchOutlivesCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kubesim.New(kubesim.Config{})
		began := s.Revision()
		w := watchFrom(t, s, began)
		if err := s.As("world").Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}}); err != nil {
			t.Fatal(err)
		}
		e, ok := <-w.ResultChan()
		if !ok || e.Type != watch.Bookmark || e.Object.(*corev1.Pod).ResourceVersion != strconv.FormatInt(s.Revision(), 10) {
			t.Fatalf("the watch told %+v, want a bookmark of revision %d", e, s.Revision())
		}
		if e, ok := <-w.ResultChan(); ok {
			t.Fatalf("the watch went on with %+v", e)
		}
		told := s.Revision()
		s.Compact()
		if err := s.As("world").Create(podOn("one", "")); err != nil {
			t.Fatal(err)
		}
		if e := <-watchFrom(t, s, told).ResultChan(); e.Type != watch.Added {
			t.Errorf("the next watch told %+v", e)
		}
		if e := <-watchFrom(t, s, began).ResultChan(); !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
			t.Errorf("a watch from before told %+v", e)
		}
	})
}

// TestHistoryIsBounded forgets what is too old even if nobody says so.
func TestHistoryIsBounded(t *testing.T) {
	const changes = 20_001
	synctest.Test(t, func(t *testing.T) {
		s := kubesim.New(kubesim.Config{})
		pod := podOn("one", "")
		began := s.Revision()
		if err := s.As("world").Create(pod); err != nil {
			t.Fatal(err)
		}
		for n := range changes {
			pod.Labels["n"] = strconv.Itoa(n)
			if err := s.As("world").Update(pod); err != nil {
				t.Fatal(err)
			}
		}
		if e := <-watchFrom(t, s, began).ResultChan(); !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
			t.Errorf("a watch from before told %+v", e)
		}
		w := watchFrom(t, s, began+2)
		for n := 1; n < changes; n++ {
			if got := (<-w.ResultChan()).Object.(*corev1.Pod).Labels["n"]; got != strconv.Itoa(n) {
				t.Fatalf("the watch told %s, want %d", got, n)
			}
		}
	})
}

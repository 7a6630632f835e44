package kubesimtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func watchingCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"WatchTellsChangesInOrder":            func(k *kit) { watchOrder(k, watchedMaps) },
		"WatchTellsChangesOfCustomResources":  func(k *kit) { watchOrder(k, watchedMachines) },
		"WatchBeginsWithWhatIsThere":          watchInitialEvents,
		"WatchWithoutAStateBeginsWithNow":     watchFromNow,
		"WatchOfForgottenHistory":             watchExpired,
		"WatchFollowsASelector":               watchSelector,
		"WatchFollowsAField":                  watchField,
		"WatchEndsInTime":                     watchTimeout,
		"WatchOfADeletionCarriesTheLastState": watchDeletion,
	}
}

func revision(k *kit, text string) int64 {
	k.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	k.must(err)
	return n
}

// stream is a running watch.
type stream struct {
	k *kit
	watch.Interface
}

func (k *kit) watch(list client.ObjectList, options metav1.ListOptions) stream {
	k.Helper()
	w, err := k.Watch(k.ctx, list, &client.ListOptions{Namespace: k.ns, Raw: &options})
	k.must(err)
	k.Cleanup(w.Stop)
	return stream{k, w}
}

// next returns the next event that is not a bookmark of the server's own accord.
func (s stream) next() watch.Event {
	s.k.Helper()
	for {
		select {
		case e, ok := <-s.ResultChan():
			if !ok {
				s.k.Fatal("the watch ended")
			}
			if e.Type == watch.Bookmark && !initialEnd(e) {
				continue
			}
			return e
		case <-time.After(patience):
			s.k.Fatal("the watch tells nothing")
		}
	}
}

func initialEnd(e watch.Event) bool {
	m, err := meta.Accessor(e.Object)
	return err == nil && m.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}

// want fails the test unless the next events are these, written as type and name.
func (s stream) want(want ...string) []watch.Event {
	s.k.Helper()
	var events []watch.Event
	for _, w := range want {
		e := s.next()
		m, err := meta.Accessor(e.Object)
		s.k.must(err)
		if got := fmt.Sprintf("%s %s", e.Type, m.GetName()); got != w {
			s.k.Fatalf("the event is %q, want %q", got, w)
		}
		events = append(events, e)
	}
	return events
}

type watched struct {
	list client.ObjectList
	make func(name string) client.Object
}

var (
	watchedMaps = func() watched {
		return watched{&corev1.ConfigMapList{}, func(n string) client.Object { return configMap(n, nil) }}
	}
	watchedMachines = func() watched {
		return watched{&v1beta1.VPSieNodeList{}, func(n string) client.Object { return machine(n) }}
	}
)

func watchOrder(k *kit, of func() watched) {
	w := of()
	k.must(k.List(k.ctx, w.list, client.InNamespace(k.ns)))
	from := w.list.GetResourceVersion()
	one, two := w.make("one"), w.make("two")
	k.make(one, two)
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"1"}}}`)))
	k.must(k.Delete(k.ctx, two))
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"2"}}}`)))
	want := []string{"ADDED one", "ADDED two", "MODIFIED one", "DELETED two", "MODIFIED one"}
	// The API server makes an object of its own in each namespace.
	options := metav1.ListOptions{ResourceVersion: from}
	if _, ok := w.list.(*corev1.ConfigMapList); ok {
		options.FieldSelector = "metadata.name!=kube-root-ca.crt"
	}
	events := k.watch(w.list, options).want(want...)
	last := revision(k, from)
	for _, e := range events {
		m, err := meta.Accessor(e.Object)
		k.must(err)
		if now := revision(k, m.GetResourceVersion()); now <= last {
			k.Errorf("revision %d follows %d", now, last)
		} else {
			last = now
		}
	}
	for i := range events {
		m, err := meta.Accessor(events[i].Object)
		k.must(err)
		options.ResourceVersion = m.GetResourceVersion()
		k.watch(w.list, options).want(want[i+1:]...)
	}
}

func watchInitialEvents(k *kit) {
	k.make(machine("b"), machine("a"))
	w := k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{
		SendInitialEvents: new(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	})
	w.want("ADDED a", "ADDED b")
	end := w.next()
	if end.Type != watch.Bookmark || !initialEnd(end) {
		k.Fatalf("the event is %v, want the end of what was there", end)
	}
	m, err := meta.Accessor(end.Object)
	k.must(err)
	third := machine("c")
	k.make(third)
	if revision(k, m.GetResourceVersion()) >= revision(k, third.ResourceVersion) {
		k.Errorf("the end of what was there is of revision %s, the next write of %s", m.GetResourceVersion(), third.ResourceVersion)
	}
	w.want("ADDED c")
	_, err = k.Watch(k.ctx, &v1beta1.VPSieNodeList{}, &client.ListOptions{Namespace: k.ns, Raw: &metav1.ListOptions{SendInitialEvents: new(true)}})
	if err == nil {
		k.Error("initial events were sent although the match is missing")
	}
}

func watchFromNow(k *kit) {
	k.make(machine("a"))
	for _, version := range []string{"", "0"} {
		k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{ResourceVersion: version}).want("ADDED a")
	}
}

func watchExpired(k *kit) {
	// What was before their definition is not kept for custom resources by any server.
	k.make(machine("one"))
	k.Compact()
	e := k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{ResourceVersion: "1"}).next()
	if e.Type != watch.Error {
		k.Fatalf("the event is %s, want an error", e.Type)
	}
	k.refused(apierrors.FromObject(e.Object), metav1.StatusReasonExpired, http.StatusGone)
}

func watchSelector(k *kit) {
	in, out := machine("in"), machine("out")
	in.Labels = map[string]string{"watched": "yes"}
	k.make(in, out)
	w := k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{LabelSelector: "watched=yes", ResourceVersion: in.ResourceVersion})
	k.must(k.Patch(k.ctx, out, merge(`{"metadata":{"labels":{"watched":"yes"}}}`)))
	k.must(k.Patch(k.ctx, in, merge(`{"metadata":{"labels":{"other":"x"}}}`)))
	k.must(k.Patch(k.ctx, in, merge(`{"metadata":{"labels":{"watched":"no"}}}`)))
	k.must(k.Delete(k.ctx, in))
	k.must(k.Delete(k.ctx, out))
	events := w.want("ADDED out", "MODIFIED in", "DELETED in", "DELETED out")
	left := events[2].Object.(*v1beta1.VPSieNode)
	if left.Labels["watched"] != "yes" {
		k.Errorf("what left the selection is told as %v, want its last state in it", left.Labels)
	}
}

func watchField(k *kit) {
	from := machine("from")
	k.make(from)
	w := k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{FieldSelector: "metadata.name=one", ResourceVersion: from.ResourceVersion})
	k.make(machine("two"), machine("one"))
	w.want("ADDED one")
}

func watchTimeout(k *kit) {
	w := k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{TimeoutSeconds: new(int64(1)), AllowWatchBookmarks: true})
	for e := range w.ResultChan() {
		if !slices.Contains([]watch.EventType{watch.Bookmark}, e.Type) {
			k.Errorf("the watch of nothing told %v", e)
		}
	}
}

func watchDeletion(k *kit) {
	one := machine("one")
	one.Finalizers = []string{v1beta1.FinalizerMachine}
	k.make(one)
	k.must(k.Delete(k.ctx, one))
	k.read(one)
	w := k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{ResourceVersion: one.ResourceVersion})
	before := revision(k, one.ResourceVersion)
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"finalizers":null,"labels":{"written":"late"}}}`)))
	gone := w.want("DELETED one")[0].Object.(*v1beta1.VPSieNode)
	if !slices.Equal(gone.Finalizers, []string{v1beta1.FinalizerMachine}) || gone.Labels["written"] != "" {
		k.Errorf("the deletion shows finalizers %q and labels %v, want those that were stored", gone.Finalizers, gone.Labels)
	}
	if revision(k, gone.ResourceVersion) <= before {
		k.Errorf("the deletion is of revision %s, the object was of %d", gone.ResourceVersion, before)
	}
}

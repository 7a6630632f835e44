package kubesim

import (
	"cmp"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// eventsMax bounds the history of a resource; a watch that is further behind answers 410 Expired.
const eventsMax = 20_000

// record is one revision of an object. Neither it nor the object changes any more.
type record struct {
	resource *resource
	key      client.ObjectKey
	object   client.Object
	revision int64
	encoded  [mediaCount]atomic.Pointer[[]byte]
}

// bytes encodes the object once for each media type.
func (r *record) bytes(m media) ([]byte, error) {
	if b := r.encoded[m].Load(); b != nil {
		return *b, nil
	}
	b, err := encode(r.object, m)
	if err != nil {
		return nil, err
	}
	r.encoded[m].Store(&b)
	return b, nil
}

// at returns the same object as of another revision.
func (r *record) at(revision int64) *record {
	o := r.resource.shallowCopy(r.object)
	o.SetResourceVersion(strconv.FormatInt(revision, 10))
	return &record{resource: r.resource, key: r.key, object: o, revision: revision}
}

// event is one change of a table.
type event struct {
	kind     watch.EventType
	revision int64
	at       time.Time
	before   *record // nil for a creation
	after    *record // the last state for a deletion
	frames   [mediaCount]atomic.Pointer[[]byte]
}

// frame encodes the event, as watches without a selector see it, once for each media type.
func (e *event) frame(m media) ([]byte, error) {
	if b := e.frames[m].Load(); b != nil {
		return *b, nil
	}
	b, err := frame(e.kind, e.after, m)
	if err != nil {
		return nil, err
	}
	e.frames[m].Store(&b)
	return b, nil
}

// history is a queue of events, oldest first.
type history struct {
	events []*event
	first  int // index of the oldest
}

func (h *history) all() []*event { return h.events[h.first:] }

func (h *history) clear() { h.events, h.first = nil, 0 }

// add appends an event and returns the revision of the one that had to go, or 0.
func (h *history) add(e *event) (dropped int64) {
	h.events = append(h.events, e)
	if len(h.events)-h.first > eventsMax {
		dropped = h.events[h.first].revision
		h.events[h.first] = nil
		h.first++
	}
	if h.first > eventsMax {
		h.events, h.first = slices.Clone(h.events[h.first:]), 0
	}
	return dropped
}

// since returns the events after a revision.
func (h *history) since(revision int64) []*event {
	all := h.all()
	i, _ := slices.BinarySearchFunc(all, revision+1, func(e *event, r int64) int { return cmp.Compare(e.revision, r) })
	return all[i:]
}

// table is what the server knows of one resource. The server's mu guards it.
type table struct {
	resource  *resource
	records   map[client.ObjectKey]*record
	sorted    []*record // by namespace and name
	events    history
	compacted int64     // the newest revision that is no longer in events
	streams   []*stream // in the order in which they began
	aging     []aging   // guarded by the server's writing instead
}

// put stores a change and remembers it.
func (t *table) put(before *record, after client.Object, revision int64, now time.Time) *record {
	e := &event{revision: revision, at: now, before: before}
	if after == nil {
		e.kind, e.after = watch.Deleted, before.at(revision)
		t.forget(before.key)
	} else {
		e.kind = watch.Modified
		if before == nil {
			e.kind = watch.Added
		}
		after.SetResourceVersion(strconv.FormatInt(revision, 10))
		e.after = &record{resource: t.resource, key: client.ObjectKeyFromObject(after), object: after, revision: revision}
		t.keep(e.after)
	}
	t.compacted = max(t.compacted, t.events.add(e))
	return e.after
}

func (t *table) keep(r *record) {
	t.records[r.key] = r
	i, found := t.find(r.key)
	if found {
		t.sorted[i] = r
		return
	}
	t.sorted = slices.Insert(t.sorted, i, r)
}

func (t *table) forget(key client.ObjectKey) {
	delete(t.records, key)
	if i, found := t.find(key); found {
		t.sorted = slices.Delete(t.sorted, i, i+1)
	}
}

func (t *table) find(key client.ObjectKey) (int, bool) {
	return slices.BinarySearchFunc(t.sorted, key, func(r *record, k client.ObjectKey) int { return compareKeys(r.key, k) })
}

// in returns the records of a namespace, or all for an empty one. The slice is only valid under the server's lock.
func (t *table) in(namespace string) []*record {
	if namespace == "" {
		return t.sorted
	}
	from, _ := t.find(client.ObjectKey{Namespace: namespace})
	to, _ := slices.BinarySearchFunc(t.sorted[from:], namespace, func(r *record, n string) int {
		if r.key.Namespace <= n {
			return -1
		}
		return 1
	})
	return t.sorted[from : from+to]
}

func compareKeys(a, b client.ObjectKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

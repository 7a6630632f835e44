package kubesim

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// watchDefault is how long a watch lasts whose client does not say.
	watchDefault = 30 * time.Minute
	// bookmarkBefore is how long before its end a watch says how far it is, so that its successor needs no relist.
	bookmarkBefore = 2 * time.Second
	// eventsPerRead bounds what one read of a watch collects.
	eventsPerRead = 256
)

// stream is the body of a watch. It is read by one goroutine, in which all its work is done: the history
// of the resource is its queue, so that it holds nothing for a client that does not read.
type stream struct {
	server    *Server
	table     *table
	request   Request
	ctx       context.Context // a response's body lives as long as its request
	want      selection
	media     media
	bookmarks bool
	over      *time.Timer
	bookmark  *time.Timer
	changed   chan struct{} // holds one wake-up
	closed    chan struct{}

	once   sync.Once
	mu     sync.Mutex
	ending error // io.EOF for an orderly end

	// What follows belongs to the reader.
	initial []*record
	endMark bool  // after initial, say that it was all
	cursor  int64 // the revision up to which everything was sent
	told    int64 // the revision that the client knows
	buffer  []byte
	unread  []byte
	result  error // after unread
}

// watch begins to answer the changes of a selection.
func (s *Server) watch(ctx context.Context, to route, m media) (reply, error) {
	want, err := newSelection(to)
	if err != nil {
		return reply{}, err
	}
	asked, err := parseRevision(to.query.Get("resourceVersion"))
	if err != nil {
		return reply{}, err
	}
	lasts := watchDefault
	if text := to.query.Get("timeoutSeconds"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return reply{}, apierrors.NewBadRequest("timeoutSeconds is not a number")
		}
		lasts = time.Duration(n) * time.Second
	}
	w := &stream{
		server: s, table: s.tables[to.resource], request: to.request, ctx: ctx, want: want, media: m,
		bookmarks: to.query.Get("allowWatchBookmarks") == "true", changed: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if err := s.open(w, to, asked); err != nil {
		return reply{}, err
	}
	w.over, w.bookmark = time.NewTimer(lasts), time.NewTimer(max(lasts-bookmarkBefore, 0))
	return reply{code: http.StatusOK, contentType: m.contentType(true), stream: w}, nil
}

// open sets where the watch begins and registers it.
func (s *Server) open(w *stream, to route, asked int64) error {
	listing := to.query.Get("sendInitialEvents") == "true"
	if listing && to.query.Get("resourceVersionMatch") != string(metav1.ResourceVersionMatchNotOlderThan) {
		return apierrors.NewBadRequest("sendInitialEvents needs resourceVersionMatch NotOlderThan")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.cursor = asked
	if listing || asked == 0 {
		if asked > s.revision {
			return errTooLarge(asked, s.revision)
		}
		w.initial, w.endMark, w.cursor = w.table.selected(w.want), listing && w.bookmarks, s.revision
	}
	w.told = asked
	w.table.streams = append(w.table.streams, w)
	return nil
}

// poke tells the reader that there may be something new.
func (w *stream) poke() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// end makes the watch end at the next read: orderly for nil, else with the error as the last event.
func (w *stream) end(err error) {
	w.mu.Lock()
	if w.ending == nil {
		w.ending = err
		if err == nil {
			w.ending = io.EOF
		}
	}
	w.mu.Unlock()
	w.poke()
}

func (w *stream) ended() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ending
}

// Close ends the watch for the client.
func (w *stream) Close() error {
	w.once.Do(func() {
		close(w.closed)
		w.over.Stop()
		w.bookmark.Stop()
		w.server.mu.Lock()
		w.table.streams = slices.DeleteFunc(w.table.streams, func(o *stream) bool { return o == w })
		w.server.mu.Unlock()
	})
	return nil
}

// Read waits for events and returns their encoding.
func (w *stream) Read(p []byte) (int, error) {
	for len(w.unread) == 0 {
		if w.result != nil {
			return 0, w.result
		}
		w.buffer = w.buffer[:0]
		w.result = w.fill()
		w.unread = w.buffer
	}
	n := copy(p, w.unread)
	w.unread = w.unread[n:]
	return n, nil
}

// fill waits for something to send. After an error nothing more is sent than what it has put into the buffer.
func (w *stream) fill() error {
	for {
		if err := w.gone(); err != nil {
			return err
		}
		if err := w.ended(); err != nil {
			return w.sendError(err)
		}
		if w.initial != nil || w.endMark {
			if err := w.sendInitial(); err != nil || len(w.buffer) > 0 {
				return err
			}
		}
		due, err := w.sendChanges()
		if err != nil || len(w.buffer) > 0 {
			return err
		}
		if err := w.wait(due); err != nil || len(w.buffer) > 0 {
			return err
		}
	}
}

// gone reports that nobody reads any more.
func (w *stream) gone() error {
	select {
	case <-w.closed:
		return http.ErrBodyReadAfterClose
	default:
		return w.ctx.Err()
	}
}

// wait returns when there may be something to send; due is when the next change may be, or zero.
func (w *stream) wait(due time.Time) error {
	var held <-chan time.Time
	changed := w.changed
	if !due.IsZero() {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		held = t.C
	}
	select {
	case <-changed:
	case <-held:
	case <-w.closed:
	case <-w.ctx.Done():
	case <-w.bookmark.C:
		if !w.bookmarks || !due.IsZero() {
			return nil
		}
		if _, err := w.sendChanges(); err != nil {
			return err
		}
		return w.sendBookmark(nil)
	case <-w.over.C:
		return io.EOF
	}
	return nil
}

// sendInitial sends what there was when the watch began.
func (w *stream) sendInitial() error {
	for n := 0; len(w.initial) > 0 && n < eventsPerRead; n++ {
		b, err := frame(watch.Added, w.initial[0], w.media)
		if err != nil {
			return err
		}
		w.buffer = append(w.buffer, b...)
		w.initial = w.initial[1:]
	}
	if len(w.initial) > 0 {
		return nil
	}
	w.initial = nil
	if !w.endMark {
		return nil
	}
	w.endMark = false
	return w.sendBookmark(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
}

// sendChanges sends what happened since the last time, and returns when the next may be sent if that is not now.
func (w *stream) sendChanges() (time.Time, error) {
	w.server.mu.RLock()
	if w.cursor < w.table.compacted {
		asked, oldest := w.cursor, w.table.compacted
		w.server.mu.RUnlock()
		return time.Time{}, w.sendError(errExpired(asked, oldest))
	}
	events, newest := w.table.events.since(w.cursor), w.server.revision
	complete := len(events) <= eventsPerRead
	if !complete {
		events = events[:eventsPerRead]
	}
	events = slices.Clone(events)
	w.server.mu.RUnlock()
	for _, e := range events {
		if due := w.server.faults.Due(w.request, e.at); !due.IsZero() && due.After(time.Now()) {
			return due, nil
		}
		b, err := w.frame(e)
		if err != nil {
			return time.Time{}, err
		}
		w.buffer = append(w.buffer, b...)
		w.cursor = e.revision
		if b != nil {
			w.told = e.revision
		}
	}
	if complete {
		w.cursor = max(w.cursor, newest)
	}
	return time.Time{}, nil
}

// frame encodes an event as the watch's selection sees it, or returns nil if it does not.
func (w *stream) frame(e *event) ([]byte, error) {
	if w.want.namespace != "" && w.want.namespace != e.after.key.Namespace {
		return nil, nil
	}
	if w.want.all {
		return e.frame(w.media)
	}
	before := e.before != nil && w.want.has(e.before)
	after := e.kind != watch.Deleted && w.want.has(e.after)
	switch {
	case before && after, before && e.kind == watch.Deleted, after && e.kind == watch.Added:
		return e.frame(w.media)
	case after:
		return frame(watch.Added, e.after, w.media)
	case before:
		return frame(watch.Deleted, e.before.at(e.revision), w.media)
	}
	return nil, nil
}

// sendBookmark says up to where the client has seen everything, unless it knows.
func (w *stream) sendBookmark(annotations map[string]string) error {
	if annotations == nil && w.told >= w.cursor {
		return nil
	}
	r := w.table.resource
	o := r.newObject()
	o.SetAnnotations(annotations)
	o.SetResourceVersion(strconv.FormatInt(w.cursor, 10))
	b, err := frame(watch.Bookmark, &record{resource: r, object: o}, w.media)
	if err != nil {
		return err
	}
	w.buffer = append(w.buffer, b...)
	w.told = w.cursor
	return nil
}

// sendError makes an error the last event, if it is one of the API.
func (w *stream) sendError(err error) error {
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		return err
	}
	b, failure := frameOf(watch.Error, encodeStatus(statusOf(err), w.media), w.media)
	if failure != nil {
		return failure
	}
	w.buffer = append(w.buffer, b...)
	return io.EOF
}

// Package kubesim is a Kubernetes API server in memory, for simulations under testing/synctest.
//
// A client whose rest.Config has a transport of it as Transport works unchanged: typed clients,
// informers, leader election, event recorders. There is no socket, no goroutine and no clock of its
// own: requests are served in the caller's goroutine, watches in the goroutine that reads them, and
// time is package time, so a Server that is used inside a bubble must be made in it.
//
// What it answers is held to the real API server by one suite that runs against both, package
// kubesimtest. Beyond what clients of this repository use it answers an error rather than something
// made up: there is no dry run, no server-side apply and no list of an earlier state.
//
// It has no controllers: the simulated world counts budgets, binds and ends pods, empties namespaces
// and collects what its owner left. It has neither service accounts nor priority classes, keeps no
// managed fields, protects no claims in use, and stores the two kinds of events apart.
package kubesim

import (
	"log/slog"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Config says what a server starts with; the zero value works.
type Config struct {
	// Faults makes requests and watches go wrong; nil leaves them alone.
	Faults Faults
	// Log receives one debug record a request; nil discards them.
	Log *slog.Logger
}

// Server is a cluster's API server. It is safe for concurrent use.
type Server struct {
	faults    Faults
	log       *slog.Logger
	resources *registry

	// writing serialises writes and is held while observers run, so that they see each state once, in order.
	writing   sync.Mutex
	observers []func(Change)
	names     nameSource

	// mu guards what follows, and the tables. It is taken after writing, and never held while anything is called.
	mu       sync.RWMutex
	revision int64
	tables   map[*resource]*table
	pages    pages
}

// New returns a server with the namespaces and the definitions of custom resources that a new cluster has.
func New(cfg Config) *Server {
	s := &Server{faults: cfg.Faults, log: cfg.Log, resources: newRegistry(), tables: map[*resource]*table{}, revision: 1}
	if s.faults == nil {
		s.faults = noFaults{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, r := range s.resources.all {
		s.tables[r] = &table{resource: r, records: map[client.ObjectKey]*record{}}
	}
	s.seed()
	return s
}

// Change is one write that took effect.
type Change struct {
	// Request is what made it. Its Client is as the transport or Direct names it.
	Request Request
	// Revision is the resourceVersion of the state after it.
	Revision int64
	// Old and New are the object before and after; one is nil for a creation and a deletion. They must not be changed.
	Old, New client.Object
}

// Observe has f called for each change from now on, in order, while no other change can take effect.
// It may read from the server, but must neither write to it nor wait for anybody who does.
func (s *Server) Observe(f func(Change)) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.observers = append(s.observers, f)
}

// Revision returns the resourceVersion of the newest state.
func (s *Server) Revision() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.revision
}

// Compact forgets the history: a watch from an older resourceVersion, and the rest of a list that was
// begun before, answer 410 Expired from now on.
func (s *Server) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		t.events.clear()
		t.compacted = s.revision
	}
	s.pages.clear()
}

// CloseWatches ends the running watches for which match answers yes. With a nil error they end as when
// a connection closes in an orderly way; otherwise the error is sent as the last event.
func (s *Server) CloseWatches(match func(Request) bool, err error) {
	s.mu.RLock()
	var ended []*stream
	for _, t := range s.tables {
		for _, w := range t.streams {
			if match(w.request) {
				ended = append(ended, w)
			}
		}
	}
	s.mu.RUnlock()
	for _, w := range ended {
		w.end(err)
	}
}

// commit makes a write visible: after is nil for a deletion, before for a creation. The caller holds writing.
func (s *Server) commit(req Request, r *resource, before *record, after client.Object) *record {
	s.mu.Lock()
	s.revision++
	revision := s.revision
	t := s.tables[r]
	stored := t.put(before, after, revision, time.Now())
	for _, w := range t.streams {
		w.poke()
	}
	s.mu.Unlock()
	change := Change{Request: req, Revision: revision, New: after}
	if before != nil {
		change.Old = before.object
	}
	for _, f := range s.observers {
		f(change)
	}
	return stored
}

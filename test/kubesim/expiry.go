package kubesim

import "time"

// eventLifetime is how long events are kept, as the API server's --event-ttl.
const eventLifetime = time.Hour

// aging is one write of an object that expires, oldest first in a table.
type aging struct {
	record *record
	since  time.Time
}

// expireEvents removes old events when a new one is stored, so that their number is bounded. The caller holds writing.
func (s *Server) expireEvents(req Request, written *record) {
	r := written.resource
	if r.kind != "Event" {
		return
	}
	t, at := s.tables[r], time.Now()
	t.aging = append(t.aging, aging{written, at})
	req.Client, req.Verb = "kube-apiserver", "delete"
	for len(t.aging) > 0 && at.Sub(t.aging[0].since) > eventLifetime {
		old := t.aging[0].record
		t.aging[0] = aging{}
		t.aging = t.aging[1:]
		if s.stored(r, old.key) == old {
			req.Namespace, req.Name = old.key.Namespace, old.key.Name
			s.commit(req, r, old, nil)
		}
	}
}

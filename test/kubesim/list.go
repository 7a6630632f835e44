package kubesim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pagesMax bounds the lists whose rest is kept for a client to continue.
const pagesMax = 64

// pages are the rests of lists that were cut, oldest first. The server's mu guards them.
type pages struct {
	made uint64
	kept []page
}

type page struct {
	token    string
	resource *resource
	revision int64
	rest     []*record
}

func (p *pages) clear() { p.kept = nil }

// keep remembers a rest and returns its token.
func (p *pages) keep(r *resource, revision int64, rest []*record) string {
	p.made++
	token := strconv.FormatUint(p.made, 36)
	p.kept = append(p.kept, page{token, r, revision, rest})
	if len(p.kept) > pagesMax {
		p.kept = slices.Delete(p.kept, 0, 1)
	}
	return token
}

// find returns the rest that a token stands for.
func (p *pages) find(r *resource, token string) (page, bool) {
	i := slices.IndexFunc(p.kept, func(k page) bool { return k.token == token && k.resource == r })
	if i < 0 {
		return page{}, false
	}
	return p.kept[i], true
}

// list answers the selected objects of one revision.
func (s *Server) list(to route, m media) (reply, error) {
	asked, err := parseRevision(to.query.Get("resourceVersion"))
	if err != nil {
		return reply{}, err
	}
	if match := to.query.Get("resourceVersionMatch"); match == string(metav1.ResourceVersionMatchExact) {
		return reply{}, apierrors.NewBadRequest("kubesim lists no earlier state: resourceVersionMatch Exact is not served")
	}
	var found []*record
	var revision int64
	if token := to.query.Get("continue"); token != "" {
		found, revision, err = s.continued(to.resource, token)
	} else {
		found, revision, err = s.listed(to, asked)
	}
	if err != nil {
		return reply{}, err
	}
	meta := metav1.ListMeta{ResourceVersion: strconv.FormatInt(revision, 10)}
	limit, err := strconv.Atoi(cmp.Or(to.query.Get("limit"), "0"))
	if err != nil || limit < 0 {
		return reply{}, apierrors.NewBadRequest("limit is not a number")
	}
	// Like a watch cache, the server answers "0" in one piece.
	if limit > 0 && limit < len(found) && to.query.Get("resourceVersion") != "0" {
		rest := found[limit:]
		found = found[:limit]
		s.mu.Lock()
		meta.Continue = s.pages.keep(to.resource, revision, rest)
		s.mu.Unlock()
		meta.RemainingItemCount = new(int64(len(rest)))
	}
	body, err := encodeList(to.resource, meta, found, m)
	if err != nil {
		return reply{}, err
	}
	return reply{code: http.StatusOK, contentType: m.contentType(false), body: body}, nil
}

func (s *Server) listed(to route, asked int64) ([]*record, int64, error) {
	want, err := newSelection(to)
	if err != nil {
		return nil, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if asked > s.revision {
		return nil, 0, errTooLarge(asked, s.revision)
	}
	return s.tables[to.resource].selected(want), s.revision, nil
}

func (s *Server) continued(r *resource, token string) ([]*record, int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.pages.find(r, token)
	if !ok {
		return nil, 0, apierrors.NewResourceExpired("The provided continue parameter is too old")
	}
	return p.rest, p.revision, nil
}

// chosen returns the objects that a request selects.
func (s *Server) chosen(to route) ([]*record, error) {
	found, _, err := s.listed(to, 0)
	return found, err
}

// selected returns what a selection has, by namespace and name, in a slice of its own.
func (t *table) selected(want selection) []*record {
	all := t.in(want.namespace)
	if want.all {
		return slices.Clone(all)
	}
	var found []*record
	for _, r := range all {
		if want.has(r) {
			found = append(found, r)
		}
	}
	return found
}

// encodeList puts objects that are encoded already together.
func encodeList(r *resource, meta metav1.ListMeta, items []*record, m media) ([]byte, error) {
	size := 0
	encoded := make([][]byte, len(items))
	for i, item := range items {
		b, err := item.bytes(m)
		if err != nil {
			return nil, err
		}
		encoded[i] = b
		size += len(b) + binary.MaxVarintLen32 + 1
	}
	if m == mediaJSON {
		b := make([]byte, 0, size+200)
		b = fmt.Appendf(b, `{"kind":%q,"apiVersion":%q,"metadata":`, r.kind+"List", r.apiVersion())
		b = append(b, jsonBody(meta)...)
		b = append(b, `,"items":[`...)
		for i, item := range encoded {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, item...)
		}
		return append(b, "]}"...), nil
	}
	head, err := meta.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode list of %s: %w", r.gvr.Resource, err)
	}
	// Every list of Kubernetes has its metadata as field 1 and its items as field 2.
	b := appendField(make([]byte, 0, size+len(head)+10), 1, head)
	for _, item := range encoded {
		b = appendField(b, 2, item)
	}
	return wrap(r.apiVersion(), r.kind+"List", b, m), nil
}

// appendField writes a field of protocol buffers that has a length.
func appendField(b []byte, number byte, value []byte) []byte {
	b = append(b, number<<3|2)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

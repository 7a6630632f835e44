package kubesim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// requestBytesMax is the API server's limit on a request's body.
const requestBytesMax = 3 << 20

// Transport serves requests in the caller's goroutine; clients are named by the first word of their User-Agent.
func (s *Server) Transport() http.RoundTripper { return transport{server: s} }

// TransportFor is Transport for one client, which faults and observers see under the given name.
func (s *Server) TransportFor(client string) http.RoundTripper {
	return transport{server: s, client: client}
}

type transport struct {
	server *Server
	client string
}

// reply is what a request is answered.
type reply struct {
	code        int
	contentType string
	body        []byte
	stream      *stream // of a watch, instead of a body
	retryAfter  int32   // in seconds; clients of client-go wait and try again when it is not 0
}

// RoundTrip serves one request.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	to, err := t.server.resources.parse(r)
	to.request.Client = t.client
	if t.client == "" {
		to.request.Client, _, _ = strings.Cut(r.UserAgent(), " ")
	}
	verdict := t.server.faults.Strike(to.request)
	if err := pause(r.Context(), verdict.Delay); err != nil {
		return nil, err
	}
	if verdict.Err != nil && !verdict.LostReply {
		return t.fail(r, to, verdict.Err)
	}
	var rep reply
	if err == nil {
		rep, err = t.server.serve(r, to, body)
	}
	if verdict.Err != nil {
		rep.abandon()
		return t.fail(r, to, verdict.Err)
	}
	if err != nil {
		rep = refuse(err)
	}
	t.trace(r.Context(), to, rep.code)
	return rep.response(r), nil
}

// fail answers as a fault wants.
func (t transport) fail(r *http.Request, to route, err error) (*http.Response, error) {
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		t.trace(r.Context(), to, 0)
		return nil, err
	}
	rep := refuse(err)
	t.trace(r.Context(), to, rep.code)
	return rep.response(r), nil
}

func (t transport) trace(ctx context.Context, to route, code int) {
	if t.server.log.Enabled(ctx, slog.LevelDebug) {
		q := to.request
		t.server.log.DebugContext(ctx, "request served", "client", q.Client, "verb", q.Verb, "resource", q.Resource.String(),
			"namespace", q.Namespace, "name", q.Name, "subresource", q.Subresource, "code", code)
	}
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, requestBytesMax+1))
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	return b, nil
}

// serve carries a request out.
func (s *Server) serve(r *http.Request, to route, body []byte) (reply, error) {
	if len(body) > requestBytesMax {
		return reply{}, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", requestBytesMax))
	}
	if to.resource == nil {
		return s.discover(r.URL.Path)
	}
	if to.query.Has("dryRun") {
		return reply{}, errDryRun
	}
	m, contentType := accepted(r.Header.Get("Accept"), to.resource), r.Header.Get("Content-Type")
	switch to.request.Verb {
	case "get":
		found := s.stored(to.resource, keyOf(to.request))
		if found == nil {
			return reply{}, apierrors.NewNotFound(to.resource.group(), to.request.Name)
		}
		return single(http.StatusOK, found, m)
	case "list":
		return s.list(to, m)
	case "watch":
		return s.watch(r.Context(), to, m)
	case "create":
		if to.request.Subresource != "" {
			return s.createSubresource(to, body, contentType)
		}
		o := to.resource.newObject()
		if err := decode(body, contentType, o); err != nil {
			return reply{}, apierrors.NewBadRequest(err.Error())
		}
		stored, err := s.create(to.request, to.resource, o)
		return written(http.StatusCreated, stored, m, err)
	case "update":
		o := to.resource.newObject()
		if err := decode(body, contentType, o); err != nil {
			return reply{}, apierrors.NewBadRequest(err.Error())
		}
		stored, err := s.replace(to.request, to.resource, o)
		return written(http.StatusOK, stored, m, err)
	case "patch":
		stored, err := s.patch(to.request, to.resource, contentType, body)
		return written(http.StatusOK, stored, m, err)
	case "delete", "deletecollection":
		return s.serveDelete(to, body, contentType, m)
	}
	return reply{}, apierrors.NewMethodNotSupported(to.resource.group(), to.request.Verb)
}

func (s *Server) createSubresource(to route, body []byte, contentType string) (reply, error) {
	var err error
	switch to.request.Subresource {
	case subBinding:
		var b corev1.Binding
		if err = decode(body, contentType, &b); err == nil {
			err = s.bind(to.request, &b)
		}
	case subEviction:
		var e policyv1.Eviction
		if err = decode(body, contentType, &e); err == nil {
			err = s.evict(to.request, &e)
		}
	}
	if err != nil {
		return reply{}, err
	}
	return statusReply(http.StatusCreated, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
	}), nil
}

func (s *Server) serveDelete(to route, body []byte, contentType string, m media) (reply, error) {
	options := &metav1.DeleteOptions{}
	if len(body) > 0 {
		if err := decode(body, contentType, options); err != nil {
			return reply{}, apierrors.NewBadRequest(err.Error())
		}
	}
	if to.request.Verb == "deletecollection" {
		chosen, err := s.chosen(to)
		if err != nil {
			return reply{}, err
		}
		return statusReply(http.StatusOK, succeeded(to.resource, "")), s.removeAll(to.request, to.resource, chosen, options)
	}
	left, err := s.remove(to.request, to.resource, options)
	if err != nil || left != nil {
		return written(http.StatusOK, left, m, err)
	}
	return statusReply(http.StatusOK, succeeded(to.resource, to.request.Name)), nil
}

func keyOf(r Request) client.ObjectKey { return client.ObjectKey{Namespace: r.Namespace, Name: r.Name} }

func written(code int, stored *record, m media, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return single(code, stored, m)
}

// single answers one object.
func single(code int, r *record, m media) (reply, error) {
	raw, err := r.bytes(m)
	if err != nil {
		return reply{}, err
	}
	return reply{code: code, contentType: m.contentType(false), body: wrap(r.resource.apiVersion(), r.resource.kind, raw, m)}, nil
}

func refuse(err error) reply {
	status := statusOf(err)
	return statusReply(int(status.Code), status)
}

func statusReply(code int, status metav1.Status) reply {
	rep := reply{code: code, contentType: jsonType, body: encodeStatus(status, mediaJSON)}
	if status.Details != nil {
		rep.retryAfter = status.Details.RetryAfterSeconds
	}
	return rep
}

// abandon closes what nobody will read.
func (r reply) abandon() {
	if r.stream != nil {
		_ = r.stream.Close()
	}
}

func (r reply) response(to *http.Request) *http.Response {
	resp := &http.Response{
		Status: strconv.Itoa(r.code) + " " + http.StatusText(r.code), StatusCode: r.code,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: to,
		Header: http.Header{"Content-Type": {r.contentType}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
	}
	if r.retryAfter > 0 {
		resp.Header.Set("Retry-After", strconv.Itoa(int(r.retryAfter)))
	}
	if r.stream != nil {
		resp.Body, resp.ContentLength = r.stream, -1
		return resp
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(r.body)), int64(len(r.body))
	return resp
}

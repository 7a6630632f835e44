package vpsiesim

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// Transport calls a handler in the caller's goroutine, without a network, and so works under virtual time.
//
// A handler that drops the connection is seen as io.ErrUnexpectedEOF.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

// RoundTrip serves one request.
func (t transport) RoundTrip(r *http.Request) (rep *http.Response, err error) {
	defer func() {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		switch v := recover(); {
		case v == nil:
		case v == any(http.ErrAbortHandler):
			rep, err = nil, io.ErrUnexpectedEOF
		default:
			panic(v)
		}
		if ctxErr := r.Context().Err(); ctxErr != nil && err != nil {
			err = ctxErr
		}
	}()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI = r.URL.RequestURI()
	w := &recorder{header: http.Header{}}
	t.handler.ServeHTTP(w, in)
	return w.response(r), nil
}

// recorder keeps what a handler writes.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *recorder) response(r *http.Request) *http.Response {
	status := max(w.status, http.StatusOK)
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}
}

package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// replyBytesMax is more than a client may read of a reply.
const replyBytesMax = 17 << 20

// cloud is VPSie, reached without a network.
type cloud struct {
	world *world
	sim   *vpsiesim.Sim
	// spoiled counts what each fault of the simulator did; the world's lock guards it.
	spoiled map[string]int
}

// cloudPort is a process's connection to VPSie.
type cloudPort struct {
	cloud *cloud
	owner *process
}

func (c *cloud) transportFor(p *process) http.RoundTripper { return &cloudPort{cloud: c, owner: p} }

// change is a call to VPSie that launches or deletes.
type change struct {
	by         *process
	launches   bool
	identifier string // of a machine that is deleted
	endpoint   string
}

// RoundTrip makes one call. The invariants see calls that change something before they take effect.
func (p *cloudPort) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readAll(r.Body)
	if err != nil {
		return nil, err
	}
	after, err := p.owner.gate.enter(true)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "sim", Err: err}
	}
	w := p.cloud.world
	w.log.passed(p.owner.name, r.Method, r.URL.String(), string(body))
	if w.cloudDown() {
		w.hit("vpsie-down")
		return nil, &net.OpError{Op: "dial", Net: "sim", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	if made, ok := p.change(r, body); ok {
		w.judge.beforeCloud(made)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := &recorder{header: http.Header{}, code: http.StatusOK}
	if !p.cloud.serve(rec, r) {
		return nil, &net.OpError{Op: "read", Net: "sim", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if err := after(); err != nil {
		return nil, &net.OpError{Op: "read", Net: "sim", Err: err}
	}
	return &http.Response{
		StatusCode: rec.code, Status: http.StatusText(rec.code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rec.header, Body: io.NopCloser(bytes.NewReader(rec.body.Bytes())), Request: r, ContentLength: -1,
	}, nil
}

// serve reports false when the connection broke instead of an answer.
func (c *cloud) serve(rec *recorder, r *http.Request) (answered bool) {
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			answered = false
		}
	}()
	c.sim.Handler().ServeHTTP(rec, r)
	return true
}

// change tells what a call changes; reads and the making of groups are none of its business.
func (p *cloudPort) change(r *http.Request, body []byte) (change, bool) {
	made := change{by: p.owner, endpoint: r.Method + " " + r.URL.Path}
	switch {
	case r.Method == http.MethodGet, strings.HasSuffix(r.URL.Path, "/offers"), strings.HasSuffix(r.URL.Path, "/add/group"):
		return made, false
	case r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/add/slave/group/"):
		made.launches = true
	case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/delete/slave"):
		var named struct{ Identifier string }
		_ = json.Unmarshal(body, &named) // an unreadable one names no machine
		made.identifier = named.Identifier
	}
	return made, true
}

func readAll(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer body.Close()
	return io.ReadAll(body)
}

// recorder keeps a reply, up to what a client reads of it.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header  { return r.header }
func (r *recorder) WriteHeader(code int) { r.code = code }
func (r *recorder) Write(b []byte) (int, error) {
	if r.body.Len()+len(b) > replyBytesMax {
		return 0, io.ErrShortWrite
	}
	return r.body.Write(b)
}

// admin changes VPSie's behaviour through its admin API.
func (c *cloud) admin(method, path string, body any) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			panic(err)
		}
	}
	r, err := http.NewRequest(method, "http://admin.sim/admin/"+path, bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	rec := &recorder{header: http.Header{}, code: http.StatusOK}
	c.sim.AdminHandler().ServeHTTP(rec, r)
	if rec.code >= http.StatusMultipleChoices {
		panic(fmt.Sprintf("%s %s: %s", method, path, rec.body.String()))
	}
}

func (c *cloud) set(switches map[string]any) { c.admin(http.MethodPatch, "switches", switches) }

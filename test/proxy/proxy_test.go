package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/proxy"
)

const (
	// patience is how long anything may take on a busy machine.
	patience = 30 * time.Second
	// silence is how long nothing must arrive to count as held back; a proxy that passes is far quicker.
	silence = 100 * time.Millisecond
	// noticed is how long a proxy may take to see that somebody hung up.
	noticed = 2 * time.Second
)

// echo serves connections that say back what they are told.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func start(t *testing.T, targets ...string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Listen("127.0.0.1:0", func() []string { return targets })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func set(t *testing.T, p *proxy.Proxy, f proxy.Fault) {
	t.Helper()
	if err := p.Set(f); err != nil {
		t.Fatal(err)
	}
}

// client is one connection through a proxy.
type client struct {
	net.Conn
	t *testing.T
}

func dial(t *testing.T, p *proxy.Proxy) client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return client{conn, t}
}

func (c client) say(text string) {
	c.t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c client) hears(text string) {
	c.t.Helper()
	got := make([]byte, len(text))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		c.t.Fatalf("heard %q, %v, want %q", got, err, text)
	}
}

func (c client) hearsNothing(during time.Duration) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(during))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("heard %d bytes, %v, want silence", n, err)
	}
}

func (c client) isReset() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("read: %v, want a reset", err)
	}
}

func TestPassesUntouched(t *testing.T) {
	p := start(t, "127.0.0.1:1", echo(t)) // nobody listens at the first target
	c := dial(t, p)
	c.say("hello")
	c.hears("hello")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read after the end: %v, want that the end comes back", err)
	}
}

func TestNoTargetResets(t *testing.T) {
	p := start(t, "127.0.0.1:1")
	// The reset may be quicker than the client's own look at its new connection.
	conn, err := net.Dial("tcp", p.Address())
	if err == nil {
		defer conn.Close()
		client{conn, t}.isReset()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("dial: %v, want a reset", err)
	}
}

// TestHoldsAndDelivers keeps what is said back, in each way in which that can be, and lets it through later.
func TestHoldsAndDelivers(t *testing.T) {
	tests := map[string]proxy.Fault{
		"BlackHole": proxy.BlackHole(),
		"OnlyUp":    {Up: proxy.Way{Hold: true}},
		"OnlyDown":  {Down: proxy.Way{Hold: true}},
		"Slow":      proxy.Latency(time.Hour),
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, echo(t))
			before := dial(t, p)
			before.say("before")
			before.hears("before")
			set(t, p, fault)
			during := dial(t, p)
			before.say("one")
			during.say("two")
			before.hearsNothing(silence)
			during.hearsNothing(silence)
			set(t, p, proxy.Fault{})
			before.hears("one")
			during.hears("two")
		})
	}
}

func TestDelayIsKept(t *testing.T) {
	const roundTrip = 50 * time.Millisecond
	p := start(t, echo(t))
	c := dial(t, p)
	set(t, p, proxy.Latency(roundTrip))
	began := time.Now()
	c.say("a")
	c.hears("a")
	if took := time.Since(began); took < roundTrip {
		t.Errorf("the answer took %s, want at least %s", took, roundTrip)
	}
}

// TestHeldBytesDieWithTheirSender gives up a connection in a black hole: the server never sees what was said.
func TestHeldBytesDieWithTheirSender(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := start(t, listener.Addr().String())
	set(t, p, proxy.BlackHole())
	c := dial(t, p)
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server := client{conn, t}
	defer server.Close()
	c.say("launch a machine")
	server.hearsNothing(silence)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	server.hearsNothing(noticed)
	set(t, p, proxy.Fault{})
	server.isReset()
}

func TestResetSparesNewConnections(t *testing.T) {
	p := start(t, echo(t))
	before := dial(t, p)
	before.say("x")
	before.hears("x")
	p.Reset()
	before.isReset()
	after := dial(t, p)
	after.say("y")
	after.hears("y")
}

func TestAwayRefusesAndComesBack(t *testing.T) {
	p := start(t, echo(t))
	before := dial(t, p)
	before.say("x")
	before.hears("x")
	set(t, p, proxy.Fault{Away: true})
	before.isReset()
	if _, err := net.Dial("tcp", p.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v, want a refusal", err)
	}
	set(t, p, proxy.Fault{})
	after := dial(t, p)
	after.say("y")
	after.hears("y")
}

func TestCloseEndsWhatIsHeld(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	c.say("x")
	c.hears("x")
	set(t, p, proxy.BlackHole())
	c.say("held")
	p.Close()
	c.isReset()
	if err := p.Set(proxy.Fault{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Set after Close: %v, want that it is closed", err)
	}
}

// Package proxy stands between clients and a server and disturbs what they say to each other, in ways that
// can be changed while they talk.
package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// dialTimeout is how long a target may take to accept a connection before the next one is tried.
const dialTimeout = 2 * time.Second

// Way is what happens to the bytes of one direction.
type Way struct {
	// Delay is how much later bytes arrive.
	Delay time.Duration
	// Hold keeps bytes back until it is over, and nobody is told. What is held back when its sender
	// ends the connection is lost, and with it the connection.
	Hold bool
}

// Fault is what a proxy does to connections; the zero value disturbs nothing.
type Fault struct {
	// Up is the direction from client to server, Down the other.
	Up, Down Way
	// Away refuses new connections, as a host does on which nobody listens, and resets those that there are.
	Away bool
}

// BlackHole accepts connections and passes nothing.
func BlackHole() Fault { return Fault{Up: Way{Hold: true}, Down: Way{Hold: true}} }

// Latency makes every question and its answer take at least a round trip.
func Latency(roundTrip time.Duration) Fault {
	return Fault{Up: Way{Delay: roundTrip / 2}, Down: Way{Delay: roundTrip / 2}}
}

// Proxy accepts connections at one address for the first of its targets that listens. Its methods may
// be called concurrently.
type Proxy struct {
	address string
	targets func() []string
	work    sync.WaitGroup

	mu       sync.Mutex
	listener *net.TCPListener // nil while the proxy is away or closed
	closed   bool
	fault    Fault
	changed  chan struct{} // closed when the fault is replaced
	links    map[*link]bool
}

// Listen starts a proxy at a loopback address. The targets are asked for anew for each connection and tried
// in order. The caller closes the proxy.
func Listen(address string, targets func() []string) (*Proxy, error) {
	p := &Proxy{address: address, targets: targets, changed: make(chan struct{}), links: map[*link]bool{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listen(); err != nil {
		return nil, err
	}
	// Port 0 is chosen once.
	p.address = p.listener.Addr().String()
	return p, nil
}

// Address is where clients connect; it never changes.
func (p *Proxy) Address() string { return p.address }

// Set replaces what is done to connections, those that there are included. An error means that the proxy
// could not come back to its address.
func (p *Proxy) Set(f Fault) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("change proxy at %s: %w", p.address, net.ErrClosed)
	}
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	if f.Away {
		p.leave()
		return nil
	}
	if p.listener != nil {
		return nil
	}
	return p.listen()
}

// Reset resets every connection that there is; new ones are welcome.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetLinks()
}

// Close ends everything and waits for it.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.leave()
	p.mu.Unlock()
	p.work.Wait()
}

// leave stops to listen and resets the connections. The caller holds the lock.
func (p *Proxy) leave() {
	if p.listener != nil {
		_ = p.listener.Close() // it listens no more either way
		p.listener = nil
	}
	p.resetLinks()
}

func (p *Proxy) resetLinks() {
	for l := range p.links {
		l.reset()
	}
}

// listen starts to accept. The caller holds the lock.
func (p *Proxy) listen() error {
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		return fmt.Errorf("listen as proxy: %w", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return errors.Join(fmt.Errorf("listen as proxy at %s: it is no TCP address", p.address), listener.Close())
	}
	p.listener = tcp
	p.work.Go(func() { p.accept(tcp) })
	return nil
}

func (p *Proxy) accept(listener *net.TCPListener) {
	for {
		client, err := listener.AcceptTCP()
		if err != nil {
			return // closed
		}
		p.work.Go(func() { p.serve(client) })
	}
}

// serve connects a client with a target until either side ends.
func (p *Proxy) serve(client *net.TCPConn) {
	server := p.dial()
	if server == nil {
		abort(client)
		return
	}
	l := newLink(p, client, server)
	p.mu.Lock()
	if p.closed || p.fault.Away {
		p.mu.Unlock()
		l.reset()
		return
	}
	p.links[l] = true
	p.mu.Unlock()
	l.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) dial() *net.TCPConn {
	for _, address := range p.targets() {
		conn, err := net.DialTimeout("tcp", address, dialTimeout)
		if err != nil {
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			return tcp
		}
		_ = conn.Close()
	}
	return nil
}

// present is what is done to connections now, with a channel that is closed when that changes.
func (p *Proxy) present() (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

// abort resets a connection.
func abort(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

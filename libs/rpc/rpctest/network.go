// Package rpctest provides a network within a process.
package rpctest

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
)

// Network connects whoever dials an address with whoever listens there, without sockets, so that it
// works under testing/synctest. It is safe for concurrent use.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

var _ rpc.Network = (*Network)(nil)

// NewNetwork returns a network on which nobody listens.
func NewNetwork() *Network { return &Network{listeners: map[string]*listener{}} }

// Listen accepts connections at an address; one that is taken is an error as on TCP, but a port 0 never is.
func (n *Network) Listen(_ context.Context, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{network: n, address: addr(address), accepted: make(chan net.Conn), closed: make(chan struct{})}
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		return l, nil
	}
	if n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "memory", Addr: l.address, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	n.listeners[address] = l
	return l, nil
}

// Dial connects to whoever listens at an address; that nobody does is an error as on TCP.
func (n *Network) Dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "memory", Addr: addr(address), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if l == nil {
		return nil, refused
	}
	here, there := net.Pipe()
	select {
	case l.accepted <- there:
		return here, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", address, ctx.Err())
	}
}

type listener struct {
	network  *Network
	address  addr
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close frees the address.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		if l.network.listeners[string(l.address)] == l {
			delete(l.network.listeners, string(l.address))
		}
	})
	return nil
}

// Addr is the address that was asked for.
func (l *listener) Addr() net.Addr { return l.address }

type addr string

func (addr) Network() string  { return "memory" }
func (a addr) String() string { return string(a) }

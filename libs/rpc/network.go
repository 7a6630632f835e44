// Package rpc is how services reach one another besides the bus.
package rpc

import (
	"context"
	"net"
)

// Network makes and accepts connections. Both methods may be called concurrently.
type Network interface {
	// Listen accepts connections at an address until the listener is closed.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// Dial connects to an address.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// TCP is the network between processes.
type TCP struct{}

var _ Network = TCP{}

// Listen listens on a TCP address.
func (TCP) Listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// Dial connects to a TCP address.
func (TCP) Dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

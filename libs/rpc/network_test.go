package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc/rpctest"
)

func TestNetworks(t *testing.T) {
	for name, make := range map[string]func() rpc.Network{
		"TCP":    func() rpc.Network { return rpc.TCP{} },
		"Memory": func() rpc.Network { return rpctest.NewNetwork() },
	} {
		t.Run(name, func(t *testing.T) { conform(t, make()) })
	}
}

// conform has a listener accept, refuse a second one, and refuse connections once it is closed.
func conform(t *testing.T, n rpc.Network) {
	address := freeAddress(t)
	if _, err := n.Dial(t.Context(), address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens, and Dial says %v", err)
	}
	l, err := n.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen(t.Context(), address); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener is told %v", err)
	}
	greet(t, n, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener accepts, or says %v", err)
	}
	if _, err := n.Dial(context.WithoutCancel(t.Context()), address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end, Dial says %v", err)
	}
}

func greet(t *testing.T, n rpc.Network, l net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.WriteString(conn, "hello")
			err = errors.Join(err, conn.Close())
		}
		served <- err
	}()
	conn, err := n.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil || string(text) != "hello" {
		t.Errorf("read %q, %v", text, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := rpc.TCP{}.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

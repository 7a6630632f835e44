package stack

import (
	"io"
	"net"
	"sync"
	"time"
)

const relayDialTimeout = 2 * time.Second

// relay does for the replicas of a service what a Kubernetes Service does: whoever connects to its one
// address is connected to a replica that listens.
type relay struct {
	listener net.Listener
	backends func() []string
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// newRelay listens until close. Backends are tried in order, anew for each connection.
func newRelay(address string, backends func() []string) (*relay, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, backends: backends, conns: map[net.Conn]bool{}}
	r.work.Go(r.run)
	return r, nil
}

func (r *relay) run() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.work.Go(func() { r.serve(conn) })
	}
}

func (r *relay) serve(client net.Conn) {
	defer client.Close()
	for _, address := range r.backends() {
		backend, err := net.DialTimeout("tcp", address, relayDialTimeout)
		if err != nil {
			continue
		}
		r.join(client, backend)
		return
	}
}

// join copies both ways until either side ends.
func (r *relay) join(client, backend net.Conn) {
	r.mu.Lock()
	r.conns[client], r.conns[backend] = true, true
	r.mu.Unlock()
	var copies sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, backend}, {backend, client}} {
		copies.Go(func() {
			// However one way ends, the other ends with it.
			_, _ = io.Copy(way[0], way[1])
			_, _ = client.Close(), backend.Close()
		})
	}
	copies.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, client)
	delete(r.conns, backend)
}

// close ends every connection.
func (r *relay) close() {
	_ = r.listener.Close() // it listens no more either way
	r.mu.Lock()
	for conn := range r.conns {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
}

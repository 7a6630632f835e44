package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkBytesMax = 32 << 10
	// chunksMax bounds what is on its way in one direction; a sender that is faster has to wait.
	chunksMax = 256
)

// link is one connection from a client to a server.
type link struct {
	proxy          *Proxy
	client, server *net.TCPConn
	ended          chan struct{} // closed when the link is reset
	end            sync.Once
}

func newLink(p *Proxy, client, server *net.TCPConn) *link {
	return &link{proxy: p, client: client, server: server, ended: make(chan struct{})}
}

// reset ends both sides at once, whatever is on its way.
func (l *link) reset() {
	l.end.Do(func() {
		close(l.ended)
		abort(l.client)
		abort(l.server)
	})
}

// run copies both ways until both have ended.
func (l *link) run() {
	var ways sync.WaitGroup
	ways.Go(func() { l.carry(l.client, l.server, func(f Fault) Way { return f.Up }) })
	ways.Go(func() { l.carry(l.server, l.client, func(f Fault) Way { return f.Down }) })
	ways.Wait()
	// Each side was told already that nothing follows.
	_ = l.client.Close()
	_ = l.server.Close()
}

// chunk is what was read at once.
type chunk struct {
	bytes []byte
	at    time.Time
}

// carry copies one way, as the proxy's fault has it, and passes the end of the stream on.
func (l *link) carry(from, to *net.TCPConn, way func(Fault) Way) {
	queue := make(chan chunk, chunksMax)
	var lost atomic.Bool
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		defer close(queue)
		if l.read(from, queue) {
			return
		}
		fault, _ := l.proxy.present()
		lost.Store(way(fault).Hold)
	})
	for c := range queue {
		if !l.await(c.at, way) {
			return
		}
		if lost.Load() {
			break
		}
		if _, err := to.Write(c.bytes); err != nil {
			l.reset()
			return
		}
	}
	// The end of a stream is the last thing that is held back.
	if !l.await(time.Now(), way) {
		return
	}
	if lost.Load() || to.CloseWrite() != nil {
		l.reset()
	}
}

// read queues what comes until the stream ends, and reports whether the link was reset meanwhile.
func (l *link) read(from *net.TCPConn, queue chan<- chunk) bool {
	for {
		buffer := make([]byte, chunkBytesMax)
		n, err := from.Read(buffer)
		if n > 0 {
			select {
			case queue <- chunk{buffer[:n], time.Now()}:
			case <-l.ended:
				return true
			}
		}
		if err != nil {
			return false
		}
	}
}

// await waits until what was read at a time may go on, and reports false when the link was reset.
func (l *link) await(at time.Time, way func(Fault) Way) bool {
	for {
		fault, changed := l.proxy.present()
		now := way(fault)
		var due <-chan time.Time
		if !now.Hold {
			wait := now.Delay - time.Since(at)
			if wait <= 0 {
				return true
			}
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-changed:
		case <-l.ended:
			return false
		}
	}
}

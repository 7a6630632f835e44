package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports come from below the range the system draws outgoing connections from: otherwise a client that
// keeps dialling a stopped server may be given the server's own port, and the server cannot come back.
const (
	portFirst    = 20000
	portCount    = 12000
	portAttempts = 200
)

var errNoPort = errors.New("no free port")

// takenPorts are the ports this process has given out, guarded by takenMu.
// A port stays taken, because its server may be stopped and started again.
var (
	takenMu    sync.Mutex
	takenPorts = map[int]bool{}
)

// FreePort returns a loopback port that nobody listens on and that it has not returned before.
func FreePort() (int, error) {
	takenMu.Lock()
	defer takenMu.Unlock()
	for range portAttempts {
		port := portFirst + rand.IntN(portCount)
		if takenPorts[port] {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, err
		}
		takenPorts[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("%w from %d to %d", errNoPort, portFirst, portFirst+portCount-1)
}

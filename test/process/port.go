package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
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

// reservations is a file in which each process of this user locks the byte at the offset of each port that it has given out. Suites run beside
// each other, and nobody listens on a port before its server starts and while it is stopped. The system unlocks when the process ends.
var reservations = sync.OnceValues(func() (*os.File, error) {
	return os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("vpsie-ports-%d", os.Getuid())), os.O_CREATE|os.O_RDWR, 0o600)
})

// reserve reports whether no other process has given the port out, and keeps others from it.
func reserve(port int) (bool, error) {
	file, err := reservations()
	if err != nil {
		return false, fmt.Errorf("reserve port: %w", err)
	}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Start: int64(port), Len: 1})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reserve port: %w", err)
	}
	return true, nil
}

// FreePort returns a loopback port that nobody listens on and that neither this process nor another one of this user has returned before.
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
		mine, err := reserve(port)
		if err := errors.Join(err, listener.Close()); err != nil {
			return 0, err
		}
		if !mine {
			continue
		}
		takenPorts[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("%w from %d to %d", errNoPort, portFirst, portFirst+portCount-1)
}

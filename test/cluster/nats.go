package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/build"
	"github.com/vpsie/vpsie-autoscaler/test/process"
)

// natsStartTimeout bounds one start of the server, store recovery included.
const natsStartTimeout = time.Minute

// errRunning is returned by what needs the NATS server stopped.
var errRunning = errors.New("NATS server is running")

// NATSOptions configure a NATS server. The zero value is one in a temporary folder.
type NATSOptions struct {
	// Dir keeps the store and the log and must be empty or absent. When Dir is empty
	// a temporary folder is used, which Close removes.
	Dir string
	// Log receives progress for people, or nothing when nil.
	Log io.Writer
}

// NATS is a NATS server with JetStream that can be stopped, killed, wiped and started again on the same port.
// Its methods must not be called concurrently.
type NATS struct {
	// URL is where clients connect; it never changes.
	URL string
	// Dir holds the store and the log.
	Dir string

	temporary bool
	log       io.Writer
	program   string
	healthURL string
	process   *process.Process // nil while stopped
}

// StartNATS starts a NATS server with JetStream. Every acknowledged write is on disk, as in production.
// Building the program is limited by ctx alone. The caller closes the server.
func StartNATS(ctx context.Context, o NATSOptions) (*NATS, error) {
	log := o.Log
	if log == nil {
		log = io.Discard
	}
	programs, err := build.Tools(ctx, log, "nats-server")
	if err != nil {
		return nil, err
	}
	dir, temporary, err := stateDir(o.Dir, "vpsie-nats-")
	if err != nil {
		return nil, err
	}
	n := &NATS{Dir: dir, temporary: temporary, log: log, program: programs["nats-server"]}
	if err := errors.Join(n.configure(), n.Start(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("start NATS server: %w", err), n.Close())
	}
	return n, nil
}

func (n *NATS) configure() error {
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	health, err := process.FreePort()
	if err != nil {
		return err
	}
	n.URL = fmt.Sprintf("nats://127.0.0.1:%d", port)
	n.healthURL = fmt.Sprintf("http://127.0.0.1:%d/healthz", health)
	config := fmt.Sprintf(`server_name: vpsie
listen: "127.0.0.1:%d"
http: "127.0.0.1:%d"
jetstream {
  store_dir: %q
  sync_interval: always
}
`, port, health, n.store())
	return os.WriteFile(n.config(), []byte(config), 0o644)
}

// Start starts a stopped server on its old port, with what its store holds, and returns when it is healthy.
func (n *NATS) Start(ctx context.Context) error {
	if n.process != nil {
		return errRunning
	}
	fmt.Fprintf(n.log, "cluster: start nats-server at %s\n", n.URL)
	p, err := process.Start(process.Options{
		Name: "nats-server", Path: n.program, Args: []string{"--config", n.config()}, LogFile: filepath.Join(n.Dir, "nats-server.log"),
	})
	if err != nil {
		return err
	}
	n.process = p
	ctx, cancel := context.WithTimeout(ctx, natsStartTimeout)
	defer cancel()
	return process.Await(ctx, process.HTTPProbe("nats-server", n.healthURL, nil), p)
}

// Stop lets the server say goodbye to its clients and waits until it is gone. Its store stays.
func (n *NATS) Stop() { n.end(syscall.SIGTERM) }

// Kill ends the server as a crash would and waits until it is gone. Its store stays.
func (n *NATS) Kill() { n.end(syscall.SIGKILL) }

func (n *NATS) end(signal syscall.Signal) {
	if n.process == nil {
		return
	}
	n.process.End(signal)
	n.process = nil
}

// Running reports whether the server was started and not stopped since.
func (n *NATS) Running() bool { return n.process != nil }

// Wipe deletes everything the server has stored. The server must be stopped.
func (n *NATS) Wipe() error {
	if n.process != nil {
		return errRunning
	}
	return os.RemoveAll(n.store())
}

// Close ends the server for good.
func (n *NATS) Close() error {
	n.Kill()
	if n.temporary {
		return os.RemoveAll(n.Dir)
	}
	return nil
}

func (n *NATS) store() string  { return filepath.Join(n.Dir, "store") }
func (n *NATS) config() string { return filepath.Join(n.Dir, "nats-server.conf") }

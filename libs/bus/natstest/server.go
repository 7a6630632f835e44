// Package natstest has a NATS server in the test process. A package of its own, since the server starts a timer as soon
// as it is linked, and the simulation shall have none.
package natstest

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

// startTimeout bounds one start of the server, store recovery included.
const startTimeout = time.Minute

// Server is a NATS server with JetStream whose every acknowledged write is on disk, as in
// production. Its methods must not be called concurrently.
type Server struct {
	// URL is where clients connect; it never changes.
	URL string

	tb      testing.TB
	dir     string
	port    int
	running *server.Server
}

// StartServer starts a server on a free port, which ends with the test.
func StartServer(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, dir: filepath.Join(tb.TempDir(), "nats"), port: server.RANDOM_PORT}
	s.Start()
	s.URL = s.running.ClientURL()
	tb.Cleanup(s.Stop)
	return s
}

// Start starts a stopped server on its old port, with what its store holds.
func (s *Server) Start() {
	s.tb.Helper()
	running, err := server.NewServer(&server.Options{
		ServerName: "natstest", Host: "127.0.0.1", Port: s.port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: s.dir, SyncAlways: true, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 1 << 30,
	})
	if err != nil {
		s.tb.Fatalf("make NATS server: %v", err)
	}
	running.Start()
	if !running.ReadyForConnections(startTimeout) {
		running.Shutdown()
		s.tb.Fatalf("NATS server is not ready after %s", startTimeout)
	}
	s.running, s.port = running, running.Addr().(*net.TCPAddr).Port
}

// Stop ends the server and waits until it is gone. Its store stays.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	s.running.Shutdown()
	s.running.WaitForShutdown()
	s.running = nil
}

// Wipe deletes everything that a stopped server has stored.
func (s *Server) Wipe() {
	s.tb.Helper()
	if err := os.RemoveAll(s.dir); err != nil {
		s.tb.Fatalf("wipe NATS store: %v", err)
	}
}

// Connect returns a connection like that of a service, which ends with the test.
func (s *Server) Connect() jetstream.JetStream {
	s.tb.Helper()
	conn, err := bus.Connect("test", bus.Config{URL: s.URL}, slog.New(slog.DiscardHandler))
	if err != nil {
		s.tb.Fatalf("connect to NATS: %v", err)
	}
	s.tb.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		s.tb.Fatalf("use JetStream: %v", err)
	}
	return js
}

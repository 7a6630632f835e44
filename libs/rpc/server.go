package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// stopWait is how long calls may take to end when the server stops.
const stopWait = 2 * time.Second

// Server serves gRPC on every replica and has only the elected one answer: a standby refuses each call, and says so by the
// standard health service as well, which NewClient's connections look at.
type Server struct {
	address  string
	network  Network
	register func(grpc.ServiceRegistrar)
	log      *slog.Logger
	active   atomic.Bool
	health   *health.Server
}

// NewServer returns a server that listens at an address once it runs. Register adds its services.
func NewServer(address string, network Network, register func(grpc.ServiceRegistrar), log *slog.Logger) *Server {
	s := &Server{address: address, network: network, register: register, log: log, health: health.NewServer()}
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	return s
}

// Activate says that this replica was elected.
func (s *Server) Activate() {
	s.active.Store(true)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	listener, err := s.network.Listen(ctx, s.address)
	if err != nil {
		return fmt.Errorf("listen for gRPC on %s: %w", s.address, err)
	}
	s.log.InfoContext(ctx, "gRPC server ready", "address", listener.Addr().String())
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()), grpc.UnaryInterceptor(s.refuse))
	s.register(server)
	healthv1.RegisterHealthServer(server, s.health)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve gRPC: %w", err)
	case <-ctx.Done():
	}
	timer := time.AfterFunc(stopWait, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
	if err := <-done; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// refuse answers for a standby, but for its health.
func (s *Server) refuse(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if _, ofHealth := info.Server.(healthv1.HealthServer); !ofHealth && !s.active.Load() {
		return nil, status.Error(codes.Unavailable, "this replica is on standby")
	}
	return handle(ctx, request)
}

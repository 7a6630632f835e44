// Package grpc serves the provisioner's catalogue.
package grpc

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
	"google.golang.org/protobuf/types/known/timestamppb"

	cataloguev1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/catalogue/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

const stopWait = 2 * time.Second

// Server answers what can be bought. Only the elected replica knows, so a standby refuses, and
// says so by the standard health service as well.
type Server struct {
	cataloguev1.UnimplementedCatalogueServiceServer

	address   string
	network   rpc.Network
	catalogue *app.Catalogue
	log       *slog.Logger
	active    atomic.Bool
	health    *health.Server
}

// NewServer returns a server that listens once started.
func NewServer(address string, network rpc.Network, catalogue *app.Catalogue, log *slog.Logger) *Server {
	s := &Server{address: address, network: network, catalogue: catalogue, log: log, health: health.NewServer()}
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
	s.log.InfoContext(ctx, "gRPC listens", "address", listener.Addr().String())
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	cataloguev1.RegisterCatalogueServiceServer(server, s)
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
	return ignoreStopped(<-done)
}

func ignoreStopped(err error) error {
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Describe implements the catalogue service.
func (s *Server) Describe(ctx context.Context, r *cataloguev1.DescribeRequest) (*cataloguev1.DescribeResponse, error) {
	if !s.active.Load() {
		return nil, status.Error(codes.Unavailable, "this replica of the provisioner is on standby")
	}
	if r.GetCluster() == "" || r.GetDatacenter() == "" {
		return nil, status.Error(codes.InvalidArgument, "cluster and datacenter must be named")
	}
	d, err := s.catalogue.Describe(ctx, app.Target{Cluster: r.GetCluster(), Datacenter: r.GetDatacenter()})
	if err != nil {
		s.log.WarnContext(ctx, "catalogue cannot be described", telemetry.KeyError, err)
		return nil, status.Error(codes.Unavailable, "the provisioner's view of Kubernetes is not ready")
	}
	return encode(d), nil
}

func encode(d app.Description) *cataloguev1.DescribeResponse {
	out := &cataloguev1.DescribeResponse{Health: encodeHealth(d.Health), ClusterMessage: d.Cluster.Message}
	if d.Cluster.Known {
		out.Cluster = cataloguev1.ClusterState_CLUSTER_STATE_NOT_FOUND
		if d.Cluster.Found {
			out.Cluster = cataloguev1.ClusterState_CLUSTER_STATE_FOUND
		}
	}
	if !d.ObservedAt.IsZero() {
		out.ObservedAt = timestamppb.New(d.ObservedAt)
	}
	for _, o := range d.Offerings {
		offering := &cataloguev1.Offering{
			Id: o.ID, Name: o.Name, CpuMillis: o.Size.CPU * 1000, MemoryBytes: o.Size.MemoryMiB << 20, DiskBytes: o.DiskBytes,
			MonthlyPriceMicros: int64(o.MonthlyPrice),
		}
		for _, key := range []int64{o.ID, 0} {
			if b, ok := d.Backoffs[key]; ok && (offering.BackoffUntil == nil || b.Until.After(offering.BackoffUntil.AsTime())) {
				offering.BackoffUntil, offering.BackoffReason, offering.BackoffMessage = timestamppb.New(b.Until), string(b.Code), b.Message
			}
		}
		out.Offerings = append(out.Offerings, offering)
	}
	return out
}

func encodeHealth(h app.Health) *cataloguev1.Health {
	out := &cataloguev1.Health{State: cataloguev1.HealthState_HEALTH_STATE_HEALTHY, Message: h.Message, BreakerOpen: h.BreakerOpen}
	switch {
	case h.Unauthorized:
		out.State = cataloguev1.HealthState_HEALTH_STATE_UNAUTHORIZED
	case h.BreakerOpen:
		out.State = cataloguev1.HealthState_HEALTH_STATE_UNAVAILABLE
	case !h.Known:
		out.State = cataloguev1.HealthState_HEALTH_STATE_UNSPECIFIED
	}
	return out
}

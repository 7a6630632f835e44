// Package grpc serves the provisioner's catalogue.
package grpc

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	cataloguev1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/catalogue/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

// Catalogue answers what can be launched.
type Catalogue struct {
	cataloguev1.UnimplementedCatalogueServiceServer

	catalogue *app.Catalogue
	log       *slog.Logger
}

// NewServer returns a server of the catalogue, which listens once it runs.
func NewServer(address string, network rpc.Network, catalogue *app.Catalogue, log *slog.Logger) *rpc.Server {
	return rpc.NewServer(address, network, func(r grpc.ServiceRegistrar) {
		cataloguev1.RegisterCatalogueServiceServer(r, &Catalogue{catalogue: catalogue, log: log})
	}, log)
}

// Describe implements the catalogue service.
func (s *Catalogue) Describe(ctx context.Context, r *cataloguev1.DescribeRequest) (*cataloguev1.DescribeResponse, error) {
	if r.GetCluster() == "" || r.GetDatacenter() == "" {
		return nil, status.Error(codes.InvalidArgument, "cluster and datacenter are required")
	}
	d, err := s.catalogue.Describe(ctx, app.Target{Cluster: r.GetCluster(), Datacenter: r.GetDatacenter()})
	if err != nil {
		s.log.WarnContext(ctx, "catalogue not available", telemetry.KeyError, err)
		return nil, status.Error(codes.Unavailable, "the provisioner has not read the Kubernetes objects yet")
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

package catalogue_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	cataloguev1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/catalogue/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/catalogue"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc/rpctest"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// provisioner answers for cluster "c" in full, and knows nothing of others.
type provisioner struct {
	cataloguev1.UnimplementedCatalogueServiceServer
}

func (provisioner) Describe(_ context.Context, r *cataloguev1.DescribeRequest) (*cataloguev1.DescribeResponse, error) {
	if r.GetCluster() != "c" {
		return &cataloguev1.DescribeResponse{Health: &cataloguev1.Health{State: cataloguev1.HealthState_HEALTH_STATE_UNAUTHORIZED, Message: "401"}}, nil
	}
	return &cataloguev1.DescribeResponse{
		Health: &cataloguev1.Health{State: cataloguev1.HealthState_HEALTH_STATE_HEALTHY}, Cluster: cataloguev1.ClusterState_CLUSTER_STATE_FOUND, ObservedAt: timestamppb.New(noon),
		Offerings: []*cataloguev1.Offering{{
			Id: 1, Name: "small", CpuMillis: 4000, MemoryBytes: 8 << 30, MonthlyPriceMicros: 40_000_000,
			BackoffUntil: timestamppb.New(noon), BackoffReason: string(reason.NoScaleUpQuota), BackoffMessage: "full",
		}},
	}, nil
}

// TestUnknownIsNotNone: what the provisioner does not know must not look as if nothing were sold.
func TestUnknownIsNotNone(t *testing.T) {
	const address = "127.0.0.1:9090"
	network := rpctest.NewNetwork()
	server := rpc.NewServer(address, network, func(r grpc.ServiceRegistrar) { cataloguev1.RegisterCatalogueServiceServer(r, provisioner{}) }, slog.New(slog.DiscardHandler))
	server.Activate()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	client, err := catalogue.NewClient(catalogue.Config{Address: address}, network)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	probe, err := rpc.NewClient(address, network)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	if _, err := healthv1.NewHealthClient(probe).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err) // it listens now
	}
	describe := func(cluster string) fleet.Catalogue {
		c, err := client.Describe(t.Context(), cluster, "dc")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := describe("c")
	if c.Health != fleet.Healthy || !c.Known || !c.ClusterKnown || !c.ClusterFound || len(c.Offerings) != 1 {
		t.Fatalf("catalogue %+v", c)
	}
	if o := c.Find(1); o == nil || o.MilliCPU != 4000 || o.MonthlyPrice != 40_000_000 || !o.BackoffUntil.Equal(noon) || o.BackoffReason != reason.NoScaleUpQuota {
		t.Errorf("offering %+v", o)
	}
	if c := describe("other"); c.Known || c.ClusterKnown || c.Health != fleet.Unauthorized || c.HealthMessage != "401" {
		t.Errorf("catalogue of a cluster of which nothing is known: %+v", c)
	}
}

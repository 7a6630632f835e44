package rpc_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	cataloguev1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/catalogue/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc/rpctest"
)

const address = "127.0.0.1:9090"

// catalogue is some service.
type catalogue struct {
	cataloguev1.UnimplementedCatalogueServiceServer
}

func (catalogue) Describe(context.Context, *cataloguev1.DescribeRequest) (*cataloguev1.DescribeResponse, error) {
	return &cataloguev1.DescribeResponse{ClusterMessage: "served"}, nil
}

// serve runs a server until the test ends.
func serve(t *testing.T, network rpc.Network) *rpc.Server {
	t.Helper()
	server := rpc.NewServer(address, network, func(r grpc.ServiceRegistrar) { cataloguev1.RegisterCatalogueServiceServer(r, catalogue{}) }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return server
}

// TestOnlyTheElectedReplicaAnswers: what a standby knows is old, or nothing.
func TestOnlyTheElectedReplicaAnswers(t *testing.T) {
	network := rpctest.NewNetwork()
	server := serve(t, network)
	conn, err := rpc.NewClient(address, network)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := cataloguev1.NewCatalogueServiceClient(conn)
	if _, err := client.Describe(t.Context(), &cataloguev1.DescribeRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a standby answers with %v, want Unavailable", err)
	}
	server.Activate()
	reply, err := client.Describe(t.Context(), &cataloguev1.DescribeRequest{}, grpc.WaitForReady(true))
	if err != nil || reply.GetClusterMessage() != "served" {
		t.Errorf("the elected replica answers %v, %v", reply, err)
	}
}

// TestStandbyRefusesWhoDoesNotLookAtItsHealth: not every client does.
func TestStandbyRefusesWhoDoesNotLookAtItsHealth(t *testing.T) {
	network := rpctest.NewNetwork()
	serve(t, network)
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(network.Dial))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = cataloguev1.NewCatalogueServiceClient(conn).Describe(t.Context(), &cataloguev1.DescribeRequest{}, grpc.WaitForReady(true))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "standby") {
		t.Errorf("a standby answers with %v, want that it says so", err)
	}
	health, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health of a standby: %v, %v", health, err)
	}
}

package grpc_test

import (
	"context"
	"log/slog"
	"testing"

	googlegrpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	plannerv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/planner/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc/rpctest"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/adapters/grpc"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
)

func TestExplainRefusesWhatItCannotAnswer(t *testing.T) {
	network := rpctest.NewNetwork()
	server := grpc.NewServer("127.0.0.1:9091", network, app.NewExplanations(), slog.New(slog.DiscardHandler))
	server.Activate()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	conn, err := rpc.NewClient("127.0.0.1:9091", network)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := plannerv1.NewPlannerServiceClient(conn)
	for want, request := range map[codes.Code]*plannerv1.ExplainRequest{
		codes.InvalidArgument: {},
		codes.Unavailable:     {Subject: &plannerv1.ExplainRequest_Node{Node: "n1"}}, // no plan was made yet
	} {
		if _, err := client.Explain(t.Context(), request, googlegrpc.WaitForReady(true)); status.Code(err) != want {
			t.Errorf("%v: %v, want %s", request, err, want)
		}
	}
}

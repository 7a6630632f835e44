// Package grpc serves what the last plan says.
package grpc

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	plannerv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/planner/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
)

// Explainer answers what the last plan says.
type Explainer struct {
	plannerv1.UnimplementedPlannerServiceServer

	explanations *app.Explanations
}

// NewServer returns a server of explanations, which listens once it runs.
func NewServer(address string, network rpc.Network, explanations *app.Explanations, log *slog.Logger) *rpc.Server {
	return rpc.NewServer(address, network, func(r grpc.ServiceRegistrar) {
		plannerv1.RegisterPlannerServiceServer(r, &Explainer{explanations: explanations})
	}, log)
}

// Explain implements the planner's service.
func (e *Explainer) Explain(_ context.Context, r *plannerv1.ExplainRequest) (*plannerv1.ExplainResponse, error) {
	var explanation app.Explanation
	var err error
	switch subject := r.GetSubject().(type) {
	case *plannerv1.ExplainRequest_Pod:
		explanation, err = e.explanations.Pod(subject.Pod)
	case *plannerv1.ExplainRequest_Shape:
		explanation, err = e.explanations.Shape(subject.Shape)
	case *plannerv1.ExplainRequest_Node:
		explanation, err = e.explanations.Node(subject.Node)
	case *plannerv1.ExplainRequest_NodeGroup:
		explanation, err = e.explanations.NodeGroup(subject.NodeGroup)
	default:
		return nil, status.Error(codes.InvalidArgument, "name a pod, a shape, a node or a node_group")
	}
	switch {
	case errors.Is(err, app.ErrNoPlan):
		return nil, status.Error(codes.Unavailable, err.Error())
	case err != nil:
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return &plannerv1.ExplainResponse{
		PlannedAt: timestamppb.New(explanation.PlannedAt), Records: explanation.Records, Omitted: int32(min(explanation.Omitted, 1<<30)),
	}, nil
}

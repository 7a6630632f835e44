package app

import (
	"context"
	"log/slog"

	"google.golang.org/protobuf/types/known/timestamppb"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/id"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// decision is the record of what was decided about a machine. It follows from the decision by which the machine was launched, or is retired.
func (s *Store) decision(ctx context.Context, n *v1beta1.VPSieNode, kind reason.Kind, code reason.Code, message string) facts.Fact {
	r := &busv1.DecisionRecord{
		Id: id.New(s.Clock.Now()), Time: timestamppb.New(s.Clock.Now()), Kind: facts.DecisionKind(kind), Reason: string(code), Message: message, NodeGroup: fleet.GroupOf(n), VpsieNodes: []string{n.Name},
		Subject: &busv1.Subject{Kind: "VPSieNode", Namespace: n.Namespace, Name: n.Name}, Cause: n.Spec.DecisionID, Traceparent: telemetry.Traceparent(ctx),
	}
	if n.Spec.Retirement != nil {
		r.Cause = n.Spec.Retirement.DecisionID
	}
	all := map[string]string{reason.ParamMachine: n.Status.Identifier, reason.ParamOffering: n.Spec.OfferingName, reason.ParamNode: fleet.NodeName(n)}
	for _, name := range reason.Parameters[kind] {
		if r.Parameters == nil {
			r.Parameters = map[string]string{}
		}
		r.Parameters[name] = all[name]
	}
	return facts.Decision(ctx, n.Namespace, n.Spec.NodeGroup, r)
}

// record puts a decision on record that was carried out; what tells of it comes after. The decision stands where that fails, and is told
// in the log alone.
func (s *Store) record(ctx context.Context, log *slog.Logger, n *v1beta1.VPSieNode, kind reason.Kind, code reason.Code, message string) {
	if err := s.Facts.Record(ctx, s.decision(ctx, n, kind, code, message)); err != nil {
		log.WarnContext(ctx, "decision is not on record", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyReason, string(code), telemetry.KeyError, err)
	}
}

package app

import (
	"context"
	"maps"

	"google.golang.org/protobuf/types/known/timestamppb"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/id"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// decision is what is decided here about a machine.
type decision struct {
	Kind    reason.Kind
	Code    reason.Code
	Message string
	// Parameters are those of the code that do not follow from the machine itself.
	Parameters reason.Values
}

// decided is a decision whose code has no parameters but those of the machine.
func decided(kind reason.Kind, code reason.Code, message string) decision {
	return decision{Kind: kind, Code: code, Message: message}
}

// Decide is Change for what is decided here: the object carries the record of it until that is told. A hold is decided once
// until the machine gets further or the hold ends. It reports whether something was decided.
func (s *Store) Decide(ctx context.Context, n *v1beta1.VPSieNode, d decision, change machine.Change) (bool, error) {
	return s.decide(ctx, n, func(*v1beta1.VPSieNode) decision { return d }, change)
}

// decide asks the changed object what was decided; nothing was where that has no code.
func (s *Store) decide(ctx context.Context, n *v1beta1.VPSieNode, decided func(*v1beta1.VPSieNode) decision, change machine.Change) (bool, error) {
	var d decision
	written, err := s.update(ctx, n, func(n *v1beta1.VPSieNode) (bool, error) {
		step, err := s.apply(ctx, n, change)
		if err != nil || !step.Changed {
			return false, err
		}
		if d = decided(n); d.Kind == reason.Hold && d.Code != "" && !machine.Hold(n, d.Code) {
			d.Code = ""
		}
		if d.Code == "" {
			return true, nil
		}
		f := s.fact(ctx, n, d)
		text, err := facts.Text(f)
		if err != nil {
			return true, s.Facts.Record(ctx, f) // which logs and counts what can be kept in no form
		}
		for _, record := range machine.UntoldDecision(n, text) {
			oldest, err := facts.Parse(record)
			if err != nil {
				continue // nobody can ever read it
			}
			if err := s.Facts.Record(ctx, oldest); err != nil {
				return false, err
			}
		}
		return true, nil
	}, s.writeStatus(ctx, n))
	if !written || d.Code == "" {
		return false, err
	}
	s.Decisions.Count(d.Kind, d.Code)
	return true, err
}

// Retire retires a machine that is not being retired and that the check allows, by our own decision. The object carries the record of
// it until that is told.
func (s *Store) Retire(ctx context.Context, n *v1beta1.VPSieNode, r v1beta1.Retirement, kind reason.Kind, allowed func(*v1beta1.VPSieNode) bool) (bool, error) {
	d := decided(kind, reason.Code(r.Reason), r.Message)
	written, err := s.update(ctx, n, func(n *v1beta1.VPSieNode) (bool, error) {
		if fleet.IsRetired(n) || !allowed(n) {
			return false, nil
		}
		f := s.fact(ctx, n, d)
		// The id of a retirement is that of its record, so that what follows can be told to follow from it.
		r.DecisionID = f.ID
		n.Spec.Retirement = &r
		s.Facts.Displace(ctx, facts.MakeRoom(n)...)
		return true, facts.Attach(n, f)
	}, func(base client.Patch) error { return s.Patch(ctx, n, base) })
	if written {
		s.Decisions.Count(d.Kind, d.Code)
	}
	return written, err
}

// record puts a decision on record that no write of the object goes with.
func (s *Store) record(ctx context.Context, n *v1beta1.VPSieNode, decisionID string, d decision) error {
	if err := s.Facts.Record(ctx, s.factOf(ctx, decisionID, n, d)); err != nil {
		return err
	}
	s.Decisions.Count(d.Kind, d.Code)
	return nil
}

// fact is the record of a new decision.
func (s *Store) fact(ctx context.Context, n *v1beta1.VPSieNode, d decision) facts.Fact {
	return s.factOf(ctx, id.New(s.Clock.Now()), n, d)
}

// factOf is the record of a decision with an id. It follows from the decision by which the machine was launched, or is retired, unless that is itself.
func (s *Store) factOf(ctx context.Context, decisionID string, n *v1beta1.VPSieNode, d decision) facts.Fact {
	r := &busv1.DecisionRecord{
		Id: decisionID, Time: timestamppb.New(s.Clock.Now()), Kind: facts.DecisionKind(d.Kind), Reason: string(d.Code), Message: d.Message, NodeGroup: fleet.GroupOf(n), VpsieNodes: []string{n.Name},
		Subject: &busv1.Subject{Kind: "VPSieNode", Namespace: n.Namespace, Name: n.Name}, Cause: n.Spec.DecisionID, Traceparent: telemetry.Traceparent(ctx),
	}
	if n.Spec.Retirement != nil {
		r.Cause = n.Spec.Retirement.DecisionID
	}
	if r.Cause == r.Id {
		r.Cause = ""
	}
	ofMachine := reason.Values{
		reason.ParamMachine: machine.ClaimOf(n), reason.ParamOffering: n.Spec.OfferingName, reason.ParamNode: fleet.NodeName(n),
		reason.ParamCluster: n.Spec.Cluster.Identifier, reason.ParamLaunchDeadline: n.Spec.LaunchDeadline.Duration.String(),
	}
	r.Parameters = reason.Values{}
	for _, p := range reason.ParametersOf(d.Kind, r.Subject.Kind, d.Code) {
		if value, has := ofMachine[p.Name]; has {
			r.Parameters[p.Name] = value
		}
	}
	maps.Copy(r.Parameters, d.Parameters)
	return facts.Decision(ctx, n.Namespace, n.Spec.NodeGroup, r)
}

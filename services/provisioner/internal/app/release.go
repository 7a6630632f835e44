package app

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// keepForAnswers leaves the object of a machine that is gone behind, as one without a machine, because another of
// its requests may be answered late: without it nobody would know of that machine.
func (r *Nodes) keepForAnswers(ctx context.Context, n *v1beta1.VPSieNode) error {
	from := n.Status.Phase
	const message = "the machine is gone; a request before it was unclear and given up, and its machine may turn up late"
	written, err := r.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		a := machine.LastAttempt(n)
		if a == nil || n.Status.Identifier == "" {
			return false
		}
		switch a.Outcome {
		case v1beta1.LaunchNotMade:
			a.Outcome, a.Message = v1beta1.LaunchAbandoned, "a machine came of another request, and is gone"
		case v1beta1.LaunchRequested, v1beta1.LaunchAccepted, v1beta1.LaunchUnknown:
			a.Outcome, a.Machine = v1beta1.LaunchAnswered, n.Status.Identifier // as an earlier version left it
		}
		forgetMachine(n)
		setPhase(n, v1beta1.PhaseFailed)
		setCondition(n, v1beta1.ConditionReady, false, "AwaitingLateAnswer", message)
		return true
	})
	if err != nil {
		return err
	}
	if written {
		r.facts.PhaseChanged(ctx, n, from, n.Status.Phase, message)
	}
	return r.dropRetirement(ctx, n)
}

// forgetMachine takes everything about a machine that is gone out of the status.
func forgetMachine(n *v1beta1.VPSieNode) {
	n.Status.Identifier, n.Status.Hostname, n.Status.NodeName = "", "", ""
	n.Status.ReadyAt, n.Status.DrainStartedAt, n.Status.DrainHeldAt, n.Status.DeleteRequestedAt = nil, nil, nil, nil
	n.Status.AbsentSightings, n.Status.LastAbsentAt = 0, nil
}

// dropRetirement takes the retirement off an object that stays as a failed one.
func (r *Nodes) dropRetirement(ctx context.Context, n *v1beta1.VPSieNode) error {
	_, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		had := n.Spec.Retirement != nil && machine.StateOf(n) == v1beta1.PhaseFailed
		if had {
			n.Spec.Retirement = nil
		}
		return had
	})
	return err
}

// keepAsFailed leaves the object of a machine that never joined behind as a failed launch: without it
// the next machine of the size would be bought at once, and the next.
func (r *Nodes) keepAsFailed(ctx context.Context, n *v1beta1.VPSieNode) error {
	message := n.Spec.Retirement.Message
	if _, err := r.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		a := machine.LastAttempt(n)
		if a == nil || n.Status.Identifier == "" {
			return false
		}
		a.Outcome, a.Machine, a.Reason, a.Message = v1beta1.LaunchNotJoined, n.Status.Identifier, string(reason.LaunchDeadline), truncate(message)
		forgetMachine(n)
		setPhase(n, v1beta1.PhaseFailed)
		setCondition(n, v1beta1.ConditionReady, false, reason.LaunchDeadline.Condition(), truncate(message))
		return true
	}); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "machine that never joined is gone", telemetry.KeyVPSieNode, machine.Key(n))
	return r.dropRetirement(ctx, n)
}

// release deletes the object, if nobody did, and takes the finalizer off.
func (r *Nodes) release(ctx context.Context, n *v1beta1.VPSieNode, message string) error {
	if n.DeletionTimestamp == nil {
		// The next pass, which the deletion triggers, takes the finalizer off.
		return ignoreGone(r.store.Delete(ctx, n, preconditions(n)))
	}
	written, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		if n.Status.Identifier == "" && machine.IsOpen(n) {
			return false
		}
		return controllerutil.RemoveFinalizer(n, v1beta1.FinalizerMachine)
	})
	if written {
		r.log.InfoContext(ctx, "machine is gone", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyMachine, n.Status.Identifier, telemetry.KeyNode, n.Status.NodeName, telemetry.KeyMessage, message)
		r.facts.PhaseChanged(ctx, n, n.Status.Phase, PhaseGone, message)
	}
	return err
}

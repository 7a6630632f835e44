package app

import (
	"context"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// keepForAnswers leaves the object of a machine that is gone behind, as one without a machine, because another of
// its requests may be answered late: without it nobody would know of that machine.
func (r *Nodes) keepForAnswers(ctx context.Context, n *v1beta1.VPSieNode) error {
	const message = "the machine is gone; a request before it was unclear and given up, and its machine may turn up late"
	if _, err := r.store.Change(ctx, n, machine.KeptForAnswers(message, r.clock.Now())); err != nil {
		return err
	}
	return r.dropRetirement(ctx, n)
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
	if _, err := r.store.Change(ctx, n, machine.NeverJoined(n.Spec.Retirement.Message)); err != nil {
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
	written, err := r.store.LetGo(ctx, n, machine.Gone, message)
	if written {
		r.log.InfoContext(ctx, "machine is gone", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyMachine, n.Status.Identifier, telemetry.KeyNode, n.Status.NodeName, telemetry.KeyMessage, message)
	}
	return err
}

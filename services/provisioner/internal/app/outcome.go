package app

import (
	"context"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// conclude writes what became of the requests. What cannot be written stays an open request, which
// the next listings resolve.
func (c *Clusters) conclude(ctx context.Context, batch []*prepared) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeTimeout)
	defer cancel()
	var writers errgroup.Group
	writers.SetLimit(writersMax)
	for _, p := range batch {
		writers.Go(func() error {
			from := p.node.Status.Phase
			_, err := c.store.UpdateStatus(trace.ContextWithSpan(ctx, p.span), p.node, func(n *v1beta1.VPSieNode) bool { return c.outcome(n, p) })
			if ignoreGone(err) != nil {
				c.log.WarnContext(ctx, "outcome of a purchase is not written; listings will tell", telemetry.KeyVPSieNode, machine.Key(p.node), telemetry.KeyError, err)
				return nil
			}
			attrs := []any{telemetry.KeyVPSieNode, machine.Key(p.node), telemetry.KeyState, string(p.outcome), telemetry.KeyDecision, p.node.Spec.DecisionID}
			if p.failure == nil {
				c.log.InfoContext(p.ctx, "machine asked of VPSie", attrs...)
				return nil
			}
			c.log.WarnContext(p.ctx, "purchase was not answered with yes", append(attrs, telemetry.KeyError, p.failure)...)
			c.facts.PhaseChanged(p.ctx, p.node, from, p.node.Status.Phase, p.failure.Message)
			if p.outcome == v1beta1.LaunchRefused {
				c.events.Eventf(p.node, nil, corev1.EventTypeWarning, "LaunchRefused", "Launch", "%s", truncate(explain(p.failure)))
			}
			return nil
		})
	}
	_ = writers.Wait() // each writer has handled its own error
}

func (c *Clusters) outcome(n *v1beta1.VPSieNode, p *prepared) bool {
	a := machine.LastAttempt(n)
	// Another replica may have concluded this entry meanwhile, and written the next.
	if a == nil || a.Number != p.number || a.Outcome != v1beta1.LaunchRequested {
		return false
	}
	a.Outcome = p.outcome
	if p.failure == nil {
		setCondition(n, v1beta1.ConditionLaunched, false, "Accepted", "VPSie accepted the request; the machine is awaited in its listing")
		if o, ok := c.catalogue.Offering(n.Spec.Cluster.Datacenter, n.Spec.Offering); ok {
			n.Status.MonthlyPrice = o.MonthlyPrice.Quantity()
		}
		return true
	}
	a.Message, a.Reason = truncate(p.failure.Message), string(p.failure.Code)
	switch p.outcome {
	case v1beta1.LaunchUnknown:
		// The settle time runs from the call, which the rate limit may have held up.
		a.RequestedAt = *timestamp(c.clock.Now())
	case v1beta1.LaunchRefused:
		setPhase(n, v1beta1.PhaseFailed)
	case v1beta1.LaunchNotMade:
		setPhase(n, v1beta1.PhasePending)
		mergeNotMade(n)
	}
	setCondition(n, v1beta1.ConditionLaunched, false, hindrance(p.failure), explain(p.failure))
	return true
}

// mergeNotMade makes one entry of two requests in a row that provably were not made: a long outage
// must not use the attempts up.
func mergeNotMade(n *v1beta1.VPSieNode) {
	last := len(n.Status.Launches) - 1
	if last < 1 {
		return
	}
	before := n.Status.Launches[last-1]
	if before.Outcome != v1beta1.LaunchNotMade {
		return
	}
	merged := n.Status.Launches[last]
	merged.Number = before.Number
	n.Status.Launches = append(n.Status.Launches[:last-1], merged)
}

// failRefused ends an intent for whose size VPSie makes no group. It is on record as a refusal, from
// which the size's backoff is derived.
func (c *Clusters) failRefused(ctx context.Context, n *v1beta1.VPSieNode, e *CloudError) {
	c.update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		if !machine.IsCandidate(n, c.clock.Now()) {
			return false
		}
		n.Status.Launches = append(n.Status.Launches, v1beta1.LaunchAttempt{
			Number: int32(len(n.Status.Launches) + 1), RequestedAt: *timestamp(c.clock.Now()), Outcome: v1beta1.LaunchRefused,
			Reason: string(e.Code), Message: truncate(e.Message),
		})
		setPhase(n, v1beta1.PhaseFailed)
		setCondition(n, v1beta1.ConditionReady, false, hindrance(e), explain(e))
		return setCondition(n, v1beta1.ConditionLaunched, false, hindrance(e), explain(e))
	})
	c.events.Eventf(n, nil, corev1.EventTypeWarning, "LaunchRefused", "Launch", "%s", truncate(explain(e)))
}

// fail ends an intent for which nothing was bought and nothing will be.
func (c *Clusters) fail(ctx context.Context, n *v1beta1.VPSieNode, code reason.Code, message string) {
	from := n.Status.Phase
	written, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		if machine.StateOf(n) != v1beta1.PhasePending {
			return false
		}
		n.Status.Launches = append(n.Status.Launches, v1beta1.LaunchAttempt{
			Number: int32(len(n.Status.Launches) + 1), RequestedAt: *timestamp(c.clock.Now()), Outcome: v1beta1.LaunchAbandoned,
			Reason: string(code), Message: truncate(message),
		})
		setPhase(n, v1beta1.PhaseFailed)
		setCondition(n, v1beta1.ConditionLaunched, false, conditionReason(code), message)
		setCondition(n, v1beta1.ConditionReady, false, conditionReason(code), message)
		return true
	})
	if ignoreGone(err) != nil {
		c.log.WarnContext(ctx, "failed intent is not marked", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyError, err)
	}
	if written {
		c.log.WarnContext(ctx, "intent is not carried out", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyReason, string(code), telemetry.KeyMessage, message)
		c.facts.PhaseChanged(ctx, n, from, n.Status.Phase, message)
		c.events.Eventf(n, nil, corev1.EventTypeWarning, conditionReason(code), "Launch", "%s", truncate(message))
	}
}

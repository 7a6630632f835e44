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
			_, err := c.store.Change(trace.ContextWithSpan(ctx, p.span), p.node, c.concluded(p))
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
			if p.outcome == v1beta1.LaunchRefused {
				c.events.Eventf(p.node, nil, corev1.EventTypeWarning, "LaunchRefused", "Launch", "%s", machine.Truncate(explain(p.failure)))
			}
			return nil
		})
	}
	_ = writers.Wait() // each writer has handled its own error
}

// concluded is what became of a request.
func (c *Clusters) concluded(p *prepared) machine.Change {
	switch p.outcome {
	case v1beta1.LaunchUnknown:
		return machine.Unclear(p.number, hindrance(p.failure), c.clock.Now())
	case v1beta1.LaunchRefused:
		return machine.Refused(p.number, hindrance(p.failure))
	case v1beta1.LaunchNotMade:
		return machine.NotMade(p.number, hindrance(p.failure))
	}
	return machine.Accepted(p.number, c.catalogue.Price(p.node))
}

// failRefused ends an intent for whose size VPSie makes no group.
func (c *Clusters) failRefused(ctx context.Context, n *v1beta1.VPSieNode, e *CloudError) {
	c.update(ctx, n, machine.RefusedUnasked(hindrance(e), c.clock.Now()))
	c.events.Eventf(n, nil, corev1.EventTypeWarning, "LaunchRefused", "Launch", "%s", machine.Truncate(explain(e)))
}

// fail ends an intent for which nothing was bought and nothing will be.
func (c *Clusters) fail(ctx context.Context, n *v1beta1.VPSieNode, code reason.Code, message string) {
	written, err := c.store.Change(ctx, n, machine.Abandoned(machine.Because(code, message), c.clock.Now()))
	if ignoreGone(err) != nil {
		c.log.WarnContext(ctx, "failed intent is not marked", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyError, err)
	}
	if written {
		c.log.WarnContext(ctx, "intent is not carried out", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyReason, string(code), telemetry.KeyMessage, message)
		c.events.Eventf(n, nil, corev1.EventTypeWarning, code.Condition(), "Launch", "%s", machine.Truncate(message))
	}
}

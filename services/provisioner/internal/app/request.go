package app

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// entry is what the ledger's entries of a batch have in common.
type entry struct {
	// groups are the VPSie groups by size.
	groups map[int64]int64
	// foreign are the machines that cannot be the answer, as of basis.
	foreign []string
	basis   time.Time
}

// prepared is one request that is about to be made: its intent is on record.
type prepared struct {
	node  *v1beta1.VPSieNode
	group int64
	// number is that of the ledger's entry, and at when writing it began.
	number  int32
	at      time.Time
	ctx     context.Context
	span    trace.Span
	outcome v1beta1.LaunchOutcome
	failure *CloudError
}

// prepare writes the launch ledger of a batch and hands each entry over once it is on record. What
// cannot be written is not launched.
func (c *Clusters) prepare(ctx context.Context, nodes map[string]*v1beta1.VPSieNode, batch []launch.Candidate, e entry) <-chan *prepared {
	ready := make(chan *prepared, len(batch))
	var writers errgroup.Group
	writers.SetLimit(writersMax)
	go func() {
		defer close(ready)
		for _, candidate := range batch {
			writers.Go(func() error {
				if p := c.writeLedger(ctx, nodes[candidate.Intent], e); p != nil {
					ready <- p
				}
				return nil
			})
		}
		_ = writers.Wait() // each writer has handled its own error
	}()
	return ready
}

// writeLedger records that a machine is about to be requested; nil means that it must not be.
func (c *Clusters) writeLedger(ctx context.Context, n *v1beta1.VPSieNode, e entry) *prepared {
	group := e.groups[n.Spec.Offering]
	spanned, span := c.begin(ctx, n)
	at := c.clock.Now()
	request := machine.Request{
		Group: group, Size: c.catalogue.Size(n.Spec.Cluster.Datacenter, n.Spec.Offering), Foreign: e.foreign, Traceparent: telemetry.Traceparent(spanned),
	}
	written, err := c.store.Change(spanned, n, func(n *v1beta1.VPSieNode) bool {
		return !c.isStale(e.basis) && machine.Requested(request, c.clock.Now())(n)
	})
	if err != nil || !written {
		span.End()
		if ignoreGone(err) != nil {
			c.log.WarnContext(ctx, "launch request not recorded; nothing is launched", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyError, err)
		}
		return nil
	}
	return &prepared{node: n, group: group, number: machine.LastAttempt(n).Number, at: at, ctx: spanned, span: span}
}

// begin starts the span of a launch, below the decision: whether the message or the watch was faster is nobody's concern.
func (c *Clusters) begin(ctx context.Context, n *v1beta1.VPSieNode) (context.Context, trace.Span) {
	ctx = telemetry.ContextWithTraceparent(ctx, n.Annotations[v1beta1.AnnotationTraceparent])
	return telemetry.Tracer().Start(ctx, "launch machine", trace.WithAttributes(
		attribute.String("vpsie.node", fleet.Key(n)), attribute.String("vpsie.cluster", n.Spec.Cluster.Identifier),
		attribute.Int64("vpsie.offering", n.Spec.Offering), attribute.String("vpsie.decision_id", n.Spec.DecisionID)))
}

// request makes the calls of a batch, one after the other, and returns what became of them. It stops
// at the first answer that would be the same for the rest, and when ctx ends; the call in hand is
// finished, since an aborted one would have an unknown outcome.
func (c *Clusters) request(ctx context.Context, batch <-chan *prepared) []*prepared {
	var done []*prepared
	var stop *CloudError
	refused := map[int64]*CloudError{}
	for p := range batch {
		done = append(done, p)
		size := p.node.Spec.Offering
		if ctx.Err() != nil && stop == nil {
			stop = &CloudError{Failure: NotMade, Endpoint: "add node", Message: "the provisioner stopped before the call"}
		}
		switch {
		case stop != nil:
			p.outcome, p.failure = v1beta1.LaunchNotMade, stop
		case refused[size] != nil:
			p.outcome, p.failure = v1beta1.LaunchRefused, refused[size]
		default:
			err := c.cloud.AddWorker(context.WithoutCancel(p.ctx), c.stillTrue(p.at), p.node.Spec.Cluster.Identifier, p.group)
			p.outcome = v1beta1.LaunchAccepted
			if err == nil {
				break
			}
			p.failure = AsCloudError(err)
			switch p.failure.Failure {
			case OutcomeUnknown:
				p.outcome = v1beta1.LaunchUnknown
				if sabotage.ListBeforeRetry() {
					p.outcome = v1beta1.LaunchNotMade
				}
			case NotMade, Unauthorized, Held:
				p.outcome, stop = v1beta1.LaunchNotMade, p.failure
			case Refused:
				p.outcome, refused[size] = v1beta1.LaunchRefused, p.failure
			case NotFound:
				// The group or the cluster is gone; the next pass finds out which.
				p.outcome, stop = v1beta1.LaunchNotMade, p.failure
				c.forgetGroups(p.node.Spec.Cluster.Identifier)
			}
			p.span.RecordError(p.failure)
			p.span.SetStatus(codes.Error, p.failure.Message)
		}
		p.span.SetAttributes(attribute.String("vpsie.outcome", string(p.outcome)))
		p.span.End()
	}
	return done
}

// conclude writes what became of the requests. What cannot be written stays an open request, which
// the next listings resolve.
func (c *Clusters) conclude(ctx context.Context, batch []*prepared) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeTimeout)
	defer cancel()
	var writers errgroup.Group
	writers.SetLimit(writersMax)
	for _, p := range batch {
		writers.Go(func() error {
			decided, err := c.store.decide(trace.ContextWithSpan(ctx, p.span), p.node, p.decided, c.concluded(p))
			if ignoreGone(err) != nil {
				c.log.WarnContext(ctx, "outcome of a launch request not recorded; the next listing shows it", telemetry.KeyVPSieNode, fleet.Key(p.node), telemetry.KeyError, err)
				return nil
			}
			attrs := []any{telemetry.KeyVPSieNode, fleet.Key(p.node), telemetry.KeyState, string(p.outcome), telemetry.KeyDecision, p.node.Spec.DecisionID}
			if p.failure == nil {
				c.log.InfoContext(p.ctx, "launch requested", attrs...)
				return nil
			}
			c.log.WarnContext(p.ctx, "launch request not accepted", append(attrs, telemetry.KeyError, p.failure)...)
			if decided && p.outcome == v1beta1.LaunchRefused { // not another replica's
				c.events.Eventf(p.node, nil, corev1.EventTypeWarning, "LaunchRefused", "Launch", "%s", text.Truncate(explain(p.failure)))
			}
			return nil
		})
	}
	_ = writers.Wait() // each writer has handled its own error
}

// decided is what follows from the outcome of a request: it is refused, or waits until calls succeed.
func (p *prepared) decided(*v1beta1.VPSieNode) decision {
	switch p.outcome {
	case v1beta1.LaunchRefused:
		return decided(reason.Launch, p.failure.Code, explain(p.failure))
	case v1beta1.LaunchNotMade:
		return decided(reason.Hold, holdCode(p.failure), explain(p.failure))
	case v1beta1.LaunchUnknown:
		return decided(reason.Hold, reason.HoldLaunchOutcome, explain(p.failure))
	}
	return decision{}
}

// concluded is what became of a request.
func (c *Clusters) concluded(p *prepared) machine.Change {
	switch p.outcome {
	case v1beta1.LaunchUnknown:
		h := hindrance(p.failure)
		h.Reason = reason.HoldLaunchOutcome.Condition()
		return machine.Unclear(p.number, h, c.clock.Now())
	case v1beta1.LaunchRefused:
		return machine.Refused(p.number, hindrance(p.failure))
	case v1beta1.LaunchNotMade:
		return machine.NotMade(p.number, hindrance(p.failure))
	}
	return machine.Accepted(p.number, c.catalogue.Price(p.node))
}

package app

import (
	"context"
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// vpsieGroupPrefix starts the names of the VPSie groups that are made, one a size and cluster.
const vpsieGroupPrefix = "vpsie-autoscaler-"

type launchResult struct {
	any  bool
	more bool
}

// launch asks VPSie for the machines of the candidates, within the limits of their NodeGroups as
// they are now. The intent to ask is written before each request.
func (c *Clusters) launch(ctx context.Context, v *view, listing Listing) (launchResult, error) {
	candidates, err := c.due(ctx, v)
	if err != nil || len(candidates) == 0 {
		return launchResult{}, err
	}
	groups, err := c.limits(ctx, v, candidates)
	if err != nil {
		return launchResult{}, err
	}
	open := int64(0)
	for _, w := range v.waiting {
		open = w.Offering
	}
	batch := launch.Choose(candidates, groups, open, listing.ShowsSizes)
	nodes := v.byKey()
	for intent, refusal := range batch.Refused {
		c.fail(ctx, nodes[intent], refusal.Code, refusal.Message)
	}
	if len(batch.Launch) == 0 {
		return launchResult{}, nil
	}
	vpsieGroups, err := c.vpsieGroups(ctx, v.cluster, batch.Launch)
	if err != nil {
		c.hindered(ctx, v, err)
		return launchResult{}, nil
	}
	requested := c.request(c.prepare(ctx, nodes, batch.Launch, vpsieGroups, launch.Foreign(listing.Workers, v.claimed())))
	c.conclude(ctx, requested)
	return launchResult{any: len(requested) > 0, more: batch.More && listing.ShowsSizes}, nil
}

// due are the candidates that are not too old to be launched.
func (c *Clusters) due(ctx context.Context, v *view) ([]launch.Candidate, error) {
	var candidates []launch.Candidate
	for _, n := range v.candidates {
		if !isCandidate(n, c.clock.Now()) {
			continue // recognised a moment ago
		}
		if age := c.clock.Now().Sub(n.CreationTimestamp.Time); age > n.Spec.LaunchDeadline.Duration {
			c.fail(ctx, n, reason.LaunchExpired, "the machine could not be asked for within the launch deadline, and what it was for may be gone; the planner decides anew")
			continue
		}
		candidates = append(candidates, launch.Candidate{Intent: keyOf(n), Group: groupOf(n), Offering: n.Spec.Offering})
	}
	return candidates, nil
}

// limits reads the NodeGroups live: whoever acts checks again what the decider promised.
func (c *Clusters) limits(ctx context.Context, v *view, candidates []launch.Candidate) (map[string]launch.Group, error) {
	nodes, groups := v.byKey(), map[string]launch.Group{}
	for _, candidate := range candidates {
		if _, ok := groups[candidate.Group]; ok {
			continue
		}
		n := nodes[candidate.Intent]
		var group v1beta1.NodeGroup
		err := c.store.Live.Get(ctx, client.ObjectKey{Namespace: n.Namespace, Name: n.Spec.NodeGroup}, &group)
		if apierrors.IsNotFound(err) {
			groups[candidate.Group] = launch.Group{Missing: true}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read NodeGroup %s: %w", candidate.Group, err)
		}
		g := launch.Group{MaxNodes: int(group.Spec.MaxNodes), Held: group.Spec.Mode != v1beta1.ModeEnforce && group.Spec.Mode != ""}
		for _, other := range v.all {
			if groupOf(other) == candidate.Group && mayBeMachine(other) {
				g.Machines++
			}
		}
		groups[candidate.Group] = g
	}
	return groups, nil
}

// vpsieGroups finds the VPSie group of each size, and makes those that are missing. VPSie allows one
// group a size and cluster, so it is shared by all NodeGroups that buy the size.
func (c *Clusters) vpsieGroups(ctx context.Context, cluster string, batch []launch.Candidate) (map[int64]int64, error) {
	have := func() map[int64]int64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.groups[cluster]
	}
	missing := func() []int64 {
		var sizes []int64
		for _, candidate := range batch {
			if have()[candidate.Offering] == 0 {
				sizes = append(sizes, candidate.Offering)
			}
		}
		return sizes
	}
	if len(missing()) == 0 {
		return have(), nil
	}
	if err := c.readGroups(ctx, cluster); err != nil {
		return nil, err
	}
	made := map[int64]bool{}
	for _, size := range missing() {
		if made[size] {
			continue
		}
		made[size] = true
		// Whatever the answer, the listing tells whether the group exists.
		if err := c.cloud.CreateGroup(ctx, cluster, vpsieGroupPrefix+strconv.FormatInt(size, 10), size); err != nil {
			c.log.WarnContext(ctx, "VPSie group is not made", telemetry.KeyCluster, cluster, telemetry.KeyError, err)
			if AsCloudError(err).Failure != Refused {
				return nil, err
			}
		}
	}
	if len(made) > 0 {
		if err := c.readGroups(ctx, cluster); err != nil {
			return nil, err
		}
	}
	return have(), nil
}

func (c *Clusters) readGroups(ctx context.Context, cluster string) error {
	groups, err := c.cloud.Groups(ctx, cluster)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[cluster] = groups
	return nil
}

func (c *Clusters) forgetGroups(cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, cluster)
}

// prepared is one request that is about to be made: its intent is on record.
type prepared struct {
	node    *v1beta1.VPSieNode
	group   int64
	ctx     context.Context
	span    trace.Span
	outcome v1beta1.LaunchOutcome
	failure *CloudError
}

// prepare writes the launch ledger of a batch and hands each entry over once it is on record. What
// cannot be written is not launched.
func (c *Clusters) prepare(ctx context.Context, nodes map[string]*v1beta1.VPSieNode, batch []launch.Candidate, groups map[int64]int64, foreign []string) <-chan *prepared {
	ready := make(chan *prepared, len(batch))
	var writers errgroup.Group
	writers.SetLimit(writersMax)
	go func() {
		defer close(ready)
		for _, candidate := range batch {
			n, group := nodes[candidate.Intent], groups[candidate.Offering]
			if group == 0 {
				c.fail(ctx, n, reason.NoScaleUpOfferingUnknown, fmt.Sprintf("VPSie has no node group for size %d and makes none; choose another size in the NodeGroup", candidate.Offering))
				continue
			}
			writers.Go(func() error {
				if p := c.writeLedger(ctx, n, group, foreign); p != nil {
					ready <- p
				}
				return nil
			})
		}
		_ = writers.Wait() // each writer has handled its own error
	}()
	return ready
}

// writeLedger records that a machine is about to be asked for; nil means that it must not be.
func (c *Clusters) writeLedger(ctx context.Context, n *v1beta1.VPSieNode, group int64, foreign []string) *prepared {
	spanned, span := c.begin(ctx, n)
	from := n.Status.Phase
	written, err := c.store.UpdateStatus(spanned, n, func(n *v1beta1.VPSieNode) bool {
		if !isCandidate(n, c.clock.Now()) {
			return false
		}
		n.Status.Launches = append(n.Status.Launches, v1beta1.LaunchAttempt{
			Number: int32(len(n.Status.Launches) + 1), VPSieGroup: group, RequestedAt: *timestamp(c.clock.Now()),
			Foreign: foreign, Outcome: v1beta1.LaunchRequested, Traceparent: telemetry.Traceparent(spanned),
		})
		setPhase(n, v1beta1.PhaseLaunching)
		setCondition(n, v1beta1.ConditionLaunched, false, "Requested", "the machine is being asked of VPSie")
		setCondition(n, v1beta1.ConditionReady, false, "Launching", "the machine is being asked of VPSie")
		return true
	})
	if err != nil || !written {
		span.End()
		if ignoreGone(err) != nil {
			c.log.WarnContext(ctx, "intent is not written, so nothing is bought", telemetry.KeyVPSieNode, keyOf(n), telemetry.KeyError, err)
		}
		return nil
	}
	c.facts.PhaseChanged(spanned, n, from, n.Status.Phase, "the machine is asked of VPSie")
	return &prepared{node: n, group: group, ctx: spanned, span: span}
}

// begin starts the span of a launch, below the message that announced it or the decision itself.
func (c *Clusters) begin(ctx context.Context, n *v1beta1.VPSieNode) (context.Context, trace.Span) {
	c.mu.Lock()
	parent, woken := c.woken[keyOf(n)]
	c.mu.Unlock()
	if woken && parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	} else {
		ctx = telemetry.ContextWithTraceparent(ctx, n.Annotations[v1beta1.AnnotationTraceparent])
	}
	return telemetry.Tracer().Start(ctx, "launch machine", trace.WithAttributes(
		attribute.String("vpsie.node", keyOf(n)), attribute.String("vpsie.cluster", n.Spec.Cluster.Identifier),
		attribute.Int64("vpsie.offering", n.Spec.Offering), attribute.String("vpsie.decision_id", n.Spec.DecisionID)))
}

// request makes the calls of a batch, one after the other, and returns what became of them. It stops
// at the first answer that would be the same for the rest.
func (c *Clusters) request(batch <-chan *prepared) []*prepared {
	var done []*prepared
	var stop *CloudError
	refused := map[int64]*CloudError{}
	for p := range batch {
		done = append(done, p)
		size := p.node.Spec.Offering
		switch {
		case stop != nil:
			p.outcome, p.failure = v1beta1.LaunchNotMade, stop
		case refused[size] != nil:
			p.outcome, p.failure = v1beta1.LaunchRefused, refused[size]
		default:
			err := c.cloud.AddWorker(p.ctx, p.node.Spec.Cluster.Identifier, p.group)
			p.outcome = v1beta1.LaunchAccepted
			if err == nil {
				break
			}
			p.failure = AsCloudError(err)
			switch p.failure.Failure {
			case OutcomeUnknown:
				p.outcome = v1beta1.LaunchUnknown
			case NotMade, Unauthorized:
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
	var writers errgroup.Group
	writers.SetLimit(writersMax)
	for _, p := range batch {
		writers.Go(func() error {
			from := p.node.Status.Phase
			_, err := c.store.UpdateStatus(p.ctx, p.node, func(n *v1beta1.VPSieNode) bool { return c.outcome(n, p) })
			if ignoreGone(err) != nil {
				c.log.WarnContext(ctx, "outcome of a purchase is not written; listings will tell", telemetry.KeyVPSieNode, keyOf(p.node), telemetry.KeyError, err)
				return nil
			}
			attrs := []any{telemetry.KeyVPSieNode, keyOf(p.node), telemetry.KeyState, string(p.outcome), telemetry.KeyDecision, p.node.Spec.DecisionID}
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
	a := lastAttempt(n)
	if a == nil || a.Outcome != v1beta1.LaunchRequested {
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
	if before.Outcome != v1beta1.LaunchNotMade || before.Reason == string(reason.LaunchUnconfirmed) {
		return
	}
	merged := n.Status.Launches[last]
	merged.Number = before.Number
	n.Status.Launches = append(n.Status.Launches[:last-1], merged)
}

// fail ends an intent for which nothing was bought and nothing will be.
func (c *Clusters) fail(ctx context.Context, n *v1beta1.VPSieNode, code reason.Code, message string) {
	from := n.Status.Phase
	written, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		if mayBeMachine(n) || n.Status.Phase == v1beta1.PhaseFailed {
			return false
		}
		setPhase(n, v1beta1.PhaseFailed)
		setCondition(n, v1beta1.ConditionLaunched, false, conditionReason(code), message)
		setCondition(n, v1beta1.ConditionReady, false, conditionReason(code), message)
		return true
	})
	if ignoreGone(err) != nil {
		c.log.WarnContext(ctx, "failed intent is not marked", telemetry.KeyVPSieNode, keyOf(n), telemetry.KeyError, err)
	}
	if written {
		c.log.WarnContext(ctx, "intent is not carried out", telemetry.KeyVPSieNode, keyOf(n), telemetry.KeyReason, string(code), telemetry.KeyMessage, message)
		c.facts.PhaseChanged(ctx, n, from, n.Status.Phase, message)
		c.events.Eventf(n, nil, corev1.EventTypeWarning, conditionReason(code), "Launch", "%s", truncate(message))
	}
}

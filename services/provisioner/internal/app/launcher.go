package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// vpsieGroupPrefix starts the names of the VPSie groups that are made, one a size and cluster.
const vpsieGroupPrefix = "vpsie-autoscaler-"

type launchResult struct {
	any  bool
	more bool
}

// launch asks VPSie for the machines of the candidates, within the limits of their NodeGroups as
// they are now. The intent to ask is written before each request.
func (c *Clusters) launch(ctx context.Context, r *roster, listing Listing) (launchResult, error) {
	candidates, err := c.due(ctx, r)
	if err != nil || len(candidates) == 0 {
		return launchResult{}, err
	}
	if err := c.orphans.load(ctx, r.cluster); err != nil {
		const held = "nothing is bought while it is not known which machines are somebody else's"
		c.log.WarnContext(ctx, held, telemetry.KeyCluster, r.cluster, telemetry.KeyError, err)
		for _, n := range r.candidates {
			c.update(ctx, n, machine.Hindered(machine.Hindrance{Reason: "ReportUnreadable", Message: machine.Truncate(held + ": " + err.Error())}, c.clock.Now()))
		}
		return launchResult{}, nil
	}
	if err := goOn(ctx, c.brake); err != nil {
		if state, paused := asPaused(err); paused {
			c.hindered(ctx, r, &CloudError{Failure: Held, Code: reason.HoldPaused, Message: state.Message})
			return launchResult{}, nil
		}
		return launchResult{}, err
	}
	groups, err := c.limits(ctx, r, candidates)
	if err != nil {
		return launchResult{}, err
	}
	open := int64(0)
	for _, n := range r.nodes {
		if machine.IsOpen(n) {
			open = n.Spec.Offering
		}
	}
	batch := launch.Choose(candidates, groups, open, listing.ShowsSizes)
	nodes := r.byKey()
	for intent, refusal := range batch.Refused {
		c.fail(ctx, nodes[intent], refusal.Code, refusal.Message)
	}
	if len(batch.Launch) == 0 {
		return launchResult{}, nil
	}
	vpsieGroups, refused, err := c.vpsieGroups(ctx, r.cluster, batch.Launch)
	if err != nil {
		c.hindered(ctx, r, err)
		return launchResult{}, nil
	}
	possible := slices.DeleteFunc(batch.Launch, func(candidate launch.Candidate) bool {
		if vpsieGroups[candidate.Offering] != 0 {
			return false
		}
		c.failRefused(ctx, nodes[candidate.Intent], refused[candidate.Offering])
		return true
	})
	requested := c.request(ctx, c.prepare(ctx, nodes, possible, entry{groups: vpsieGroups, foreign: c.foreign(r, listing.Workers), basis: r.at}))
	c.conclude(ctx, requested)
	return launchResult{any: len(requested) > 0, more: batch.More && listing.ShowsSizes}, nil
}

// foreign are the machines that no request from now on can have brought: those that nobody claims in the
// listing, those that were nobody's a while ago, which the listing may lack for a moment, also by what an earlier process wrote down, and
// those that are leaving, from their retirement on, or gone, which a later listing may show when nobody claims them any more.
func (c *Clusters) foreign(r *roster, listed []launch.Listed) []string {
	claimed := r.claimed()
	foreign := launch.Foreign(listed, claimed)
	for _, id := range append(c.strangers(r.cluster), c.orphans.known(r.cluster)...) {
		if !claimed[id] {
			foreign = append(foreign, id)
		}
	}
	foreign = slices.AppendSeq(foreign, maps.Keys(c.gone(r.cluster)))
	for _, n := range r.nodes {
		if id := machine.ClaimOf(n); id != "" && machine.IsLeaving(n) {
			foreign = append(foreign, id)
		}
	}
	slices.Sort(foreign)
	return slices.Compact(foreign)
}

// due are the candidates that are not too old to be launched.
func (c *Clusters) due(ctx context.Context, r *roster) ([]launch.Candidate, error) {
	var candidates []launch.Candidate
	for _, n := range r.candidates {
		if !machine.IsCandidate(n, c.clock.Now()) {
			continue // recognised a moment ago
		}
		if age := c.clock.Now().Sub(n.CreationTimestamp.Time); age > n.Spec.LaunchDeadline.Duration {
			c.fail(ctx, n, reason.LaunchExpired, "the machine could not be asked for within the launch deadline, and what it was for may be gone; the planner decides anew")
			continue
		}
		size, known := c.amountsOf(n)
		candidates = append(candidates, launch.Candidate{Intent: machine.Key(n), Group: machine.GroupOf(n), Offering: n.Spec.Offering, Size: size, SizeKnown: known})
	}
	return candidates, nil
}

// limits reads the NodeGroups live: whoever acts checks again what the decider promised.
func (c *Clusters) limits(ctx context.Context, r *roster, candidates []launch.Candidate) (map[string]launch.Group, error) {
	nodes, groups := r.byKey(), map[string]launch.Group{}
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
		enabled := group.Spec.ScaleUp.Enabled == nil || *group.Spec.ScaleUp.Enabled
		g := launch.Group{
			MaxNodes: int(group.Spec.MaxNodes), Held: !enabled || group.Spec.Mode != v1beta1.ModeEnforce && group.Spec.Mode != "",
			Ceilings: ceilings(group.Spec.Limits), HasKnown: true,
		}
		for _, other := range r.all {
			if sabotage.InFlightCounting() && other.Status.Identifier == "" {
				continue
			}
			if machine.GroupOf(other) == candidate.Group && machine.MayExist(other) {
				size, known := c.amountsOf(other)
				g.Machines, g.Has, g.HasKnown = g.Machines+1, g.Has.Add(size), g.HasKnown && known
			}
		}
		groups[candidate.Group] = g
	}
	return groups, nil
}

func ceilings(l v1beta1.GroupLimits) launch.Ceilings {
	var c launch.Ceilings
	if l.CPU != nil {
		c.MilliCPU = new(l.CPU.MilliValue())
	}
	if l.Memory != nil {
		c.MemoryMiB = new(l.Memory.Value() >> 20)
	}
	if l.MonthlyCost != nil {
		c.MonthlyPrice = new(money.FromQuantity(l.MonthlyCost))
	}
	return c
}

// amountsOf is what a machine has and costs; false while VPSie has not said what its size is.
func (c *Clusters) amountsOf(n *v1beta1.VPSieNode) (launch.Amounts, bool) {
	o, known := c.catalogue.Offering(n.Spec.Cluster.Datacenter, n.Spec.Offering)
	a := launch.Amounts{MilliCPU: o.Size.CPU * 1000, MemoryMiB: o.Size.MemoryMiB, MonthlyPrice: o.MonthlyPrice}
	if n.Status.MonthlyPrice != nil {
		a.MonthlyPrice = money.FromQuantity(n.Status.MonthlyPrice)
	}
	return a, known
}

// vpsieGroups finds the VPSie group of each size, and makes those that are missing. VPSie allows one
// group a size and cluster, so it is shared by all NodeGroups that buy the size. For a size without a
// group it returns why VPSie makes none.
func (c *Clusters) vpsieGroups(ctx context.Context, cluster string, batch []launch.Candidate) (map[int64]int64, map[int64]*CloudError, error) {
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
		return have(), nil, nil
	}
	if err := c.readGroups(ctx, cluster); err != nil {
		return nil, nil, err
	}
	refused := map[int64]*CloudError{}
	for _, size := range missing() {
		if refused[size] != nil {
			continue
		}
		refused[size] = &CloudError{Failure: Refused, Code: reason.NoScaleUpLaunchFailed, Endpoint: "add group",
			Message: fmt.Sprintf("size %d has no node group, and none appears after it was asked for", size)}
		// Whatever the answer, the listing tells whether the group exists.
		if err := c.cloud.CreateGroup(ctx, c.stillTrue(c.clock.Now()), cluster, vpsieGroupPrefix+strconv.FormatInt(size, 10), size); err != nil {
			c.log.WarnContext(ctx, "VPSie group is not made", telemetry.KeyCluster, cluster, telemetry.KeyError, err)
			if AsCloudError(err).Failure != Refused {
				return nil, nil, err
			}
			refused[size] = AsCloudError(err)
		}
	}
	if len(refused) > 0 {
		if err := c.readGroups(ctx, cluster); err != nil {
			return nil, nil, err
		}
	}
	return have(), refused, nil
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

// writeLedger records that a machine is about to be asked for; nil means that it must not be.
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
			c.log.WarnContext(ctx, "intent is not written, so nothing is bought", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyError, err)
		}
		return nil
	}
	return &prepared{node: n, group: group, number: machine.LastAttempt(n).Number, at: at, ctx: spanned, span: span}
}

// begin starts the span of a launch, below the message that announced it or the decision itself.
func (c *Clusters) begin(ctx context.Context, n *v1beta1.VPSieNode) (context.Context, trace.Span) {
	c.mu.Lock()
	parent, woken := c.woken[machine.Key(n)]
	c.mu.Unlock()
	if woken && parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	} else {
		ctx = telemetry.ContextWithTraceparent(ctx, n.Annotations[v1beta1.AnnotationTraceparent])
	}
	return telemetry.Tracer().Start(ctx, "launch machine", trace.WithAttributes(
		attribute.String("vpsie.node", machine.Key(n)), attribute.String("vpsie.cluster", n.Spec.Cluster.Identifier),
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
			stop = &CloudError{Failure: NotMade, Endpoint: "add node", Message: "the provisioner was told to stop before it asked"}
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

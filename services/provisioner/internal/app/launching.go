package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/nodegroup"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

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
		c.hold(ctx, r, launch.Refusal{Code: reason.HoldReportUnreadable, Message: "nothing is launched until the report of unclaimed machines can be read: " + err.Error()})
		return launchResult{}, nil
	}
	if pause, paused := asPaused(goOn(ctx, c.brake)); paused {
		c.hold(ctx, r, launch.Refusal{Code: pause.code, Message: pause.message, Parameters: reason.UntilOf(pause.until)})
		return launchResult{}, nil
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
	for intent, refusal := range batch.Waiting {
		c.waits(ctx, nodes[intent], refusal)
	}
	for intent, refusal := range batch.Refused {
		c.fail(ctx, nodes[intent], refusal)
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

// due are the candidates that are not too old to be launched.
func (c *Clusters) due(ctx context.Context, r *roster) ([]launch.Candidate, error) {
	var candidates []launch.Candidate
	for _, n := range r.candidates {
		if !machine.IsCandidate(n, c.clock.Now()) {
			continue // recognised a moment ago
		}
		if age := c.clock.Now().Sub(n.CreationTimestamp.Time); age > n.Spec.LaunchDeadline.Duration {
			c.fail(ctx, n, launch.Refusal{Code: reason.LaunchExpired, Message: "the launch could not be requested within the launch deadline; the planner decides again" + machine.WhyNotRequested(n)})
			continue
		}
		size, known := c.amountsOf(n)
		candidates = append(candidates, launch.Candidate{Intent: fleet.Key(n), Group: fleet.GroupOf(n), Offering: n.Spec.Offering, Size: size, SizeKnown: known})
	}
	return candidates, nil
}

// limits reads the NodeGroups live: whoever acts checks again what the decider promised.
func (c *Clusters) limits(ctx context.Context, r *roster, candidates []launch.Candidate) (map[string]launch.Group, error) {
	nodes, groups := r.byKey(), map[string]launch.Group{}
	chosen := make(map[string]bool, len(candidates))
	for _, candidate := range candidates {
		chosen[candidate.Intent] = true
	}
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
		code, why := nodegroup.PolicyOf(&group).NoLaunch()
		g := launch.Group{
			Held: launch.Refusal{Code: code, Message: why}, Limit: fleet.LimitOf(group.Spec.Limits).WithNodes(int(group.Spec.MaxNodes)), HasKnown: true,
		}
		for _, other := range r.all {
			if sabotage.InFlightCounting() && other.Status.Identifier == "" {
				continue
			}
			if fleet.GroupOf(other) == candidate.Group && fleet.Occupies(other) && !chosen[fleet.Key(other)] {
				size, known := c.amountsOf(other)
				g.Has, g.HasKnown = g.Has.Add(size), g.HasKnown && known
			}
		}
		groups[candidate.Group] = g
	}
	return groups, nil
}

// amountsOf is what a machine has and costs; false while VPSie has not said what its size is.
func (c *Clusters) amountsOf(n *v1beta1.VPSieNode) (bounds.Amounts, bool) {
	o, known := c.catalogue.Offering(n.Spec.Cluster.Datacenter, n.Spec.Offering)
	a := bounds.Amounts{Nodes: 1, MilliCPU: o.Size.CPU * 1000, MemoryBytes: o.Size.MemoryMiB << 20, MonthlyPrice: o.MonthlyPrice}
	if price, known := money.Parse(n.Status.MonthlyPrice); known {
		a.MonthlyPrice = price
	}
	return a, known
}

// foreign are the machines that no request from now on can have brought: those that nobody claims in the
// listing, those that were unclaimed a while ago, which the listing may lack for a moment, also by what an earlier process wrote down, and
// those that are leaving, from their retirement on, or gone, which a later listing may show when nobody claims them any more.
func (c *Clusters) foreign(r *roster, listed []launch.Listed) []string {
	claimed := r.claimed()
	foreign := launch.Foreign(listed, claimed)
	for _, id := range append(c.unclaimed(r.cluster), c.orphans.known(r.cluster)...) {
		if !claimed[id] {
			foreign = append(foreign, id)
		}
	}
	foreign = slices.AppendSeq(foreign, maps.Keys(c.gone(r.cluster)))
	for _, n := range r.nodes {
		if id := machine.ClaimOf(n); id != "" && fleet.IsRetired(n) {
			foreign = append(foreign, id)
		}
	}
	slices.Sort(foreign)
	return slices.Compact(foreign)
}

// failRefused ends an intent for whose size VPSie makes no group.
func (c *Clusters) failRefused(ctx context.Context, n *v1beta1.VPSieNode, e *CloudError) {
	h := hindrance(e)
	if !c.decide(ctx, n, decided(reason.Launch, h.Code, h.Message), machine.RefusedUnasked(h, c.clock.Now())) {
		return
	}
	c.events.Eventf(n, nil, corev1.EventTypeWarning, "LaunchRefused", "Launch", "%s", text.Truncate(explain(e)))
}

// fail ends an intent for which nothing was launched and nothing will be.
func (c *Clusters) fail(ctx context.Context, n *v1beta1.VPSieNode, why launch.Refusal) {
	if c.decide(ctx, n, decision{reason.Launch, why.Code, why.Message, why.Parameters}, machine.Abandoned(machine.Because(why.Code, why.Message), c.clock.Now())) {
		c.events.Eventf(n, nil, corev1.EventTypeWarning, why.Code.Condition(), "Launch", "%s", text.Truncate(why.Message))
	}
}

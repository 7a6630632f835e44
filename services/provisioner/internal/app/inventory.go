package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/inventory"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// sighted is a complete listing of a cluster and when it was requested.
type sighted struct {
	listing Listing
	at      time.Time
}

// Survey hands over a listing that was made while nothing was to be done in the cluster; the next Reconcile
// looks in it for machines that are missing and for those that nobody claims.
func (c *Clusters) Survey(cluster string, listing Listing, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.surveys[cluster] = sighted{listing, at}
}

func (c *Clusters) takeSurvey(cluster string) (sighted, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.surveys[cluster]
	delete(c.surveys, cluster)
	return s, ok
}

// isNews reports whether no newer listing of the cluster was looked at.
func (c *Clusters) isNews(cluster string, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return at.After(c.listed[cluster])
}

// count compares a listing with the machines that are claimed, and with those that a Node proves.
func (c *Clusters) count(ctx context.Context, r *roster, s sighted, proofs map[string]proof) inventory.Findings {
	var known []inventory.Known
	claimed := r.claimed()
	for _, id := range c.provenUnclaimed(ctx, r.cluster, claimed, proofs) {
		known = append(known, inventory.Known{Identifier: id, Unclaimed: true})
	}
	for _, n := range r.nodes {
		if id := machine.ClaimOf(n); id != "" {
			known = append(known, inventory.Known{Intent: fleet.Key(n), Identifier: id, Leaving: n.Status.DeleteRequestedAt != nil})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	memory, findings := c.inventories[r.cluster].Look(s.listing.Workers, known, s.at)
	c.inventories[r.cluster] = memory
	return findings
}

// unclaimed are the machines of a cluster that were unclaimed a while ago, whether they are listed now or not.
func (c *Clusters) unclaimed(cluster string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inventories[cluster].Unclaimed()
}

// isTrusted reports whether a listing of the cluster was believed since the process began.
func (c *Clusters) isTrusted(cluster string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inventories[cluster].Trusted()
}

// lookAfter acts on what a listing shows besides what is to be done anyway. What fails is tried again with the
// next listing.
func (c *Clusters) lookAfter(ctx context.Context, r *roster, f inventory.Findings, proofs map[string]proof) {
	if err := errors.Join(c.seekMissing(ctx, r, f), c.seekUnclaimed(ctx, r, f, proofs), c.adopt(ctx, r, f, proofs)); err != nil {
		c.log.WarnContext(ctx, "comparison of machines with VPSieNodes incomplete; the next listing repeats it", telemetry.KeyCluster, r.cluster, telemetry.KeyError, err)
	}
}

// seekMissing looks after the machines that listings lack.
func (c *Clusters) seekMissing(ctx context.Context, r *roster, f inventory.Findings) error {
	nodes := map[string]*v1beta1.VPSieNode{}
	for _, n := range r.nodes {
		nodes[n.Status.Identifier] = n
	}
	for id, s := range f.Missing {
		if n := nodes[id]; n != nil && s.Lasted(c.config.MissingAfter) && !fleet.IsRetired(n) {
			if err := c.vanished(ctx, n, s); ignoreGone(err) != nil {
				return err
			}
		}
	}
	if f.Suspect {
		return nil
	}
	for _, n := range r.nodes {
		if _, missing := f.Missing[n.Status.Identifier]; !missing {
			c.update(ctx, n, machine.SeenListed())
		}
	}
	return nil
}

// seekUnclaimed looks after Nodes whose machines neither a listing shows nor an object claims: what is left of such a
// machine gets an object that goes at once.
func (c *Clusters) seekUnclaimed(ctx context.Context, r *roster, f inventory.Findings, proofs map[string]proof) error {
	claimed := r.claimed()
	for id, s := range f.Missing {
		p, proven := proofs[id]
		if claimed[id] || !proven || p.ready || !s.Lasted(c.config.MissingAfter) {
			continue
		}
		unclaimed := inventory.Unclaimed{Listed: launch.Listed{Identifier: id, Hostname: p.node, Owner: p.owner()}, Sightings: s}
		if _, err := c.adoptOne(ctx, r, unclaimed, &v1beta1.Retirement{
			Kind: v1beta1.RetireRepair, Reason: string(reason.RepairMachineMissing), Message: "VPSie does not list the machine, no VPSieNode claims it and its Node is not Ready: the Node is removed",
		}); err != nil {
			return err
		}
	}
	return nil
}

// vanished retires a machine that VPSie has not listed for long enough, unless its Node works: a Node that is
// Ready proves that the machine lives, whatever a listing says.
func (c *Clusters) vanished(ctx context.Context, n *v1beta1.VPSieNode, s inventory.Sightings) error {
	if err := c.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return err
	}
	node := &corev1.Node{}
	err := c.store.Live.Get(ctx, client.ObjectKey{Name: fleet.NodeName(n)}, node)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		node = nil
	}
	c.mu.Lock()
	last, tried := c.sought[n.Status.Identifier]
	c.mu.Unlock()
	if tried && c.clock.Now().Sub(last) < outage.TrialInterval {
		return nil // the drain was aborted, which is on record
	}
	refusal, err := c.repairRefusal(ctx, n, node)
	if err != nil {
		return err
	}
	if refusal.Code != "" {
		message := "VPSie's listings lack the machine, but it is not repaired: " + refusal.Message + "; ask VPSie about the machine if this lasts"
		_, err := c.store.Decide(ctx, n, decision{reason.NoScaleDown, refusal.Code, message, refusal.Parameters}, machine.Unlisted(message))
		return err
	}
	message := fmt.Sprintf("VPSie's listings have lacked the machine for more than %s and its Node is not Ready: it was deleted at VPSie or lost; its VPSieNode and Node are removed", c.config.MissingAfter)
	if _, err := c.store.Change(ctx, n, machine.Vanished(message, c.clock.Now())); err != nil {
		return err
	}
	missing := v1beta1.Retirement{Kind: v1beta1.RetireRepair, Reason: string(reason.RepairMachineMissing), Message: message}
	retired, err := c.store.Retire(ctx, n, missing, reason.Repair, func(*v1beta1.VPSieNode) bool { return true })
	if retired {
		c.mu.Lock()
		c.sought[n.Status.Identifier] = c.clock.Now()
		c.mu.Unlock()
		c.log.WarnContext(ctx, "machine missing from listings", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyMachine, n.Status.Identifier, telemetry.KeyCount, s.Count)
		c.events.Eventf(n, nil, corev1.EventTypeWarning, reason.RepairMachineMissing.Condition(), "Survey", "%s", message)
	}
	return err
}

// repairRefusal asks the guards before a machine is retired that VPSie does not list and whose Node does not work: also those that
// would refuse the drain, since nobody else decides here. Only whether many fail together is left for then.
func (c *Clusters) repairRefusal(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (disruption.Refusal, error) {
	pause, unknown := viewPause(ctx, c.brake)
	if unknown != nil {
		return unknown.refusal(), nil
	}
	group, err := c.store.groupOf(ctx, n)
	if err != nil {
		return disruption.Refusal{}, err
	}
	v := &disruption.View{Kind: v1beta1.RetireRepair, Now: c.clock.Now(), Machine: n}
	v.Paused, v.Group, v.Node, v.IsMissing = pause, disruption.Known(group), viewNode(node), true
	// VPSie answers, and does not list the machine: that it runs nothing, and has not for long enough, is its word.
	v.Closed, v.Pods, v.UnreadySince = disruption.Known(disruption.Refusal{}), disruption.Known[[]disruption.Pod](nil), disruption.Known(time.Time{})
	// Several may go at once; whether many fail together the drain asks.
	v.Busy, v.Together = disruption.Known(""), disruption.Known(func() (string, time.Time) { return "", time.Time{} })
	return disruption.First(disruption.Decide|disruption.Act, v), nil
}

package app

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/inventory"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// Clusters makes every call to VPSie that launches or deletes a machine. Calls for one cluster are made
// one after the other, because a reply names no machine: what a request brought is seen by comparing
// listings.
type Clusters struct {
	store     *Store
	cloud     Cloud
	catalogue *Catalogue
	orphans   *Orphans
	brake     Brake
	events    events.EventRecorder
	clock     clock.Clock
	config    Config
	log       *slog.Logger

	mu sync.Mutex
	// announced are intents that a message told of and that were not seen launched yet. The cache may lack them.
	announced map[string]bool
	polls     map[string]time.Duration
	// groups caches the VPSie group of each size, by cluster.
	groups map[string]map[int64]int64
	// listed is when a cluster was last listed.
	listed map[string]time.Time
	// asked is when the deletion of a machine was last requested, by identifier.
	asked map[string]time.Time
	// departed are the machines that VPSie confirmed to be gone, by identifier: a listing that lags shows them once more.
	departed map[string]departure
	// sought is when what is left of a missing machine was last retired, by identifier.
	sought map[string]time.Time
	// surveys are listings that were handed over and not looked at yet, inventories what listings showed, by cluster.
	surveys     map[string]sighted
	inventories map[string]inventory.Memory
}

// NewClusters returns a worker that does nothing until it is given clusters.
func NewClusters(store *Store, cloud Cloud, catalogue *Catalogue, orphans *Orphans, b Brake, recorder events.EventRecorder, c clock.WithTicker, config Config, log *slog.Logger) *Clusters {
	return &Clusters{
		store: store, cloud: cloud, catalogue: catalogue, orphans: orphans, brake: b, events: recorder, clock: c, config: config, log: log,
		announced: map[string]bool{}, polls: map[string]time.Duration{},
		groups: map[string]map[int64]int64{}, listed: map[string]time.Time{}, asked: map[string]time.Time{}, departed: map[string]departure{}, sought: map[string]time.Time{},
		surveys: map[string]sighted{}, inventories: map[string]inventory.Memory{},
	}
}

// Announce says that a message told of intents: the next look at their cluster finds them, also where the cache is behind.
func (c *Clusters) Announce(namespace string, names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.announced[namespace+"/"+name] = true
	}
}

// look takes the roster of a cluster from all objects.
func (c *Clusters) look(cluster string, all []*v1beta1.VPSieNode, proofs map[string]proof, at time.Time) *roster {
	return newRoster(cluster, all, proofs, c.sizeOf, at)
}

// sizeOf is the size that a request is for. Where that is not on record, it is what VPSie says of the offering; where it is, nothing that
// VPSie says later counts, or a person's machine would pass for the answer.
func (c *Clusters) sizeOf(n *v1beta1.VPSieNode, a *v1beta1.LaunchAttempt) launch.Size {
	if asked := machine.SizeOnRecord(a); asked != (launch.Size{}) {
		return asked
	}
	return c.catalogue.Size(n.Spec.Cluster.Datacenter, n.Spec.Offering)
}

// Reconcile does what is to be done in a cluster now and returns when to look again; zero means
// when something changes.
func (c *Clusters) Reconcile(ctx context.Context, cluster string) (time.Duration, error) {
	known, err := c.store.knownNodes(ctx)
	if err != nil {
		return 0, err
	}
	proofs, err := c.proofs(ctx)
	if err != nil {
		return 0, err
	}
	survey, surveyed := c.takeSurvey(cluster)
	r := c.look(cluster, known, proofs, c.clock.Now())
	c.rememberAbsent(r)
	if !r.isBusy() && !c.isAwaited(known, cluster) {
		if surveyed && c.isNews(cluster, survey.at) {
			return r.later, c.survey(ctx, r, survey, proofs)
		}
		return r.later, nil
	}
	began := c.clock.Now()
	all, err := c.store.allNodes(ctx)
	if err != nil {
		return 0, err
	}
	r = c.look(cluster, all, proofs, began)
	c.rememberAbsent(r)
	c.forget(all)
	if !r.isBusy() {
		return r.later, nil
	}
	if wait := c.spacing(r); wait > 0 {
		return wait, nil
	}
	listing, err := c.cloud.Workers(ctx, cluster)
	c.catalogue.Observe(cluster, err)
	if err != nil {
		return c.hindered(ctx, r, err), nil
	}
	return c.act(ctx, r, listing, proofs)
}

// survey looks at a listing that somebody else made while nothing is to be done.
func (c *Clusters) survey(ctx context.Context, r *roster, s sighted, proofs map[string]proof) error {
	mark(s.listing.Workers, proofs)
	if r.isPatient() && len(launch.Foreign(s.listing.Workers, r.claimed())) > 0 {
		// Whose the machine is must not be decided on a cache.
		all, err := c.store.allNodes(ctx)
		if err != nil {
			return err
		}
		r = c.look(r.cluster, all, proofs, s.at)
		if _, err := c.recognise(ctx, r, s.listing.Workers, true); err != nil {
			return err
		}
	}
	c.lookAfter(ctx, r, c.count(ctx, r, s, proofs), proofs)
	return nil
}

// act does what is to be done in a cluster that was just listed.
func (c *Clusters) act(ctx context.Context, r *roster, listing Listing, proofs map[string]proof) (time.Duration, error) {
	mark(listing.Workers, proofs)
	findings := c.count(ctx, r, sighted{listing, r.at}, proofs)
	completed, err := c.complete(ctx, r, listing.Workers, proofs)
	if err != nil {
		return 0, err
	}
	recognised, err := c.recognise(ctx, r, listing.Workers, findings.Suspect)
	if err != nil {
		return 0, err
	}
	var launched launchResult
	if c.isTrusted(r.cluster) && !findings.Suspect {
		if launched, err = c.launch(ctx, r, listing); err != nil {
			return 0, err
		}
	} else {
		c.hold(ctx, r, launch.Refusal{
			Code: reason.HoldListingIncomplete, Message: "VPSie's listings lack more than a fifth of the machines that are ours, so they are not trusted; nothing is launched until they are complete, or for an hour; check VPSie's console and status page",
			Parameters: reason.Values{reason.ParamMissing: reason.CountOf(findings.Lacking), reason.ParamKnown: reason.CountOf(findings.Known)},
		})
	}
	removed, err := c.remove(ctx, r, listing.Workers, findings.Suspect)
	if err != nil {
		return 0, err
	}
	c.lookAfter(ctx, r, findings, proofs)
	return c.next(r, completed || recognised || launched.any || removed, launched), nil
}

// spacing is how long the next listing must wait, so that many changes in a row cost one listing.
// A launch does not wait.
func (c *Clusters) spacing(r *roster) time.Duration {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := c.config.LaunchPoll - now.Sub(c.listed[r.cluster])
	if wait > 0 && len(r.candidates) == 0 {
		return wait
	}
	c.listed[r.cluster] = now
	return 0
}

// isAwaited reports whether a message announced an intent of the cluster that the cache lacks.
func (c *Clusters) isAwaited(known []*v1beta1.VPSieNode, cluster string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.announced) == 0 {
		return false
	}
	have := make(map[string]bool, len(known))
	for _, n := range known {
		have[fleet.Key(n)] = true
	}
	for key := range c.announced {
		if !have[key] {
			return true
		}
	}
	return false
}

// forget drops what was remembered of intents that are launched or gone.
func (c *Clusters) forget(all []*v1beta1.VPSieNode) {
	candidates, identifiers := map[string]bool{}, map[string]bool{}
	for _, n := range all {
		if machine.LastAttempt(n) == nil {
			candidates[fleet.Key(n)] = true
		}
		identifiers[n.Status.Identifier] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.announced {
		if !candidates[key] {
			delete(c.announced, key)
		}
	}
	gone := func(identifier string, _ time.Time) bool { return !identifiers[identifier] }
	maps.DeleteFunc(c.asked, gone)
	maps.DeleteFunc(c.sought, gone)
}

// next is when to list again: soon after something happened, then at growing intervals.
func (c *Clusters) next(r *roster, progress bool, launched launchResult) time.Duration {
	if launched.more {
		return time.Millisecond
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if progress || c.polls[r.cluster] == 0 {
		c.polls[r.cluster] = c.config.LaunchPoll
	} else {
		c.polls[r.cluster] = min(time.Duration(float64(c.polls[r.cluster])*pollGrowth), max(pollMax, c.config.LaunchPoll))
	}
	wait := c.polls[r.cluster]
	if len(r.leaving) > 0 {
		wait = min(wait, max(c.config.AbsenceInterval, c.config.LaunchPoll))
	}
	if r.later > 0 {
		wait = min(wait, r.later)
	}
	return wait
}

// hindered tells the intents that wait why nothing happens, and returns when to try again.
func (c *Clusters) hindered(ctx context.Context, r *roster, err error) time.Duration {
	e := AsCloudError(err)
	if e.Failure == Held && e.Code == "" {
		return machine.AttemptWait // what the call rests on is read again
	}
	code := holdCode(e)
	c.hold(ctx, r, launch.Refusal{Code: code, Message: explain(e)})
	for _, n := range r.leaving {
		c.decide(ctx, n, decided(reason.Hold, code, explain(e)), machine.Note(v1beta1.ConditionDeleted, metav1.ConditionFalse, code.Condition(), explain(e)))
	}
	return max(machine.AttemptWait, e.RetryAfter)
}

// hold keeps the candidates from being launched, and says why in their Launched condition.
func (c *Clusters) hold(ctx context.Context, r *roster, why launch.Refusal) {
	for _, n := range r.candidates {
		c.waits(ctx, n, why)
	}
}

// waits says in its Launched condition why a candidate is not launched now.
func (c *Clusters) waits(ctx context.Context, n *v1beta1.VPSieNode, why launch.Refusal) {
	why.Message = text.Truncate(why.Message)
	c.decide(ctx, n, decision{reason.Hold, why.Code, why.Message, why.Parameters}, machine.Hindered(machine.Because(why.Code, why.Message), c.clock.Now()))
}

// decide has a machine wait, or no longer be launched. Where that cannot be written it is decided again.
func (c *Clusters) decide(ctx context.Context, n *v1beta1.VPSieNode, d decision, change machine.Change) bool {
	decided, err := c.store.Decide(ctx, n, d, change)
	if ignoreGone(err) != nil {
		c.log.WarnContext(ctx, "status not written; it is repeated", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyError, err)
	}
	if decided {
		c.log.WarnContext(ctx, "decision", "kind", string(d.Kind), telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyReason, string(d.Code), telemetry.KeyMessage, d.Message)
	}
	return decided
}

// update writes a status whose loss costs nothing but an explanation.
func (c *Clusters) update(ctx context.Context, n *v1beta1.VPSieNode, change machine.Change) {
	if _, err := c.store.Change(ctx, n, change); ignoreGone(err) != nil {
		c.log.WarnContext(ctx, "status not written; it is repeated", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyError, err)
	}
}

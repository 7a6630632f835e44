package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

const (
	offeringsAge = 5 * time.Minute
	// catalogueRetry is how often what is missing is asked for again. Calls that the circuit
	// breaker keeps back cost nothing.
	catalogueRetry    = 2 * time.Second
	unauthorizedRetry = 15 * time.Second
	// catalogueIdle is how often NodeGroups are looked through that nobody asked about.
	catalogueIdle = 15 * time.Second
)

// Target is a cluster and the datacenter whose sizes it can use.
type Target struct{ Cluster, Datacenter string }

// ClusterState is what VPSie last said of a cluster.
type ClusterState struct {
	// Known is false until VPSie answered.
	Known   bool
	Found   bool
	Message string
}

// Description is what can be launched for one target, and how far that can be trusted.
type Description struct {
	Health  Health
	Cluster ClusterState
	// Offerings are by id; they are unknown while ObservedAt is zero.
	Offerings  []Offering
	ObservedAt time.Time
	// Backoffs keep launches back, by size; 0 is every size.
	Backoffs map[int64]launch.Backoff
}

// HealthSource tells how the API is doing.
type HealthSource interface{ Health() Health }

// Catalogue keeps what VPSie sells. Its methods are safe for concurrent use.
type Catalogue struct {
	cloud  Cloud
	health HealthSource
	store  *Store
	clock  clock.WithTicker
	config Config
	log    *slog.Logger

	mu        sync.Mutex
	targets   map[Target]bool
	clusters  map[string]*clusterEntry
	offerings map[string]*offeringsEntry
	wake      chan struct{}
	// listen is told each listing, nil when nobody wants it.
	listen func(ctx context.Context, cluster string, listing Listing, at time.Time)
}

type clusterEntry struct {
	state   ClusterState
	checked time.Time
	failed  bool
}

type offeringsEntry struct {
	offerings []Offering
	// sizes are those of all offerings that were ever seen: one that is not sold any more may be requested all the same.
	sizes    map[int64]launch.Size
	observed time.Time
	tried    time.Time
}

// NewCatalogue returns a catalogue that knows nothing until Run.
func NewCatalogue(cloud Cloud, health HealthSource, store *Store, c clock.WithTicker, config Config, log *slog.Logger) *Catalogue {
	return &Catalogue{
		cloud: cloud, health: health, store: store, clock: c, config: config, log: log,
		targets: map[Target]bool{}, clusters: map[string]*clusterEntry{}, offerings: map[string]*offeringsEntry{}, wake: make(chan struct{}, 1),
	}
}

// Listen hands every complete listing to a function, with when it was requested. It must be called before Run.
func (c *Catalogue) Listen(listen func(ctx context.Context, cluster string, listing Listing, at time.Time)) {
	c.listen = listen
}

// Run keeps the catalogue fresh until ctx ends.
func (c *Catalogue) Run(ctx context.Context) error {
	for {
		c.collect(ctx)
		for _, target := range c.known() {
			c.refresh(ctx, target)
		}
		timer := c.clock.NewTimer(c.nextIn(c.clock.Now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.wake:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// nextIn is how long nothing is due.
func (c *Catalogue) nextIn(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := now.Add(catalogueIdle)
	for target := range c.targets {
		clusterDue, offeringsDue := c.due(target)
		for _, at := range []time.Time{clusterDue, offeringsDue} {
			if at.Before(due) {
				due = at
			}
		}
	}
	return max(due.Sub(now), catalogueRetry)
}

// due is when a target's cluster and its offerings are to be looked at. The caller holds the lock.
func (c *Catalogue) due(target Target) (cluster, offerings time.Time) {
	if e := c.clusters[target.Cluster]; e != nil {
		cluster = e.checked.Add(c.pollAfter(e))
	}
	if e := c.offerings[target.Datacenter]; e != nil {
		offerings = e.observed.Add(offeringsAge)
		if again := e.tried.Add(catalogueRetry); offerings.Before(again) {
			offerings = again
		}
	}
	if c.health.Health().Unauthorized && offerings.Before(cluster) {
		// The look at the cluster is what tells whether the credentials work again.
		offerings = cluster
	}
	return cluster, offerings
}

// awake has Run look at once.
func (c *Catalogue) awake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// collect learns the targets from the NodeGroups, and from the machines of groups that are gone. A cluster that
// VPSie knows stays one: machines of ours may be left in it that no object names.
func (c *Catalogue) collect(ctx context.Context) {
	var groups v1beta1.NodeGroupList
	if err := c.store.List(ctx, &groups, client.UnsafeDisableDeepCopy); err != nil {
		c.log.WarnContext(ctx, "NodeGroups cannot be read", telemetry.KeyError, err)
		return
	}
	var nodes v1beta1.VPSieNodeList
	if err := c.store.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		c.log.WarnContext(ctx, "VPSieNodes cannot be read", telemetry.KeyError, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := maps.Clone(c.targets)
	clear(c.targets)
	covered := map[string]bool{}
	add := func(t Target) { c.targets[t], covered[t.Cluster] = true, true }
	for i := range groups.Items {
		cluster := groups.Items[i].Spec.Cluster
		add(Target{cluster.Identifier, cluster.Datacenter})
	}
	for i := range nodes.Items {
		if cluster := nodes.Items[i].Spec.Cluster; !covered[cluster.Identifier] {
			add(Target{cluster.Identifier, cluster.Datacenter})
		}
	}
	for target := range before {
		if e := c.clusters[target.Cluster]; !covered[target.Cluster] && e != nil && e.state.Found {
			add(target)
		}
	}
}

func (c *Catalogue) known() []Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	targets := make([]Target, 0, len(c.targets))
	for target := range c.targets {
		targets = append(targets, target)
	}
	slices.SortFunc(targets, func(a, b Target) int {
		return slices.Compare([]string{a.Cluster, a.Datacenter}, []string{b.Cluster, b.Datacenter})
	})
	return targets
}

func (c *Catalogue) refresh(ctx context.Context, target Target) {
	now := c.clock.Now()
	c.mu.Lock()
	cluster, offerings := c.due(target)
	c.mu.Unlock()
	if !now.Before(cluster) {
		listing, err := c.cloud.Workers(ctx, target.Cluster)
		c.Observe(target.Cluster, err)
		if err == nil && c.listen != nil {
			c.listen(ctx, target.Cluster, listing, now)
		}
	}
	if !now.Before(offerings) && !c.health.Health().Unauthorized {
		c.readOfferings(ctx, target.Datacenter)
	}
}

// pollAfter is how long after its last look a cluster is looked at again. The more clusters there
// are, the longer: a quiet installation must not use up the account's requests. The caller holds the lock.
func (c *Catalogue) pollAfter(e *clusterEntry) time.Duration {
	switch {
	case e.failed && c.health.Health().Unauthorized:
		return min(unauthorizedRetry, c.config.ClusterPoll)
	case e.failed:
		return min(catalogueRetry, c.config.ClusterPoll)
	}
	return c.config.ClusterPoll * time.Duration(max(len(c.targets), 1))
}

func (c *Catalogue) readOfferings(ctx context.Context, datacenter string) {
	list, err := c.cloud.Offerings(ctx, datacenter)
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.offerings[datacenter]
	if e == nil {
		e = &offeringsEntry{sizes: map[int64]launch.Size{}}
		c.offerings[datacenter] = e
	}
	e.tried = now
	if err != nil {
		return // the old prices stand, and the health says why they are old
	}
	slices.SortFunc(list, func(a, b Offering) int { return int(a.ID - b.ID) })
	e.offerings, e.observed = list, now
	for _, o := range list {
		e.sizes[o.ID] = o.Size
	}
}

// Observe takes the outcome of a look at a cluster, whoever made it.
func (c *Catalogue) Observe(cluster string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.clusters[cluster]
	if e == nil {
		e = &clusterEntry{}
		c.clusters[cluster] = e
	}
	e.checked, e.failed = c.clock.Now(), false
	if err == nil {
		e.state = ClusterState{Known: true, Found: true}
		return
	}
	if failure := AsCloudError(err); failure.Failure == NotFound {
		e.state = ClusterState{Known: true, Message: failure.Message}
		return
	}
	e.failed = true
	c.awake()
}

// Describe answers from memory. A target that is asked for the first time is looked up soon.
func (c *Catalogue) Describe(ctx context.Context, target Target) (Description, error) {
	nodes, err := c.store.knownNodes(ctx)
	if err != nil {
		return Description{}, err
	}
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := Description{Health: c.health.Health(), Backoffs: map[int64]launch.Backoff{}}
	if e := c.clusters[target.Cluster]; e != nil {
		d.Cluster = e.state
	}
	if e := c.offerings[target.Datacenter]; e != nil {
		d.Offerings, d.ObservedAt = e.offerings, e.observed
	}
	if !d.Cluster.Known || d.ObservedAt.IsZero() {
		c.awake()
	}
	for key, backoff := range launch.Backoffs(machine.Failures(nodes, now)) {
		if key.Cluster == target.Cluster && backoff.Until.After(now) {
			d.Backoffs[key.Offering] = backoff
		}
	}
	return d, nil
}

// KnowsSizes reports whether the offerings of a datacenter were read since the process started.
func (c *Catalogue) KnowsSizes(datacenter string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.offerings[datacenter]
	return e != nil && !e.observed.IsZero()
}

// Size is what machines of an offering have that are requested now, zero where it was never sold since the process started.
func (c *Catalogue) Size(datacenter string, id int64) launch.Size {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.offerings[datacenter]; e != nil {
		return e.sizes[id]
	}
	return launch.Size{}
}

// Offering finds a size by id.
func (c *Catalogue) Offering(datacenter string, id int64) (Offering, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.offerings[datacenter]
	if e == nil {
		return Offering{}, false
	}
	for _, o := range e.offerings {
		if o.ID == id {
			return o, true
		}
	}
	return Offering{}, false
}

// Price is what the machine of an object costs now, in US dollars a month; empty while that is unknown.
func (c *Catalogue) Price(n *v1beta1.VPSieNode) string {
	if o, ok := c.Offering(n.Spec.Cluster.Datacenter, n.Spec.Offering); ok {
		return o.MonthlyPrice.Dollars()
	}
	return ""
}

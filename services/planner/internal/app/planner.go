// Package app makes plans when the cluster changes, and carries them out by writing intents.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

const (
	// unknownRetry is how soon a plan is made again that lacked what can be bought.
	unknownRetry = 300 * time.Millisecond
	// unreachedRetry is how soon a plan is made again for which the provisioner did not answer.
	unreachedRetry = time.Second
	// blindGap, or blindIntervals if those are longer, is the time without a plan after which nobody watched: the process
	// stood still, or what a plan depends on could not be read. It does not count.
	blindGap       = 30 * time.Second
	blindIntervals = 3
	// planIntervalMax keeps what only a plan looks at, such as the end of a pause, from waiting for longer.
	planIntervalMax = time.Minute
	// rolloutOver divides the batch's idle time once the last pod that was known to come has come.
	rolloutOver = 5
	// planTimeout is shorter than a leader may be out of touch with its Lease, so that a planner that
	// was frozen does not write beside its successor for long.
	planTimeout = 5 * time.Second
	writersMax  = 8
)

// Config says how the planner batches.
type Config struct {
	BatchIdle      time.Duration `help:"How long nothing may change before waiting pods are planned for." default:"100ms"`
	BatchMax       time.Duration `help:"How long waiting pods are gathered at most." default:"1s"`
	PlanInterval   time.Duration `help:"How often a plan is made while nothing seems to change: what VPSie sells, its health and a pause are looked at then." default:"10s"`
	LaunchDeadline time.Duration `help:"How long a machine may take from its purchase to a Ready Node." default:"15m"`
	SoftCost       int           `help:"How much more, in percent, a plan may cost for granting what pods only prefer." default:"5"`
	PriorityCutoff int32         `help:"Priority below which pods neither cause purchases nor keep a node." default:"-10"`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if c.BatchIdle < 0 || c.BatchMax < c.BatchIdle {
		problems = append(problems, errors.New("batch-idle must not be negative, nor longer than batch-max"))
	}
	if c.PlanInterval < time.Second || c.PlanInterval > planIntervalMax {
		problems = append(problems, fmt.Errorf("plan-interval %s is not between 1s and %s: each plan reads the API server, and a pause is only looked at by a plan", c.PlanInterval, planIntervalMax))
	}
	if c.SoftCost < 0 {
		problems = append(problems, errors.New("soft-cost must not be negative"))
	}
	if c.LaunchDeadline <= 0 {
		problems = append(problems, errors.New("launch-deadline must be positive"))
	}
	return errors.Join(problems...)
}

// Feed is the copy of the cluster that plans are made on.
type Feed interface {
	// State returns the newest complete state, or feed.ErrStale.
	State(now time.Time) (*feed.State, error)
}

// Catalogues tells what can be bought.
type Catalogues interface {
	// Describe answers for one cluster; what is not known is marked so, and an error means that
	// nobody answers.
	Describe(ctx context.Context, cluster, datacenter string) (scaling.Catalogue, error)
}

// Announcer wakes the provisioner.
type Announcer interface {
	// Publish stores a message or returns an error after a short time.
	Publish(ctx context.Context, t bus.Topic, namespace, nodeGroup, id string, m proto.Message) error
}

// Brake tells whether a person stopped everything.
type Brake interface {
	// State answers as of a moment ago; an error means that nobody knows.
	State(ctx context.Context) (brake.State, error)
}

// Records keeps decision records. It never blocks.
type Records interface {
	Decided(ctx context.Context, namespace, group string, record *busv1.DecisionRecord)
}

// Planner makes and carries out plans. Only one may run.
type Planner struct {
	feed       Feed
	catalogues Catalogues
	store      client.Client
	live       client.Reader
	brake      Brake
	announcer  Announcer
	records    Records
	events     events.EventRecorder
	metrics    *Metrics
	clock      clock.WithTicker
	config     Config
	log        *slog.Logger

	changed chan struct{}
	// fed is the feed's count of changes when it last told of one.
	fed     atomic.Uint64
	memory  scaling.Memory
	overlay overlay
	said    said
	known   map[target]catalogueEntry
	// planned is when the last plan was made.
	planned time.Time
	// blindSince is since when what can be bought for some group is unknown, zero while it is known.
	blindSince time.Time
	// unwritten are decisions that the group's status does not show yet, oldest first.
	unwritten map[string][]v1beta1.DecisionSummary
}

// NewPlanner returns a planner that does nothing until Run. It plans on the store's cache and reads live what the
// cache does not show in time.
func NewPlanner(f Feed, catalogues Catalogues, store client.Client, live client.Reader, b Brake, announcer Announcer, records Records, recorder events.EventRecorder, metrics *Metrics, c clock.WithTicker, config Config, log *slog.Logger) *Planner {
	return &Planner{
		feed: f, catalogues: catalogues, store: store, live: live, brake: b, announcer: announcer, records: records, events: recorder, metrics: metrics,
		clock: c, config: config, log: log, changed: make(chan struct{}, 1), overlay: newOverlay(), said: newSaid(), known: map[target]catalogueEntry{},
		unwritten: map[string][]v1beta1.DecisionSummary{},
	}
}

// Changed says that the feed, a NodeGroup or a VPSieNode changed. It never blocks and may be called
// from anywhere.
func (p *Planner) Changed() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// FeedChanged says that the feed showed a batch. One that changes nothing is a sign of life only and
// wakes nobody. It never blocks.
func (p *Planner) FeedChanged() {
	state, err := p.feed.State(p.clock.Now())
	if err != nil || p.fed.Swap(state.Changes) != state.Changes {
		p.Changed()
	}
}

// Run plans until ctx ends: after each change, once it has settled, and from time to time.
func (p *Planner) Run(ctx context.Context) error {
	wait := time.Duration(0)
	for {
		timer := p.clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		case <-p.changed:
			timer.Stop()
			if !p.settle(ctx) {
				return nil
			}
		}
		wait = p.pass(ctx)
	}
}

// settle waits until pods stop to arrive, so that one decision serves them all: until the pressure
// has not changed for the batch's idle time and the scheduler has looked at every new shape, but no
// longer than the batch's maximum. It reports false when ctx ends.
func (p *Planner) settle(ctx context.Context) bool {
	end := p.clock.NewTimer(p.config.BatchMax)
	defer end.Stop()
	idle := p.clock.NewTimer(p.config.BatchIdle)
	defer func() { idle.Stop() }()
	last := p.pressure()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end.C():
			return true
		case <-p.changed:
			if now := p.pressure(); now != last {
				wait := p.config.BatchIdle
				if last.arriving > 0 && now.arriving == 0 {
					wait /= rolloutOver
				}
				last = now
				idle.Stop()
				idle = p.clock.NewTimer(wait)
			}
		case <-idle.C():
			if last.arriving == 0 {
				return true
			}
			idle = p.clock.NewTimer(p.config.BatchIdle)
			last = p.pressure()
		}
	}
}

// pressure is how many pods wait, and how many the scheduler has not looked at.
type pressure struct{ pods, shapes, arriving int }

func (p *Planner) pressure() pressure {
	state, err := p.feed.State(p.clock.Now())
	if err != nil {
		return pressure{}
	}
	out := pressure{shapes: len(state.Pending), arriving: state.Arriving}
	for _, pending := range state.Pending {
		out.pods += pending.Count
	}
	return out
}

// pass makes one plan and carries it out. It returns when to make the next.
func (p *Planner) pass(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	began := p.clock.Now()
	snapshot, again, err := p.gather(ctx, began)
	if errors.Is(err, feed.ErrStale) {
		// Time that was not watched does not count.
		p.memory = p.memory.Blind()
		p.hold(ctx, "feed", reason.HoldFeedStale, "nothing is decided until the observer's feed is current: "+err.Error())
		return time.Second
	}
	if err != nil {
		p.log.WarnContext(ctx, "no plan is made", telemetry.KeyError, err)
		return time.Second
	}
	switch {
	case again == 0:
		p.blindSince = time.Time{}
	case p.blindSince.IsZero():
		p.blindSince = began
	}
	if snapshot.Paused != "" {
		p.hold(ctx, "pause", reason.HoldPaused, snapshot.Paused)
	}
	if !p.planned.IsZero() && began.Sub(p.planned) > max(blindGap, blindIntervals*p.config.PlanInterval) {
		p.memory = p.memory.Blind()
	}
	p.planned = began
	policy := scaling.Policy{SoftShare: p.config.SoftCost, PriorityCutoff: p.config.PriorityCutoff}
	plan := scaling.Propose(snapshot, policy, p.memory, began)
	p.metrics.planned(p.clock.Now().Sub(began))
	p.memory = plan.Memory
	p.carryOut(ctx, snapshot, plan)
	p.tell(ctx, snapshot, plan)
	p.writeStatus(ctx, snapshot, plan)
	return p.nextIn(plan, again, began)
}

// blindFor reports whether what can be bought has been unknown for a while.
func (p *Planner) blindFor(d time.Duration) bool {
	return !p.blindSince.IsZero() && p.clock.Since(p.blindSince) >= d
}

func (p *Planner) nextIn(plan scaling.Plan, again time.Duration, now time.Time) time.Duration {
	wait := p.config.PlanInterval
	if again > 0 {
		wait = again
	}
	if !plan.Next.IsZero() {
		wait = min(wait, max(plan.Next.Sub(now), 0)+time.Millisecond)
	}
	return wait
}

// hold says once that nothing is decided, and why.
func (p *Planner) hold(ctx context.Context, subject string, code reason.Code, why string) {
	if p.said.change(subject, string(code)) {
		p.log.WarnContext(ctx, "nothing is decided", telemetry.KeyReason, string(code), telemetry.KeyMessage, why)
		p.recordHold(ctx, code, why)
	}
}

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

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/burst"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

const (
	// unknownRetry is how soon a plan is made again that lacked what can be launched.
	unknownRetry = 300 * time.Millisecond
	// unreachedRetry is how soon a plan is made again for which the provisioner did not answer.
	unreachedRetry = time.Second
	// blindGap, or blindIntervals if those are longer, is the time without a plan after which nobody watched: the process
	// stood still, or what a plan depends on could not be read. It does not count.
	blindGap       = 30 * time.Second
	blindIntervals = 3
	// planIntervalMax keeps what only a plan looks at, such as the end of a pause, from waiting for longer.
	planIntervalMax = time.Minute
	// tookMax bounds the rest that the planner takes after a plan, which is as long as the plan took.
	tookMax = 500 * time.Millisecond
	// planTimeout is shorter than a leader may be out of touch with its Lease, so that a planner that
	// was frozen does not write beside its successor for long.
	planTimeout = 5 * time.Second
	writersMax  = 8
)

// Config says how the planner batches.
type Config struct {
	BatchIdle      time.Duration `help:"How long no pod may arrive before a short burst counts as over. The first machines, those that any plan for the whole burst contains, are launched after this time as well." default:"100ms"`
	BatchMax       time.Duration `help:"Longest wait for the end of a burst." default:"10s"`
	PlanInterval   time.Duration `help:"How often, from 1s to 1m, to plan while nothing changes in the cluster. The catalogue, VPSie's health and a pause are checked then." default:"10s"`
	LaunchDeadline time.Duration `help:"Longest time from a launch request to a Ready Node." default:"15m"`
	SoftCost       int           `help:"How much more, in percent, a plan may cost to honour what pods only prefer." default:"5"`
	PriorityCutoff int32         `help:"Priority below which pods neither cause launches nor keep a Node." default:"-10"`
	Nominate       bool          `help:"Nominate pods to the machines launched for them, so that kube-scheduler binds them as planned. Switching it off removes our nominations." default:"true" negatable:""`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if c.BatchIdle < 0 || c.BatchMax < c.BatchIdle {
		problems = append(problems, errors.New("batch-idle must not be negative, nor longer than batch-max"))
	}
	if c.PlanInterval < time.Second || c.PlanInterval > planIntervalMax {
		problems = append(problems, fmt.Errorf("plan-interval %s is not between 1s and %s: each plan reads from the API server, and only a plan notices a pause", c.PlanInterval, planIntervalMax))
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

// Catalogues tells what can be launched.
type Catalogues interface {
	// Describe answers for one cluster; what is not known is marked so, and an error means that
	// nobody answers.
	Describe(ctx context.Context, cluster, datacenter string) (fleet.Catalogue, error)
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

// Leadership tells whether this planner is the elected one.
type Leadership interface {
	// Until returns until when no other planner is elected, by the clock of the process; an error means that this one is not, or that
	// nobody knows.
	Until(ctx context.Context) (time.Time, error)
}

// Nominator tells kube-scheduler where pods were planned.
type Nominator interface {
	// Want replaces the nominations that are to be written. It never blocks.
	Want(nominations []scaling.Nomination)
	// Amend shows waiting pods as nominated where they are and the feed does not show it yet, and names the Nodes to which nominations are being
	// written. What it is given is only read.
	Amend(pending map[scheduling.ShapeID]*scheduling.Pending) (amended map[scheduling.ShapeID]*scheduling.Pending, underway map[string]bool)
}

// Statuses shows in the status of NodeGroups how they are.
type Statuses interface {
	// Report says how a group is now, which is only read. It never blocks.
	Report(group *v1beta1.NodeGroup, report scaling.Report)
	// Hold says of a group, which is only read, that nothing is decided for it, and why. It never blocks.
	Hold(group *v1beta1.NodeGroup, why scaling.Refusal)
	// Decided adds a decision to what the status of a group shows next. It never blocks.
	Decided(group string, decision v1beta1.DecisionSummary)
}

// Records puts decision records on record, in order. Only Displace blocks.
type Records interface {
	// Record takes a record and calls told once it is on record; Tell calls told once all before are. They report false, and do
	// nothing, when there is no room.
	Record(f facts.Fact, told func()) bool
	Tell(told func()) bool
	// Carried takes a record that VPSieNodes carry, and takes it off them once it is on record. It may be called again.
	Carried(f facts.Fact, carriers ...client.ObjectKey)
	// Displace puts on record what an object has no room for any more, after a short time, or drops and counts it.
	Displace(ctx context.Context, displaced ...facts.Fact)
}

// Planner makes and carries out plans. Only one may run.
type Planner struct {
	feed       Feed
	catalogues Catalogues
	store      client.Client
	live       client.Reader
	brake      Brake
	leadership Leadership
	announcer  Announcer
	records    Records
	events     events.EventRecorder
	metrics    *Metrics
	nominator  Nominator
	statuses   Statuses
	// gate shows in statuses what is refused.
	gate *gate
	// explanations answer what the last plan says.
	explanations *Explanations
	clock        clock.WithTicker
	config       Config
	log          *slog.Logger

	// changed tells of NodeGroups and VPSieNodes, fedAnew of the feed.
	changed, fedAnew chan struct{}
	// changedAt is since when a change waits for a plan, zero while none does.
	changedAt time.Time
	// fed is the feed's count of changes when it last told of one.
	fed     atomic.Uint64
	memory  scaling.Memory
	overlay overlay
	// unclear tells people of acts, by the id of the decision, whose writes were not surely carried out.
	unclear map[string]func()
	said    said
	// unrecorded says that not all that is refused is on record or on its way there, so that no condition speaks of what is new.
	unrecorded bool
	known      map[target]catalogueEntry
	// planned is when the last plan was made, and took how long it took, tookMax at most.
	planned time.Time
	took    time.Duration
	burst   burst.Burst
	// blindSince is since when what can be launched for some group is unknown, zero while it is known.
	blindSince time.Time
	// heldSince is since when no plan could be made, zero while one can.
	heldSince time.Time
}

// NewPlanner returns a planner that does nothing until Run. It plans on the store's cache and reads live what the
// cache does not show in time.
func NewPlanner(f Feed, catalogues Catalogues, store client.Client, live client.Reader, b Brake, leadership Leadership, announcer Announcer, records Records, recorder events.EventRecorder, metrics *Metrics, nominator Nominator, statuses Statuses, explanations *Explanations, c clock.WithTicker, config Config, log *slog.Logger) *Planner {
	return &Planner{
		feed: f, catalogues: catalogues, store: store, live: live, brake: b, leadership: leadership, announcer: announcer, records: records, events: recorder, metrics: metrics, nominator: nominator, statuses: statuses, gate: newGate(statuses, records), explanations: explanations,
		clock: c, config: config, log: log, changed: make(chan struct{}, 1), fedAnew: make(chan struct{}, 1), overlay: newOverlay(), unclear: map[string]func(){}, said: newSaid(), known: map[target]catalogueEntry{},
	}
}

// Changed says that a NodeGroup or a VPSieNode changed. It never blocks and may be called from anywhere.
func (p *Planner) Changed() { wake(p.changed) }

// FeedChanged says that the feed showed a batch. One that changes nothing is a sign of life only and
// wakes nobody. It never blocks.
func (p *Planner) FeedChanged() {
	state, err := p.feed.State(p.clock.Now())
	if err != nil || p.fed.Swap(state.Changes) != state.Changes {
		wake(p.fedAnew)
	}
}

func wake(waiting chan struct{}) {
	select {
	case waiting <- struct{}{}:
	default:
	}
}

// Run plans until ctx ends: while demand grows as a burst asks for it, otherwise soon after each change and from time to time.
func (p *Planner) Run(ctx context.Context) error {
	next := p.clock.Now()
	for ctx.Err() == nil {
		now := p.clock.Now()
		if pressure, known := p.pressure(now); known {
			p.burst = p.burst.See(pressure, now)
		}
		step, due := p.burst.Step(burst.Policy{Idle: p.config.BatchIdle, Max: p.config.BatchMax}, now)
		// What is not a launch does not wait for the end of a burst.
		other := earliest(next, p.soon())
		if step == burst.None || step == burst.Hold && other.Before(due) {
			due = other
		}
		extent, has := extents[step]
		if !has && !now.Before(due) {
			extent, has = scaling.LaunchNothing, true
			if step == burst.None {
				extent = scaling.LaunchSettled
			}
		}
		if has {
			p.changedAt = time.Time{}
			wait, planned := p.pass(ctx, extent)
			next = now.Add(wait)
			if planned {
				p.burst = p.burst.Planned(step, now)
			} else if step != burst.None {
				p.rest(ctx, wait) // the step is still to be taken
			}
			p.took = min(p.clock.Since(now), tookMax)
			continue
		}
		timer := p.clock.NewTimer(due.Sub(now))
		select {
		case <-ctx.Done():
		case <-timer.C():
		case <-p.changed:
			p.noteChange(p.clock.Now())
		case <-p.fedAnew:
			p.noteChange(p.clock.Now())
		}
		timer.Stop()
	}
	return nil
}

func (p *Planner) noteChange(now time.Time) {
	if p.changedAt.IsZero() {
		p.changedAt = now
	}
}

// extents are how much a plan launches at the steps of a burst that make one.
var extents = map[burst.Step]scaling.Extent{burst.Early: scaling.LaunchSure, burst.Whole: scaling.LaunchAll}

// soon is when a change that waits is to be planned for, zero when none does.
func (p *Planner) soon() time.Time {
	if p.changedAt.IsZero() {
		return time.Time{}
	}
	return p.changedAt.Add(max(p.config.BatchIdle, p.took))
}

// rest waits, or returns early when ctx ends.
func (p *Planner) rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-p.clock.After(d):
	}
}

// earliest is the earlier of two times, of which soon may be zero for never.
func earliest(next, soon time.Time) time.Time {
	if soon.IsZero() || next.Before(soon) {
		return next
	}
	return soon
}

// pressure is the demand that the feed shows; false where that is stale.
func (p *Planner) pressure(now time.Time) (burst.Pressure, bool) {
	state, err := p.feed.State(now)
	if err != nil {
		return burst.Pressure{}, false
	}
	return burst.Pressure{Arrived: state.Arrived, Missing: state.Arriving}, true
}

// pass makes one plan and carries it out. It returns when to make the next, and whether it made one.
func (p *Planner) pass(ctx context.Context, extent scaling.Extent) (time.Duration, bool) {
	ctx, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	began := p.clock.Now()
	p.unrecorded = false
	snapshot, again, err := p.gather(ctx, began)
	snapshot.Extent = extent
	if err != nil {
		p.standStill(ctx, err, began)
		return time.Second, false
	}
	p.heldSince = time.Time{}
	p.holdsNot(saidObjects)
	p.resumeRecords(ctx, snapshot.Machines)
	switch {
	case again == 0:
		p.blindSince = time.Time{}
	case p.blindSince.IsZero():
		p.blindSince = began
	}
	if snapshot.Paused != "" {
		p.hold(ctx, saidPause, scaling.Refusal{Code: reason.HoldPaused, Message: snapshot.Paused, Parameters: reason.UntilOf(snapshot.PausedUntil)}, nil)
	}
	if !p.planned.IsZero() && began.Sub(p.planned) > max(blindGap, blindIntervals*p.config.PlanInterval) {
		p.memory = p.memory.Blind()
	}
	p.planned = began
	policy := scaling.Policy{SoftShare: p.config.SoftCost, Policy: simulation.Policy{PriorityCutoff: p.config.PriorityCutoff, Nominate: p.config.Nominate}}
	plan := scaling.Propose(snapshot, policy, p.memory, began)
	p.metrics.planned(p.clock.Now().Sub(began))
	leading, stop, err := p.leading(ctx, plan)
	if err != nil {
		p.log.WarnContext(ctx, "plan dropped: this planner may not be the leader; it is made again", telemetry.KeyError, err)
		p.explanations.hold(p.hold(ctx, saidLeading, scaling.Refusal{Code: reason.HoldNotLeading, Message: "the planner is not sure that it leads, so its plan is dropped"}, err))
		return time.Second, false
	}
	defer stop()
	p.holdsNot(saidLeading)
	p.explanations.hold(scaling.Refusal{})
	p.memory = plan.Memory
	p.nominator.Want(plan.Nominations)
	p.carryOut(leading, snapshot, plan)
	if extent < scaling.LaunchSure && plan.Extent < scaling.LaunchSure { // what is held back is not refused
		p.tell(ctx, snapshot, plan)
		p.report(snapshot, plan)
		p.explanations.show(snapshot, plan, began)
	}
	return p.nextIn(plan, again, began), true
}

// report says of each group that the plan saw how it is.
func (p *Planner) report(s scaling.Snapshot, plan scaling.Plan) {
	there := map[string]bool{}
	for i := range s.Groups {
		group := s.Groups[i].NodeGroup
		name := group.Namespace + "/" + group.Name
		if report, ok := plan.Groups[name]; ok {
			p.gate.report(group, report, !p.unrecorded)
		}
		there[name] = true
	}
	p.gate.keep(there)
}

// blindFor reports whether what can be launched has been unknown for a while.
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

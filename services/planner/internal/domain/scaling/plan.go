package scaling

import (
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// Plan is what to do, and why, for one snapshot.
type Plan struct {
	// Basis is the revision of the feed that the plan was made on.
	Basis uint64
	// Launches are the machines to launch, one entry a group.
	Launches []Launch
	// Retirements are the machines to retire, one entry a machine.
	Retirements []Retirement
	// Extent is how much the plan launched at once, in the end.
	Extent Extent
	// Nominations are what to tell kube-scheduler, those to clear first.
	Nominations []Nomination
	// Nominated are the machines of which every pod that is to be is nominated, and whose intents do not say so yet.
	Nominated []*v1beta1.VPSieNode
	// Shapes tells for each waiting shape what becomes of it.
	Shapes map[scheduling.ShapeID]Fate
	// Refused tells for each group, as namespace/name, that stays below its minimum or can launch nothing at all, why.
	Refused map[string]GroupRefusal
	// Kept tells for each managed node that stays why it does, by name of the node.
	Kept map[string]Refusal
	// NodeGroups is the group of each managed node, as namespace/name, by name of the node.
	NodeGroups map[string]string
	// Groups tells what each group's status should say.
	Groups map[string]Report
	// Memory is for the next plan.
	Memory Memory
	// Next is when time alone may change the plan, zero when it cannot.
	Next time.Time
}

// Acts reports whether the plan launches or retires anything.
func (p *Plan) Acts() bool {
	return slices.ContainsFunc(p.Launches, func(l Launch) bool { return !l.Recommended }) ||
		slices.ContainsFunc(p.Retirements, func(r Retirement) bool { return !r.Recommended })
}

// Launch is the machines that one group launches.
type Launch struct {
	// Group is namespace/name.
	Group string
	// Recommended says that the group's mode keeps them from being launched.
	Recommended bool
	Reason      reason.Code
	Message     string
	// Parameters are those of the reason.
	Parameters reason.Values
	// Machines are in the order in which they are launched.
	Machines []Machine
	// Pods counts the pods that the machines serve, by shape.
	Pods map[scheduling.ShapeID]int
	// MonthlyPrice is the price of all machines together.
	MonthlyPrice money.Micros
	// Candidates are the sizes that were weighed.
	Candidates []Candidate
}

// Machine is one machine to launch.
type Machine struct {
	Offering     int64
	OfferingName string
	MonthlyPrice money.Micros
	// Planned are the pods that it is for, by scheduling.Item.Placement.
	Planned map[string]int
}

// Candidate is a size that was weighed for a decision.
type Candidate struct {
	Group        string
	Offering     string
	Nodes        int
	MonthlyPrice money.Micros
	Rejection    reason.Code
	Message      string
}

// Retirement takes one machine away.
type Retirement struct {
	// Group is namespace/name; Machine is the VPSieNode's name in the group's namespace.
	Group, Machine string
	// Recommended says that the group's mode keeps the machine from being retired.
	Recommended bool
	Kind        v1beta1.RetirementKind
	Node        string
	Reason      reason.Code
	Message     string
	// MonthlyPrice is what goes with the machine, zero where that is not known.
	MonthlyPrice money.Micros
	// Pods is how many pods have to move.
	Pods int
}

// Refusal says why something is not done.
type Refusal struct {
	Code    reason.Code
	Message string
	// Parameters are those of the code. They are only read.
	Parameters reason.Values
}

// GroupRefusal says why nothing is launched for a group itself.
type GroupRefusal struct {
	Refusal
	// Missing is how many nodes the group stays below its minimum, zero where it can launch nothing and needs nothing.
	Missing int
}

// Fate is what becomes of the waiting pods of a shape.
type Fate struct {
	Pods int
	// OnExisting and OnLaunching count the pods that nodes there and on their way serve. Pods that are nominated to a
	// machine on its way count as OnExisting.
	OnExisting, OnLaunching int
	// Nominated counts the pods that are nominated to Nodes, which are served by these.
	Nominated int
	// Left counts the pods that nothing serves, and Refusal says why.
	Left    int
	Refusal Refusal
	// Held counts the pods for which a launch is held back while machines fill.
	Held int
	// Nearest is the group, as namespace/name, that is nearest to serving what is left; empty when there is none.
	Nearest string
	// Arriving says that the scheduler has not looked at the pods yet, so that nothing is said about them.
	Arriving bool
	// ByGroup is the refusal of each group, by namespace/name.
	ByGroup map[string]Refusal
	// Candidates are sizes that were weighed for what is left: of each group the one that is nearest to serving it, and then others.
	Candidates []Candidate
	// Launch is the group, as namespace/name, that launches for the shape; empty when none does.
	Launch string
}

// Report is what a group's status says of a plan.
type Report struct {
	Nodes, ReadyNodes, LaunchingNodes, LeavingNodes, DesiredNodes, PendingPods int
	// MonthlyCost is what the machines cost whose price is known; CostKnown says that it is of all.
	MonthlyCost money.Micros
	CostKnown   bool
	Conditions  []Condition
}

// Truth is the status of a condition.
type Truth int

// What a condition can be.
const (
	Unknown Truth = iota
	False
	True
)

// Condition is a statement about a group.
type Condition struct {
	Type    string
	Status  Truth
	Reason  string
	Message string
}

// Memory is what a plan hands to the next. It starts empty with each process.
type Memory struct {
	// Unneeded is since when a node could have gone, by name. Time that was not watched does not
	// count, so it is forgotten after each gap in the feed.
	Unneeded map[string]time.Time
	// Unready is since when a machine in use has had no Ready Node, by namespace/name of the VPSieNode.
	// It is forgotten like Unneeded, and so is Outage.
	Unready map[string]time.Time
	// Outage is whether machines fail together.
	Outage outage.Watch
	// Repaired is when the last repair in a group began, by namespace/name.
	Repaired map[string]time.Time
	// Tried is when a machine of a group was last repaired although many failed together, by namespace/name.
	Tried map[string]time.Time
	// Settling is how far machines that opened have filled, for which launches wait.
	Settling Settling
	// Learned is what nodes of each kind turned out to have.
	Learned map[simulation.Kind]simulation.Learned
}

// Blind is the memory after a gap in what was watched: nothing that takes time has made any progress.
func (m Memory) Blind() Memory {
	return Memory{Learned: m.Learned, Repaired: m.Repaired, Tried: m.Tried}
}

// Policy is what the operator decides for all groups together. The zero value is not useful; see DefaultPolicy.
type Policy struct {
	// SoftShare is how much more, in percent, a plan may cost for granting what pods only prefer.
	SoftShare int
	simulation.Policy
}

// DefaultPolicy is the policy of an installation that sets none; the cutoff is Cluster Autoscaler's.
var DefaultPolicy = Policy{SoftShare: packing.SoftShareDefault, Policy: simulation.Policy{PriorityCutoff: disruption.PriorityCutoff, Nominate: true}}

// Propose makes the plan for a snapshot. It depends on its arguments alone.
func Propose(s Snapshot, policy Policy, m Memory, now time.Time) Plan {
	p := newPlanner(s, policy, m, now)
	p.scaleUp(m)
	p.nominate()
	p.plan.Extent = p.snapshot.Extent
	if s.Paused == "" {
		p.repair(m)
		p.scaleDown(m)
	} else {
		p.plan.Memory.Repaired, p.plan.Memory.Tried = m.Repaired, m.Tried
		p.plan.Memory = p.plan.Memory.Blind()
	}
	p.report()
	return p.plan
}

// planner is the work on one plan.
type planner struct {
	snapshot *Snapshot
	policy   Policy
	now      time.Time
	plan     Plan

	cluster *simulation.Cluster
	// closed says of each group why nothing may be launched for it, by name; absent means open.
	closed map[string]Refusal
	counts map[string]fleet.Counts
	// offerings are the sizes that each group may launch, by name, those in backoff left out.
	offerings map[string][]*fleet.Offering
	packing   packing.Plan
	// held counts the pods by shape for which launches are held back.
	held map[scheduling.ShapeID]int
	// awaited are the nodes that waiting pods will go to.
	awaited map[int]bool
	limits  map[string]bounds.Limit
	// fleet are the machines that should have a Ready Node, and failing counts those without, by group.
	fleet   []outage.Machine
	failing map[string]int
	// least is the least priority of the pods on all nodes, nil until somebody asks.
	least *int32
}

// newPlanner starts the work on a plan: it finds out what nodes become, which machines fail and what each group may do, and starts
// the simulation.
func newPlanner(s Snapshot, policy Policy, m Memory, now time.Time) *planner {
	policy.Settled = m.Settling.isQuiet(now)
	cluster := simulation.New(s.Snapshot, policy.Policy, m.Learned, now)
	s.Snapshot = *cluster.Snapshot
	p := &planner{
		snapshot: &s, policy: policy, now: now, cluster: cluster,
		closed: map[string]Refusal{}, counts: map[string]fleet.Counts{}, offerings: map[string][]*fleet.Offering{}, held: map[scheduling.ShapeID]int{},
		plan: Plan{
			Basis: s.Revision, Shapes: map[scheduling.ShapeID]Fate{}, Refused: map[string]GroupRefusal{}, Kept: map[string]Refusal{}, NodeGroups: map[string]string{},
			Groups: map[string]Report{}, Memory: Memory{Unneeded: map[string]time.Time{}},
		},
	}
	for _, m := range s.Machines {
		if name := fleet.NodeName(m); name != "" {
			p.plan.NodeGroups[name] = fleet.GroupOf(m)
		}
	}
	for _, g := range cluster.Groups {
		p.counts[g.Key()] = s.Count(g)
	}
	p.plan.Memory.Learned = cluster.Learned
	p.due(cluster.Next)
	p.fleet, p.failing = cluster.Survey()
	p.plan.Memory.Outage = m.Outage.Look(p.fleet, now)
	for _, g := range p.cluster.Groups {
		admitted := p.admit(g)
		p.offerings[g.Key()] = admitted.offerings
		for _, o := range admitted.paused {
			p.due(o.BackoffUntil)
		}
		if admitted.refusal.Code != "" {
			p.closed[g.Key()] = admitted.refusal
		}
	}
	p.limits = p.limitsOf()
	return p
}

func (p *planner) due(at time.Time) {
	if at.After(p.now) && (p.plan.Next.IsZero() || at.Before(p.plan.Next)) {
		p.plan.Next = at
	}
}

package disruption

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
)

// View is what the guards judge: a machine, its Node and what is known around it. Who decides fills what the guards for its kinds ask
// for at Decide, who acts what they ask for at Act and Delete; what is left out is refused.
//
// A few fields are no facts, since their zero value forbids most.
type View struct {
	Kind    v1beta1.RetirementKind
	Now     time.Time
	Machine *v1beta1.VPSieNode

	// Paused is the refusal of a pause that is on, the zero Refusal where none is.
	Paused Fact[Refusal]
	// Closed is why nothing is launched or removed for the group, whatever it allows: its settings contradict each other, or VPSie cannot
	// be asked.
	Closed Fact[Refusal]
	// Group is the machine's NodeGroup, nil when it is gone.
	Group Fact[*v1beta1.NodeGroup]
	// IsMissing says that VPSie itself says that the machine does not exist.
	IsMissing bool
	// Node is nil when there is none.
	Node Fact[*NodeFacts]
	// Pods are those that would have to move and were not told to end.
	Pods Fact[[]Pod]
	// IsEvicting says that pods were told to end already.
	IsEvicting bool
	// Utilization is what the pods request of the Node, in percent.
	Utilization Fact[int64]
	// Budgets are the disruptions that each PodDisruptionBudget allows, by namespace/name; one that is not named allows none.
	Budgets map[string]int
	// IsAwaited says that pods wait which the Node will take.
	IsAwaited Fact[bool]
	// Staying counts the group's other machines whose Nodes are Ready and that nobody asked to leave, as many as minNodes needs at least;
	// Leaving counts those that are asked to.
	Staying, Leaving Fact[int]
	// Replacements are the machines that replace this one, Replaced those that this one replaces, as far as their objects exist.
	Replacements Fact[[]Replacement]
	Replaced     Fact[[]Replaced]
	// UnneededSince and UnreadySince are since when the machine could go, and since when it does not work.
	UnneededSince, UnreadySince Fact[time.Time]
	// NoPlace says why pods of the Node find no place on others, empty when all do. It is asked late, since it is costly.
	NoPlace Fact[func() string]
	// Together says why no machine is replaced while many fail, and when that may end; empty when one may be. It is asked last.
	Together Fact[func() (why string, until time.Time)]
	// Busy says which other machine of the group is being replaced, empty when none is.
	Busy Fact[string]
}

// NodeFacts are what is known of the Node of a machine.
type NodeFacts struct {
	Name    string
	IsReady Fact[bool]
	// IsBecoming says that it still gets what nodes of its kind have: a device, a label, or an agent that takes its taint off.
	IsBecoming Fact[bool]
	// Protection forbids to drain it, empty where nothing does.
	Protection Fact[reason.Code]
}

// Pod is a pod that would have to move, or several of one shape.
type Pod struct {
	// Name is for people, Reference namespace/name for programs; that of several pods of one shape is empty.
	Name, Reference string
	// Protection forbids to move it, empty where nothing does.
	Protection Fact[reason.Code]
	// Unjudged says why nobody knows where it could go, empty where that is known.
	Unjudged Fact[string]
	// Budgets are the PodDisruptionBudgets that cover it, as namespace/name.
	Budgets Fact[[]string]
}

// Replacement is a machine that takes the place of another.
type Replacement struct {
	Name string
	// IsReady says that its Node takes pods, HasFailed that it never will or does not stay.
	IsReady, HasFailed bool
	// ReadyAt is when its Node was first Ready, zero where it was not yet.
	ReadyAt time.Time
	// DueAt is by when its Node must be Ready, and LaunchDeadline how long that may take.
	DueAt          time.Time
	LaunchDeadline time.Duration
}

// Replaced is a machine whose place another takes.
type Replaced struct {
	Name string
	// Stays says that nobody asked it to go.
	Stays bool
}

// ReplacementOf is a machine that takes the place of another, which isReady if its Node takes pods and hasFailed if it never will or does not
// stay.
func ReplacementOf(m *v1beta1.VPSieNode, isReady, hasFailed bool) Replacement {
	r := Replacement{Name: m.Name, IsReady: isReady, HasFailed: hasFailed, DueAt: outage.JoinDeadline(m), LaunchDeadline: m.Spec.LaunchDeadline.Duration}
	if at := m.Status.ReadyAt; at != nil {
		r.ReadyAt = at.Time
	}
	return r
}

// Replaces reports whether one machine was launched in the place of another.
func Replaces(replacement, replaced *v1beta1.VPSieNode) bool {
	if replacement.Namespace != replaced.Namespace || replacement.Name == replaced.Name {
		return false
	}
	for _, name := range replacement.Spec.Replaces {
		if name == replaced.Name {
			return true
		}
	}
	return false
}

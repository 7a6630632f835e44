package disruption

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// View is what the guards judge: a machine, its Node and what is known around it. Who decides fills what the guards for its kinds ask
// for at Decide, who acts what they ask for at Act and Delete.
type View struct {
	Kind v1beta1.RetirementKind
	Now  time.Time
	// Paused says who stopped everything and why, empty while nobody did.
	Paused string
	// Closed is why nothing is bought or removed for the group, whatever it allows: its settings contradict each other, or VPSie cannot
	// be asked.
	Closed Refusal
	// Group is the machine's NodeGroup, nil when it is gone.
	Group   *v1beta1.NodeGroup
	Machine *v1beta1.VPSieNode
	// IsMissing says that VPSie itself says that the machine does not exist.
	IsMissing bool
	// Node is nil when there is none.
	Node *Node
	// Pods are those that would have to move and were not told to end.
	Pods []Pod
	// IsEvicting says that pods were told to end already.
	IsEvicting bool
	// Utilization is what the pods request of the Node, in percent.
	Utilization int64
	// Budgets are the disruptions that each PodDisruptionBudget allows, by namespace/name.
	Budgets map[string]int
	// IsAwaited says that pods wait which the Node will take.
	IsAwaited bool
	// Staying counts the group's other machines that work and that nobody asked to leave, Leaving those that are asked to.
	Staying, Leaving int
	// Replacements are the machines that replace this one, Replaced those that this one replaces, as far as their objects exist.
	Replacements []Replacement
	Replaced     []Replaced
	// UnneededSince and UnreadySince are since when the machine could go, and since when it does not work.
	UnneededSince, UnreadySince time.Time
	// DrainFailed is when the last drain was given up, and DrainFailure why; zero where none was.
	DrainFailed  time.Time
	DrainFailure string
	// NoPlace says why pods of the Node find no place on others, empty when all do. It is asked late, since it is costly.
	NoPlace func() string
	// Together says why no machine is replaced while many fail, and when that may end; empty when one may be. It is asked last.
	Together func() (why string, until time.Time)
	// Busy says which other machine of the group is being replaced, empty when none is.
	Busy string
}

// Node is the Node of a machine.
type Node struct {
	Name    string
	IsReady bool
	// IsBecoming says that it still gets what nodes of its kind have: a device, a label, or an agent that takes its taint off.
	IsBecoming bool
	// Protection forbids to drain it, empty where nothing does.
	Protection reason.Code
}

// Pod is a pod that would have to move, or several of one shape.
type Pod struct {
	// Name is for people.
	Name string
	// Protection forbids to move it, empty where nothing does.
	Protection reason.Code
	// Unjudged says why nobody knows where it could go, empty where that is known.
	Unjudged string
	// Budgets are the PodDisruptionBudgets that cover it, as namespace/name.
	Budgets []string
}

// Replacement is a machine that takes the place of another.
type Replacement struct {
	Name string
	// IsReady says that its Node takes pods, HasFailed that it never will or does not stay.
	IsReady, HasFailed bool
	// ReadyAt is when its Node was first Ready, zero where it was not yet.
	ReadyAt time.Time
}

// Replaced is a machine whose place another takes.
type Replaced struct {
	Name string
	// IsLeaving says that it was asked to go.
	IsLeaving bool
}

// Replaces reports whether one machine was bought in the place of another.
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

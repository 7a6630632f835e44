// Package machine is the life of a machine as its VPSieNode records it: which state an object is in, what may happen to
// it, and which state follows. Nothing else writes phases and conditions.
//
//	Pending   → Launching, Joining, Ready, Failed, Gone
//	Launching → Pending, Joining, Failed
//	Joining   → Ready, Draining, Released
//	Ready     → Draining, Released
//	Draining  → Joining, Ready, Deleting, Released
//	Deleting  → Failed, Gone
//	Failed    → Joining, Gone
//
// The state follows from what is on record, never from the phase, a condition or its text: those only show it.
package machine

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// Phases that no object has; facts name them when an object goes.
const (
	// Gone means that the object went because no machine is left, or none ever came.
	Gone v1beta1.Phase = "Gone"
	// Released means that the object went with its namespace or its definition, and the machine stays.
	Released v1beta1.Phase = "Released"
)

// Transition is one step of the life of a machine.
type Transition struct {
	From, To v1beta1.Phase
	// When says what happens then.
	When string
}

// Life is every transition there is.
var Life = []Transition{
	{v1beta1.PhasePending, v1beta1.PhaseLaunching, "the launch request is on record; VPSie is called next"},
	{v1beta1.PhasePending, v1beta1.PhaseJoining, "a late answer comes, or a machine is adopted"},
	{v1beta1.PhasePending, v1beta1.PhaseReady, "a machine is adopted whose Node proves it ours"},
	{v1beta1.PhasePending, v1beta1.PhaseFailed, "the launch is refused or expires before the call"},
	{v1beta1.PhasePending, Gone, "it is retired before any launch"},
	{v1beta1.PhaseLaunching, v1beta1.PhasePending, "the call was not made or launched no machine; it is repeated"},
	{v1beta1.PhaseLaunching, v1beta1.PhaseJoining, "VPSie lists the machine"},
	{v1beta1.PhaseLaunching, v1beta1.PhaseFailed, "VPSie refuses, lists no machine until the launch deadline, or the attempts are used up"},
	{v1beta1.PhaseJoining, v1beta1.PhaseReady, "its Node is Ready"},
	{v1beta1.PhaseJoining, v1beta1.PhaseDraining, "it was retired"},
	{v1beta1.PhaseJoining, Released, "its VPSieNode is deleted with its namespace or CustomResourceDefinition"},
	{v1beta1.PhaseReady, v1beta1.PhaseDraining, "it was retired"},
	{v1beta1.PhaseReady, Released, "its VPSieNode is deleted with its namespace or CustomResourceDefinition"},
	{v1beta1.PhaseDraining, v1beta1.PhaseJoining, "the drain of a machine that never joined is aborted"},
	{v1beta1.PhaseDraining, v1beta1.PhaseReady, "the drain is aborted"},
	{v1beta1.PhaseDraining, v1beta1.PhaseDeleting, "no pods are left to evict; VPSie is called next"},
	{v1beta1.PhaseDraining, Released, "its VPSieNode is deleted with its namespace or CustomResourceDefinition"},
	{v1beta1.PhaseDeleting, v1beta1.PhaseFailed, "its absence is confirmed; the VPSieNode stays to show the failed launch, or for a late answer"},
	{v1beta1.PhaseDeleting, Gone, "its absence is confirmed"},
	{v1beta1.PhaseFailed, v1beta1.PhaseJoining, "a late answer comes"},
	{v1beta1.PhaseFailed, Gone, "it was shown long enough, or it is retired"},
}

// StateOf says which state an object is in.
func StateOf(n *v1beta1.VPSieNode) v1beta1.Phase {
	switch s := &n.Status; {
	case s.Identifier == "" && IsOpen(n):
		return v1beta1.PhaseLaunching
	case s.Identifier == "" && hasFailed(n):
		return v1beta1.PhaseFailed
	case s.Identifier == "":
		return v1beta1.PhasePending
	case s.DeleteRequestedAt != nil:
		return v1beta1.PhaseDeleting
	case s.DrainStartedAt != nil:
		return v1beta1.PhaseDraining
	case s.ReadyAt != nil:
		return v1beta1.PhaseReady
	}
	return v1beta1.PhaseJoining
}

// Change is something that may have happened to a machine. It writes into the status what is known then, and reports
// whether that is anything new. An object that has gone on meanwhile it leaves alone.
type Change func(*v1beta1.VPSieNode) bool

// Step is what a change did.
type Step struct {
	// Changed says that there is something to write.
	Changed  bool
	From, To v1beta1.Phase
	// Why is the message of the Ready condition, which explains every transition.
	Why string
}

// IsTransition reports whether another state was reached.
func (s Step) IsTransition() bool { return s.Changed && s.From != s.To }

// Apply makes a change and has the phase show the state that the object is in then. It fails, and the object must not be
// written, when the table has no such transition: that is a mistake in a change.
func Apply(n *v1beta1.VPSieNode, change Change) (Step, error) {
	step := Step{From: StateOf(n)}
	if !change(n) {
		return Step{From: step.From, To: step.From}, nil
	}
	step.Changed, step.To = true, StateOf(n)
	n.Status.Phase = step.To
	if !step.IsTransition() {
		return step, nil
	}
	if step.To != v1beta1.PhaseLaunching && step.To != v1beta1.PhasePending { // a request that is made again is no step further
		n.Status.Holds = nil
	}
	if ready := meta.FindStatusCondition(n.Status.Conditions, v1beta1.ConditionReady); ready != nil {
		step.Why = ready.Message
	}
	return step, check(step.From, step.To)
}

// MayGo reports whether an object that is deleted may go: as Gone, where no machine is left and none may come of an open
// request, or as Released, where the machine stays.
func MayGo(n *v1beta1.VPSieNode, end v1beta1.Phase) bool {
	switch StateOf(n) {
	case v1beta1.PhasePending, v1beta1.PhaseFailed:
		return end == Gone
	case v1beta1.PhaseDeleting:
		return end == Gone && fleet.IsAbsent(n)
	case v1beta1.PhaseJoining, v1beta1.PhaseReady, v1beta1.PhaseDraining:
		return end == Released
	}
	return false
}

// check returns an error for a transition that the table does not have.
func check(from, to v1beta1.Phase) error {
	for _, t := range Life {
		if t.From == from && t.To == to {
			return nil
		}
	}
	return fmt.Errorf("no machine goes from %s to %s", from, to)
}

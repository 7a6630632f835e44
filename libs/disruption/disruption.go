// Package disruption is the one list of what forbids to drain or delete a machine. Whoever decides runs it on what it knows of the
// whole cluster, and whoever acts runs it again on fresh reads. Which guards hold for a machine follows from the kind of its
// retirement.
package disruption

import (
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Point is where guards are asked.
type Point uint8

const (
	// Decide is before a retirement is written.
	Decide Point = 1 << iota
	// Act is before the Node is tainted, and before each round of evictions.
	Act
	// Delete is before VPSie is asked to delete the machine.
	Delete
)

// Refusal says why a machine is not drained or deleted. The zero Refusal forbids nothing.
type Refusal struct {
	Code    reason.Code
	Message string
	// Parameters are those of the code.
	Parameters reason.Values
	// Waits says that the retirement stands and waits; otherwise it is withdrawn.
	Waits bool
	// Until is when time alone may end it, zero where it cannot.
	Until time.Time
}

// Guard forbids to drain or delete a machine.
type Guard struct {
	// Codes are the codes that it refuses with; most have one.
	Codes []reason.Code
	// Holds says for which kinds of retirement it is asked, and where.
	Holds map[v1beta1.RetirementKind]Point
	// Waits is that of its refusals.
	Waits bool
	// Why is a line for people.
	Why string

	// check returns a refusal with a message, and with a code where the guard has several.
	check func(*reading) Refusal
}

// First returns the first refusal of the guards that hold for the view's kind at a point, or at one of several. A kind that is not known
// is refused by every guard, and a guard that reads an unknown fact refuses.
func First(at Point, v *View) Refusal {
	for i := range Guards {
		g := &Guards[i]
		if !g.isAsked(at, v.Kind) {
			continue
		}
		if refusal := g.judge(v); refusal.Message != "" {
			refusal.Waits = g.Waits
			return refusal
		}
	}
	return Refusal{}
}

func (g *Guard) judge(v *View) Refusal {
	r := &reading{View: v}
	refusal := g.check(r)
	switch {
	case r.blind:
		// What it says rests on nothing.
		return Refusal{Code: reason.NoScaleDownUnchecked, Message: "a guard could not be checked (" + g.Why + "): a fact that it needs is unknown"}
	case refusal.Message != "" && refusal.Code == "":
		refusal.Code = g.Codes[0]
	}
	return refusal
}

func (g *Guard) isAsked(at Point, kind v1beta1.RetirementKind) bool {
	if slices.Contains(Kinds, kind) {
		return g.Holds[kind]&at != 0
	}
	for _, points := range g.Holds {
		if points&at != 0 {
			return true
		}
	}
	return false
}

// KindOf is what a machine that was asked to go is retired for. A deletion of the object is a person's wish, whatever it was retired
// for before.
func KindOf(n *v1beta1.VPSieNode) v1beta1.RetirementKind {
	if n.DeletionTimestamp != nil || n.Spec.Retirement == nil {
		return v1beta1.RetireManual
	}
	return n.Spec.Retirement.Kind
}

// PriorityCutoff is the priority below which pods neither cause launches nor keep a Node unless an operator says otherwise, as in Cluster
// Autoscaler.
const PriorityCutoff int32 = -10

// PriorityCutoffOf is the priority below which pods do not keep a machine that was asked to go: who decided has said so.
func PriorityCutoffOf(n *v1beta1.VPSieNode) int32 {
	if r := n.Spec.Retirement; r != nil && r.PriorityCutoff != nil {
		return *r.PriorityCutoff
	}
	return PriorityCutoff
}

// IsRetiredFor reports whether a machine has a retirement of a kind. A deletion of the object is not asked for.
func IsRetiredFor(n *v1beta1.VPSieNode, kind v1beta1.RetirementKind) bool {
	return n.Spec.Retirement != nil && n.Spec.Retirement.Kind == kind
}

// Package machine is the life of a machine as its VPSieNode records it.
package machine

import "github.com/vpsie/vpsie-autoscaler/api/v1beta1"

// StateOf says which state an object is in. It follows from what is on record, never from the phase, a condition or its text:
// those only show it.
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

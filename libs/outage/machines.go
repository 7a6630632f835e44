package outage

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// JoinDeadline is when the machine's Node must be Ready: the launch deadline after the request, or, for a
// machine that VPSie listed late, after that.
func JoinDeadline(n *v1beta1.VPSieNode) time.Time {
	limit, began := n.Spec.LaunchDeadline.Duration, n.CreationTimestamp.Time
	if len(n.Status.Launches) > 0 {
		began = n.Status.Launches[len(n.Status.Launches)-1].RequestedAt.Time
	}
	if at := n.Status.LaunchedAt; at != nil && at.Sub(began) > limit/2 {
		began = at.Time
	}
	return began.Add(limit)
}

// WasReady reports whether the machine ever had a Ready Node.
func WasReady(n *v1beta1.VPSieNode) bool {
	return n.Status.ReadyAt != nil || n.Status.Phase == v1beta1.PhaseReady
}

// IsOverdue reports whether the machine exists and its Node was not Ready by the deadline.
func IsOverdue(n *v1beta1.VPSieNode, now time.Time) bool {
	return n.Status.Identifier != "" && !WasReady(n) && !JoinDeadline(n).After(now)
}

// IsHeld reports whether the provisioner says of a machine that it did not join in time and waits for its turn to
// go. Others must not compare the times in its status with their own clocks.
func IsHeld(n *v1beta1.VPSieNode) bool {
	return n.Status.Identifier != "" && !WasReady(n) && n.Status.OverdueSince != nil
}

// Counts reports whether the machine should have a Ready Node: it had one, or should have by now (it is overdue),
// and nobody wants it gone for another reason than that it has none.
func Counts(n *v1beta1.VPSieNode, overdue bool) bool {
	if n.DeletionTimestamp != nil || n.Status.DeleteRequestedAt != nil || n.Status.Identifier == "" {
		return false
	}
	if r := n.Spec.Retirement; r != nil && r.Kind != v1beta1.RetireRepair && r.Kind != v1beta1.RetireLaunchFailed {
		return false
	}
	return WasReady(n) || overdue
}

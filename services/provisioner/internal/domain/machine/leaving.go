package machine

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// DrainStarted puts the intent to drain on record.
func DrainStarted(message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) || !fleet.IsRetired(n) {
			return false
		}
		n.Status.DrainStartedAt, n.Status.DrainFailedAt, n.Status.DrainFailure, n.Status.ReplacementWait = Timestamp(now), nil, "", nil
		note(n, v1beta1.ConditionDrained, metav1.ConditionUnknown, "Draining", "the Node is tainted; its pods are evicted next")
		notReady(n, "Draining", message)
		return true
	}
}

// ReplacementAwaited records since when a retirement waits for the machine's replacement. The Node was not tainted.
func ReplacementAwaited(why, message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) || n.Spec.Retirement == nil {
			return false
		}
		began := n.Status.ReplacementWait == nil || n.Status.ReplacementWait.DecisionID != n.Spec.Retirement.DecisionID
		if began {
			n.Status.ReplacementWait = &v1beta1.ReplacementWait{DecisionID: n.Spec.Retirement.DecisionID, Since: *Timestamp(now)}
		}
		return note(n, v1beta1.ConditionDrained, metav1.ConditionUnknown, why, message) || began
	}
}

// DrainHeld records since when a retirement waits for the end of a pause, which says what the message tells.
func DrainHeld(code reason.Code, message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		why := code.Condition()
		if StateOf(n) == v1beta1.PhaseDeleting {
			status := metav1.ConditionFalse
			if fleet.IsAbsent(n) {
				status = metav1.ConditionTrue
			}
			return note(n, v1beta1.ConditionDeleted, status, why, message)
		}
		held := n.Status.DrainHeldAt == nil && (StateOf(n) == v1beta1.PhaseDraining || isUp(n) && n.Spec.Retirement != nil)
		if held {
			n.Status.DrainHeldAt = Timestamp(now)
		}
		if n.Status.ReplacementWait != nil { // it begins anew after the pause
			held, n.Status.ReplacementWait = true, nil
		}
		return note(n, v1beta1.ConditionDrained, metav1.ConditionUnknown, why, message) || held
	}
}

// DrainResumed records that a drain goes on: the time that was waited does not count for its timeout.
func DrainResumed(now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if n.Status.DrainHeldAt == nil {
			return false
		}
		if n.Status.DrainStartedAt != nil {
			waited := max(now.Sub(n.Status.DrainHeldAt.Time), 0)
			n.Status.DrainStartedAt = new(metav1.NewTime(n.Status.DrainStartedAt.Add(waited.Truncate(time.Second))))
		}
		n.Status.DrainHeldAt = nil
		unhold(n, reason.HoldPaused, reason.HoldPauseUnreadable)
		note(n, v1beta1.ConditionDrained, metav1.ConditionUnknown, "Draining", "the pause has ended; the Node's pods are read again")
		return true
	}
}

// RetirementWithdrawn records that a retirement is not carried out that was held up before the Node was tainted: somebody withdrew it.
func RetirementWithdrawn(message string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) || fleet.IsRetired(n) || n.Status.ReplacementWait == nil && n.Status.DrainHeldAt == nil {
			return false
		}
		n.Status.ReplacementWait, n.Status.DrainHeldAt = nil, nil
		unhold(n, reason.HoldPaused, reason.HoldPauseUnreadable, reason.HoldReplacement)
		note(n, v1beta1.ConditionDrained, metav1.ConditionFalse, reason.NoScaleDownWithdrawn.Condition(), message)
		return true
	}
}

// Reopened records that the Node was uncordoned which an earlier object of the machine had cordoned.
func Reopened(message string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) || fleet.IsRetired(n) {
			return false
		}
		unhold(n, reason.HoldPaused, reason.HoldPauseUnreadable)
		return note(n, v1beta1.ConditionDrained, metav1.ConditionFalse, reason.NoScaleDownWithdrawn.Condition(), message)
	}
}

// DrainAborted records that a drain was aborted. One whose retirement was withdrawn has not failed.
func DrainAborted(code reason.Code, message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if StateOf(n) != v1beta1.PhaseDraining {
			return false
		}
		n.Status.DrainStartedAt, n.Status.DrainHeldAt = nil, nil
		if code != reason.NoScaleDownWithdrawn {
			drainFailed(n, message, now)
		}
		note(n, v1beta1.ConditionDrained, metav1.ConditionFalse, code.Condition(), message)
		// What the Node is like now is looked at next.
		note(n, v1beta1.ConditionReady, metav1.ConditionUnknown, "DrainAborted", message)
		return true
	}
}

// RetirementRefused records that a machine stays although it was asked to go: the Node was never tainted.
func RetirementRefused(code reason.Code, message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) || !fleet.IsRetired(n) {
			return false
		}
		n.Status.ReplacementWait = nil
		unhold(n, reason.HoldPaused, reason.HoldPauseUnreadable, reason.HoldReplacement)
		drainFailed(n, message, now)
		note(n, v1beta1.ConditionDrained, metav1.ConditionFalse, code.Condition(), message)
		return true
	}
}

// drainFailed notes when and why the machine stays, and which retirement is withdrawn next.
func drainFailed(n *v1beta1.VPSieNode, message string, now time.Time) {
	n.Status.DrainFailedAt, n.Status.DrainFailure = Timestamp(now), text.Truncate(message)
	if n.Spec.Retirement != nil {
		n.Status.RefusedGeneration = n.Generation
	}
}

// IsRefused reports whether it is on record that the retirement is not carried out, so that it remains to be withdrawn.
func IsRefused(n *v1beta1.VPSieNode) bool {
	return n.Spec.Retirement != nil && n.Status.RefusedGeneration == n.Generation
}

// DeletionDue puts the intent to have the machine deleted on record. From here on there is no way back.
func DeletionDue(message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if StateOf(n) != v1beta1.PhaseDraining || !fleet.IsRetired(n) {
			return false
		}
		n.Status.DeleteRequestedAt = Timestamp(now)
		note(n, v1beta1.ConditionDrained, metav1.ConditionTrue, "Drained", message)
		notReady(n, "Deleting", "the machine is being terminated: "+message)
		note(n, v1beta1.ConditionDeleted, metav1.ConditionFalse, "Requested", "VPSie is asked to delete the machine")
		return true
	}
}

// DeletionAsked says what became of the call that requests the machine's deletion. The machine was there then.
func DeletionAsked(identifier, why, message string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isBeingDeleted(n, identifier) {
			return false
		}
		unhold(n, reason.HoldPaused, reason.HoldPauseUnreadable) // a call was made
		changed := seenAgain(n)
		return note(n, v1beta1.ConditionDeleted, metav1.ConditionFalse, why, message) || changed
	}
}

// isBeingDeleted reports whether no other replica went on with the machine.
func isBeingDeleted(n *v1beta1.VPSieNode, identifier string) bool {
	return n.Status.Identifier == identifier && StateOf(n) == v1beta1.PhaseDeleting
}

// SeenAbsent counts a look that did not find a machine whose deletion was requested. Looks that follow sooner than the
// interval count as one.
func SeenAbsent(identifier string, interval time.Duration, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isBeingDeleted(n, identifier) || n.Status.LastAbsentAt != nil && now.Sub(n.Status.LastAbsentAt.Time) < interval {
			return false
		}
		n.Status.AbsentSightings++
		n.Status.LastAbsentAt = Timestamp(now)
		if fleet.IsAbsent(n) {
			note(n, v1beta1.ConditionDeleted, metav1.ConditionTrue, "Absent", "VPSie confirmed twice that the machine is absent")
		} else {
			note(n, v1beta1.ConditionDeleted, metav1.ConditionFalse, "Absent", "VPSie no longer shows the machine; a second check must confirm its absence")
		}
		return true
	}
}

// SeenAgain forgets the looks that did not find a machine that is there.
func SeenAgain() Change { return seenAgain }

func seenAgain(n *v1beta1.VPSieNode) bool {
	had := n.Status.AbsentSightings > 0
	n.Status.AbsentSightings, n.Status.LastAbsentAt = 0, nil
	return had
}

// NeverJoined leaves the object of a machine that is gone and never joined behind as a failed launch: without it the next
// machine of the size would be launched at once, and the next. An adoption was not launched, so it has nothing to fail.
func NeverJoined(message string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		a := answeredBy(n, n.Status.Identifier)
		if a == nil || !fleet.IsAbsent(n) {
			return false
		}
		a.Outcome, a.Machine, a.Reason, a.Message = v1beta1.LaunchNotJoined, n.Status.Identifier, string(reason.LaunchDeadline), text.Truncate(message)
		forget(n)
		notReady(n, reason.LaunchDeadline.Condition(), text.Truncate(message))
		return true
	}
}

// KeptForAnswers leaves the object of a machine that is gone behind, as one without a machine, because another of
// its requests may be answered late: without it nobody would know of that machine.
func KeptForAnswers(message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !fleet.IsAbsent(n) || len(LateAttempts(n, now)) == 0 {
			return false
		}
		forget(n)
		notReady(n, "AwaitingLateAnswer", message)
		return true
	}
}

// forget takes everything about a machine that is gone out of the status. Nothing is requested again by an intent that had one.
func forget(n *v1beta1.VPSieNode) {
	s := &n.Status
	switch a := LastAttempt(n); {
	case a.Outcome == v1beta1.LaunchNotMade:
		a.Outcome, a.Message = v1beta1.LaunchAbandoned, "another launch request brought a machine, which is terminated"
	case isPending(a):
		a.Outcome, a.Machine = v1beta1.LaunchAnswered, s.Identifier // as an earlier version left it
	}
	s.Identifier, s.Hostname, s.NodeName = "", "", ""
	s.ReadyAt, s.ReadySince, s.DrainStartedAt, s.DrainHeldAt, s.DrainFailedAt, s.DeleteRequestedAt = nil, nil, nil, nil, nil, nil
	s.MissingSince, s.OverdueSince, s.ReplacementWait, s.DrainFailure = nil, nil, nil, ""
	s.AbsentSightings, s.LastAbsentAt = 0, nil
}

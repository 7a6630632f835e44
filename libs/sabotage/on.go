//go:build sabotage

// Package sabotage takes single safety checks out of test builds, to prove that the tests notice. A normal
// build has no such switch: every question is answered with a constant no, and the compiler drops the branch.
package sabotage

import "sync/atomic"

// Check names a safety check that can be taken out.
type Check string

// The checks that can be taken out.
const (
	CheckOwnershipProof           Check = "OwnershipProof"
	CheckListBeforeRetry          Check = "ListBeforeRetry"
	CheckFreshReadAfterTaint      Check = "FreshReadAfterTaint"
	CheckInFlightCounting         Check = "InFlightCounting"
	CheckCorrelatedFailureBreaker Check = "CorrelatedFailureBreaker"
	CheckNominationCondition      Check = "NominationCondition"
	CheckReplacementFirst         Check = "ReplacementFirst"
	CheckRecordWithAct            Check = "RecordWithAct"
)

// removed is the check that is taken out, empty when all are in.
var removed atomic.Value

// Set takes one check out and puts all others in; the empty name puts all in. It may be called concurrently.
func Set(check Check) { removed.Store(check) }

func is(check Check) bool {
	current, _ := removed.Load().(Check)
	return current == check
}

// OwnershipProof reports whether machines are claimed and deleted without proof that they are ours.
func OwnershipProof() bool { return is(CheckOwnershipProof) }

// ListBeforeRetry reports whether an unclear launch request is repeated without looking for its machine.
func ListBeforeRetry() bool { return is(CheckListBeforeRetry) }

// FreshReadAfterTaint reports whether a drain trusts what was read before the taint.
func FreshReadAfterTaint() bool { return is(CheckFreshReadAfterTaint) }

// InFlightCounting reports whether machines on their way are left out of every count.
func InFlightCounting() bool { return is(CheckInFlightCounting) }

// CorrelatedFailureBreaker reports whether many failures at once stop nothing.
func CorrelatedFailureBreaker() bool { return is(CheckCorrelatedFailureBreaker) }

// NominationCondition reports whether pods are nominated whatever became of them since the plan was made.
func NominationCondition() bool { return is(CheckNominationCondition) }

// ReplacementFirst reports whether a machine is drained before the one that takes its place is Ready.
func ReplacementFirst() bool { return is(CheckReplacementFirst) }

// RecordWithAct reports whether what is decided is put on record after it was done, instead of with it.
func RecordWithAct() bool { return is(CheckRecordWithAct) }

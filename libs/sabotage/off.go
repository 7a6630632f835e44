//go:build !sabotage

// Package sabotage takes single safety checks out of test builds, to prove that the tests notice. A normal
// build has no such switch: every question is answered with a constant no, and the compiler drops the branch.
package sabotage

// OwnershipProof reports whether machines are claimed and deleted without proof that they are ours.
func OwnershipProof() bool { return false }

// ListBeforeRetry reports whether an unclear launch request is repeated without looking for its machine.
func ListBeforeRetry() bool { return false }

// FreshReadAfterTaint reports whether a drain trusts what was read before the taint.
func FreshReadAfterTaint() bool { return false }

// InFlightCounting reports whether machines on their way are left out of every count.
func InFlightCounting() bool { return false }

// CorrelatedFailureBreaker reports whether many failures at once stop nothing.
func CorrelatedFailureBreaker() bool { return false }

// NominationCondition reports whether pods are nominated whatever became of them since the plan was made.
func NominationCondition() bool { return false }

// ReplacementFirst reports whether a machine is drained before the one that takes its place is Ready.
func ReplacementFirst() bool { return false }

// RecordWithAct reports whether what is decided is put on record after it was done, instead of with it.
func RecordWithAct() bool { return false }

package machine

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

const (
	// AttemptsMax bounds the requests made for one intent.
	AttemptsMax = 5
	// AttemptWait is how long a request that provably was not made waits for its next try.
	AttemptWait = 5 * time.Second
	// AnswerWindow is how long after a request its machine may turn up: VPSie has built one an hour late.
	AnswerWindow = 75 * time.Minute
)

// LastAttempt is the newest entry of the launch ledger, nil when nothing was asked of VPSie.
func LastAttempt(n *v1beta1.VPSieNode) *v1beta1.LaunchAttempt {
	if len(n.Status.Launches) == 0 {
		return nil
	}
	return &n.Status.Launches[len(n.Status.Launches)-1]
}

// answeredBy is the entry of the request that a machine came of, nil when nothing was asked of VPSie. An earlier version did not
// write down which one that is; then it is the newest.
func answeredBy(n *v1beta1.VPSieNode, identifier string) *v1beta1.LaunchAttempt {
	for i := range n.Status.Launches {
		if a := &n.Status.Launches[i]; a.Machine == identifier {
			return a
		}
	}
	return LastAttempt(n)
}

// IsOpen reports whether a machine may yet come of the newest request.
func IsOpen(n *v1beta1.VPSieNode) bool {
	a := LastAttempt(n)
	return a != nil && n.Status.Identifier == "" && isPending(a)
}

func isPending(a *v1beta1.LaunchAttempt) bool {
	return a.Outcome == v1beta1.LaunchRequested || a.Outcome == v1beta1.LaunchAccepted || a.Outcome == v1beta1.LaunchUnknown
}

// hasFailed reports whether nothing is requested any more by an intent that has no machine.
func hasFailed(n *v1beta1.VPSieNode) bool {
	a := LastAttempt(n)
	if a == nil {
		return false
	}
	switch a.Outcome {
	case v1beta1.LaunchNotMade:
		return false
	case v1beta1.LaunchUnconfirmed:
		return len(n.Status.Launches) >= AttemptsMax
	}
	return true
}

// IsCandidate reports whether a machine may be asked of VPSie for the intent at now.
func IsCandidate(n *v1beta1.VPSieNode, now time.Time) bool {
	if StateOf(n) != v1beta1.PhasePending || fleet.IsRetired(n) || IsAdoption(n) {
		return false
	}
	a := LastAttempt(n)
	return a == nil || a.Outcome != v1beta1.LaunchNotMade || now.Sub(a.RequestedAt.Time) >= AttemptWait
}

// WillBeCandidate reports whether the intent waits for the next try of a request that was not made.
func WillBeCandidate(n *v1beta1.VPSieNode, now time.Time) bool {
	return IsCandidate(n, now.Add(AttemptWait)) && !IsCandidate(n, now)
}

// Answerable is the request whose machine may turn up in a listing: an open one, or one that was given up and may be
// answered late.
func Answerable(n *v1beta1.VPSieNode) *v1beta1.LaunchAttempt {
	if n.Status.Identifier != "" {
		return nil
	}
	if IsOpen(n) {
		return LastAttempt(n)
	}
	for i := len(n.Status.Launches) - 1; i >= 0; i-- {
		if a := &n.Status.Launches[i]; a.Outcome == v1beta1.LaunchUnconfirmed || a.Outcome == v1beta1.LaunchExpired {
			return a
		}
	}
	return nil
}

// MayBeAnswered reports whether a machine may yet turn up for a request of the intent.
func MayBeAnswered(n *v1beta1.VPSieNode, now time.Time) bool {
	a := Answerable(n)
	return a != nil && now.Sub(a.RequestedAt.Time) < AnswerWindow
}

// LateAttempts are the entries of the ledger that were unclear and given up, and may still be answered beside the one that the
// intent waits for or was answered by.
func LateAttempts(n *v1beta1.VPSieNode, now time.Time) []*v1beta1.LaunchAttempt {
	var out []*v1beta1.LaunchAttempt
	waits := Answerable(n)
	for i := range n.Status.Launches {
		a := &n.Status.Launches[i]
		if a != waits && a.Outcome == v1beta1.LaunchUnconfirmed && now.Sub(a.RequestedAt.Time) <= AnswerWindow {
			out = append(out, a)
		}
	}
	return out
}

// WasAnswered reports whether all of an intent's requests were made, and its machine was first listed, before a time.
func WasAnswered(n *v1beta1.VPSieNode, before time.Time) bool {
	a := LastAttempt(n)
	return n.Status.Identifier != "" && (a == nil || a.RequestedAt.Time.Before(before)) && (n.Status.LaunchedAt == nil || n.Status.LaunchedAt.Time.Before(before))
}

// MayHaveBrought reports whether a machine may have come of a request, or may come of it yet.
func MayHaveBrought(a *v1beta1.LaunchAttempt) bool {
	return a.Outcome != v1beta1.LaunchRefused && a.Outcome != v1beta1.LaunchNotMade && a.Outcome != v1beta1.LaunchAbandoned
}

// SizeOf tells which size a request of an intent is for.
type SizeOf func(*v1beta1.VPSieNode, *v1beta1.LaunchAttempt) launch.Size

// SizeOnRecord is the size of a request in the ledger, zero where it is not on record.
func SizeOnRecord(a *v1beta1.LaunchAttempt) launch.Size {
	if a.CPU == nil || a.Memory == nil {
		return launch.Size{}
	}
	return launch.Size{CPU: a.CPU.Value(), MemoryMiB: a.Memory.Value() >> 20}
}

// recordSize writes into the ledger which size is requested.
func recordSize(a *v1beta1.LaunchAttempt, size launch.Size) {
	if size == (launch.Size{}) {
		return
	}
	a.CPU = resource.NewQuantity(size.CPU, resource.DecimalSI)
	a.Memory = resource.NewQuantity(size.MemoryMiB<<20, resource.BinarySI)
}

// Waiting describes an intent whose machine may turn up in a listing.
func Waiting(n *v1beta1.VPSieNode, size SizeOf) (launch.Waiting, bool) {
	a := Answerable(n)
	if a == nil {
		return launch.Waiting{}, false
	}
	return launch.Waiting{
		Intent: fleet.Key(n), Owner: Owner(n), Offering: n.Spec.Offering, Size: size(n, a), RequestedAt: a.RequestedAt.Time,
		Accepted: a.Outcome == v1beta1.LaunchAccepted, Foreign: a.Foreign,
	}, true
}

// Late describes the requests of an intent that were unclear and given up, whose machines may turn up beside
// the one that the intent waits for or has.
func Late(n *v1beta1.VPSieNode, size SizeOf, now time.Time) []launch.Waiting {
	var out []launch.Waiting
	for _, a := range LateAttempts(n, now) {
		out = append(out, launch.Waiting{
			Intent: fmt.Sprintf("%s#%d", fleet.Key(n), a.Number), Offering: n.Spec.Offering, Size: size(n, a), RequestedAt: a.RequestedAt.Time, Foreign: a.Foreign,
		})
	}
	return out
}

// Failures reads the launches that failed from the intents on record, and when the newest machine of each size was Ready.
func Failures(nodes []*v1beta1.VPSieNode, now time.Time) ([]launch.Failure, map[launch.Key]time.Time) {
	var failed []launch.Failure
	succeeded := map[launch.Key]time.Time{}
	for _, n := range nodes {
		key := launch.Key{Cluster: n.Spec.Cluster.Identifier, Offering: n.Spec.Offering}
		if at := n.Status.ReadyAt; at != nil && at.After(succeeded[key]) {
			succeeded[key] = at.Time
		}
		a := LastAttempt(n)
		if a == nil {
			continue
		}
		for i := range n.Status.Launches {
			if n.Status.Launches[i].Outcome == v1beta1.LaunchNotJoined {
				a = &n.Status.Launches[i]
			}
		}
		f := launch.Failure{Cluster: key.Cluster, Offering: key.Offering, At: a.RequestedAt.Time, Code: reason.Code(a.Reason), WholeCluster: a.Scope == v1beta1.RefusedCluster, Message: a.Message}
		switch {
		case disruption.IsRetiredFor(n, v1beta1.RetireLaunchFailed):
			f.At, f.Code, f.WholeCluster, f.Message = outage.JoinDeadline(n), reason.LaunchDeadline, false, n.Spec.Retirement.Message
		case outage.IsOverdue(n, now):
			f.At, f.Code, f.WholeCluster, f.Message = outage.JoinDeadline(n), reason.LaunchDeadline, false, "machines do not join before the launch deadline"
		case StateOf(n) != v1beta1.PhaseFailed:
			continue
		case a.Outcome == v1beta1.LaunchNotJoined:
			f.At = outage.JoinDeadline(n)
		case a.Outcome != v1beta1.LaunchRefused && a.Outcome != v1beta1.LaunchExpired:
			continue
		}
		failed = append(failed, f)
	}
	return failed, succeeded
}

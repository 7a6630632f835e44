package app

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

func keyOf(n *v1beta1.VPSieNode) string { return n.Namespace + "/" + n.Name }

func groupOf(n *v1beta1.VPSieNode) string { return n.Namespace + "/" + n.Spec.NodeGroup }

// lastAttempt is the newest entry of the launch ledger, nil when nothing was asked of VPSie.
func lastAttempt(n *v1beta1.VPSieNode) *v1beta1.LaunchAttempt {
	if len(n.Status.Launches) == 0 {
		return nil
	}
	return &n.Status.Launches[len(n.Status.Launches)-1]
}

// isOpen reports whether a machine may yet come of the newest request.
func isOpen(n *v1beta1.VPSieNode) bool {
	a := lastAttempt(n)
	if a == nil || n.Status.Identifier != "" {
		return false
	}
	return a.Outcome == v1beta1.LaunchRequested || a.Outcome == v1beta1.LaunchAccepted || a.Outcome == v1beta1.LaunchUnknown
}

// isLeaving reports whether the machine was asked to go, by the planner or by a person.
func isLeaving(n *v1beta1.VPSieNode) bool {
	return n.DeletionTimestamp != nil || n.Spec.Retirement != nil || n.Status.Phase == v1beta1.PhaseDeleting
}

// mayBeMachine reports whether a machine exists, or may exist, because of the intent.
func mayBeMachine(n *v1beta1.VPSieNode) bool { return n.Status.Identifier != "" || isOpen(n) }

// isCandidate reports whether a machine may be asked of VPSie for the intent at now.
func isCandidate(n *v1beta1.VPSieNode, now time.Time) bool {
	if n.Status.Identifier != "" || isOpen(n) || isLeaving(n) || isAdoption(n) || n.Status.Phase == v1beta1.PhaseFailed {
		return false
	}
	a := lastAttempt(n)
	if a == nil {
		return true
	}
	return a.Outcome == v1beta1.LaunchUnconfirmed || a.Outcome == v1beta1.LaunchNotMade && now.Sub(a.RequestedAt.Time) >= attemptWait
}

// answerable is the request whose machine may turn up in a listing: an open one, or one that was
// unclear, was given up, and may be answered late.
func answerable(n *v1beta1.VPSieNode) *v1beta1.LaunchAttempt {
	if n.Status.Identifier != "" {
		return nil
	}
	if isOpen(n) {
		return lastAttempt(n)
	}
	for i := len(n.Status.Launches) - 1; i >= 0; i-- {
		if a := &n.Status.Launches[i]; a.Outcome == v1beta1.LaunchUnconfirmed || a.Outcome == v1beta1.LaunchExpired {
			return a
		}
	}
	return nil
}

// asker tells what was asked for by a request of an intent.
type asker func(*v1beta1.VPSieNode, *v1beta1.LaunchAttempt) launch.Size

// sizeOnRecord is what the ledger says that was asked for, zero where it does not.
func sizeOnRecord(a *v1beta1.LaunchAttempt) launch.Size {
	if a.CPU == nil || a.Memory == nil {
		return launch.Size{}
	}
	return launch.Size{CPU: a.CPU.Value(), MemoryMiB: a.Memory.Value() >> 20}
}

// recordSize writes into the ledger what is asked for.
func recordSize(a *v1beta1.LaunchAttempt, size launch.Size) {
	if size == (launch.Size{}) {
		return
	}
	a.CPU = resource.NewQuantity(size.CPU, resource.DecimalSI)
	a.Memory = resource.NewQuantity(size.MemoryMiB<<20, resource.BinarySI)
}

// waiting describes an intent whose machine may turn up in a listing.
func waiting(n *v1beta1.VPSieNode, size asker) (launch.Waiting, bool) {
	a := answerable(n)
	if a == nil {
		return launch.Waiting{}, false
	}
	return launch.Waiting{
		Intent: keyOf(n), Owner: n.Name, Offering: n.Spec.Offering, Size: size(n, a), RequestedAt: a.RequestedAt.Time, Foreign: a.Foreign,
	}, true
}

// isAdopting reports whether the object is of a machine that exists, though its status does not name it: it was
// made for that machine, or it lost its status while a Node proves the machine.
func isAdopting(n *v1beta1.VPSieNode, proven bool) bool {
	return n.Status.Identifier == "" && len(n.Status.Launches) == 0 && n.Status.Phase != v1beta1.PhaseFailed && (isAdoption(n) || proven)
}

// late describes the requests of an intent that were unclear and given up, whose machines may turn up beside
// the one that the intent waits for or has.
func late(n *v1beta1.VPSieNode, size asker, now time.Time) []launch.Waiting {
	var out []launch.Waiting
	for _, a := range lateAttempts(n, now) {
		out = append(out, launch.Waiting{
			Intent: fmt.Sprintf("%s#%d", keyOf(n), a.Number), Offering: n.Spec.Offering, Size: size(n, a), RequestedAt: a.RequestedAt.Time, Foreign: a.Foreign,
		})
	}
	return out
}

// lateAttempts are the entries of the ledger that were unclear and given up, and may still be answered.
func lateAttempts(n *v1beta1.VPSieNode, now time.Time) []*v1beta1.LaunchAttempt {
	var out []*v1beta1.LaunchAttempt
	waits := answerable(n)
	for i := range n.Status.Launches {
		a := &n.Status.Launches[i]
		if a != waits && a.Outcome == v1beta1.LaunchUnconfirmed && now.Sub(a.RequestedAt.Time) <= answerWindow {
			out = append(out, a)
		}
	}
	return out
}

// wasAnswered reports whether all of an intent's requests were made, and its machine was first listed, before a time.
func wasAnswered(n *v1beta1.VPSieNode, before time.Time) bool {
	a := lastAttempt(n)
	return n.Status.Identifier != "" && (a == nil || a.RequestedAt.Time.Before(before)) && (n.Status.LaunchedAt == nil || n.Status.LaunchedAt.Time.Before(before))
}

// mayHaveBrought reports whether a machine may have come of a request, or may come of it yet.
func mayHaveBrought(a *v1beta1.LaunchAttempt) bool {
	return a.Outcome != v1beta1.LaunchRefused && a.Outcome != v1beta1.LaunchNotMade && a.Outcome != v1beta1.LaunchAbandoned
}

// mayBeAnswered reports whether a machine may yet turn up for a request of the intent.
func mayBeAnswered(n *v1beta1.VPSieNode, now time.Time) bool {
	a := answerable(n)
	return a != nil && now.Sub(a.RequestedAt.Time) < answerWindow
}

// nodeNameOf is the name of the machine's Node, empty while it is unknown.
func nodeNameOf(n *v1beta1.VPSieNode) string {
	if n.Status.NodeName != "" {
		return n.Status.NodeName
	}
	return strings.ToLower(n.Status.Hostname)
}

// failures reads the launches that failed from the intents on record.
func failures(nodes []*v1beta1.VPSieNode, now time.Time) ([]launch.Failure, map[launch.Key]time.Time) {
	var failed []launch.Failure
	succeeded := map[launch.Key]time.Time{}
	for _, n := range nodes {
		key := launch.Key{Cluster: n.Spec.Cluster.Identifier, Offering: n.Spec.Offering}
		if at := n.Status.ReadyAt; at != nil && at.After(succeeded[key]) {
			succeeded[key] = at.Time
		}
		a := lastAttempt(n)
		if a == nil {
			continue
		}
		f := launch.Failure{Cluster: key.Cluster, Offering: key.Offering, At: a.RequestedAt.Time, Code: reason.Code(a.Reason), Message: a.Message}
		switch {
		case n.Spec.Retirement != nil && n.Spec.Retirement.Reason == string(reason.LaunchDeadline):
			f.At, f.Code, f.Message = outage.JoinDeadline(n), reason.LaunchDeadline, n.Spec.Retirement.Message
		case outage.IsOverdue(n, now):
			f.At, f.Code, f.Message = outage.JoinDeadline(n), reason.LaunchDeadline, "machines do not join in time"
		case n.Status.Phase != v1beta1.PhaseFailed:
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

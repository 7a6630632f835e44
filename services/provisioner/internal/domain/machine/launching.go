package machine

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// Request is what the ledger keeps of a call that is about to be made.
type Request struct {
	// Group is VPSie's group, and Size what its machines have.
	Group int64
	Size  launch.Size
	// Foreign are the machines that cannot be the answer.
	Foreign     []string
	Traceparent string
}

// Requested puts the intent to request a machine on record.
func Requested(r Request, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !IsCandidate(n, now) {
			return false
		}
		a := v1beta1.LaunchAttempt{
			Number: nextNumber(n), VPSieGroup: r.Group, RequestedAt: *Timestamp(now),
			Foreign: r.Foreign, Outcome: v1beta1.LaunchRequested, Traceparent: r.Traceparent,
		}
		recordSize(&a, r.Size)
		unhold(n, beforeRequest...) // none stands any more
		n.Status.Launches = append(n.Status.Launches, a)
		note(n, v1beta1.ConditionLaunched, metav1.ConditionFalse, "Requested", "the launch request is being sent to VPSie")
		notReady(n, "Launching", "the launch request is being sent to VPSie")
		return true
	}
}

// beforeRequest are the holds that keep a candidate from being launched without a call to VPSie.
var beforeRequest = []reason.Code{
	reason.HoldPaused, reason.HoldPauseUnreadable, reason.HoldListingIncomplete, reason.HoldReportUnreadable, reason.HoldSizesUnknown,
	reason.NoScaleUpGroupPaused, reason.NoScaleUpGroupDisabled, reason.NoScaleUpGroupRecommend, reason.NoScaleUpGroupInvalid,
}

func nextNumber(n *v1beta1.VPSieNode) int32 { return int32(len(n.Status.Launches) + 1) }

// asked returns the entry of a request whose outcome is not on record yet; nil where another replica has concluded it, and
// perhaps written the next.
func asked(n *v1beta1.VPSieNode, number int32) *v1beta1.LaunchAttempt {
	if a := LastAttempt(n); a != nil && a.Number == number && a.Outcome == v1beta1.LaunchRequested {
		return a
	}
	return nil
}

// Accepted records that VPSie answered a request with yes. The price, in US dollars a month, is empty while it is unknown.
func Accepted(number int32, price string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		a := asked(n, number)
		if a == nil {
			return false
		}
		a.Outcome = v1beta1.LaunchAccepted
		n.Status.Holds = nil
		if price != "" {
			n.Status.MonthlyPrice = price
		}
		note(n, v1beta1.ConditionLaunched, metav1.ConditionFalse, "Accepted", "VPSie accepted the launch request; the machine is awaited in listings")
		return true
	}
}

// Unclear records that the answer to a request was lost or makes no sense. The settle time runs from now, since the rate limit
// may have held the call up.
func Unclear(number int32, h Hindrance, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		a := asked(n, number)
		if a == nil {
			return false
		}
		a.RequestedAt = *Timestamp(now)
		conclude(n, a, v1beta1.LaunchUnknown, h)
		return true
	}
}

// Refused records that VPSie answered a request with no.
func Refused(number int32, h Hindrance) Change {
	return func(n *v1beta1.VPSieNode) bool {
		a := asked(n, number)
		if a == nil {
			return false
		}
		conclude(n, a, v1beta1.LaunchRefused, h)
		return true
	}
}

// NotMade records that a call provably never reached VPSie. Two in a row become one entry: a long outage must not use the
// attempts up.
func NotMade(number int32, h Hindrance) Change {
	return func(n *v1beta1.VPSieNode) bool {
		a := asked(n, number)
		if a == nil {
			return false
		}
		conclude(n, a, v1beta1.LaunchNotMade, h)
		if last := len(n.Status.Launches) - 1; last > 0 && n.Status.Launches[last-1].Outcome == v1beta1.LaunchNotMade {
			merged := n.Status.Launches[last]
			merged.Number = n.Status.Launches[last-1].Number
			n.Status.Launches = append(n.Status.Launches[:last-1], merged)
		}
		return true
	}
}

func conclude(n *v1beta1.VPSieNode, a *v1beta1.LaunchAttempt, outcome v1beta1.LaunchOutcome, h Hindrance) {
	a.Outcome, a.Reason, a.Scope, a.Message = outcome, string(h.Code), h.Scope, text.Truncate(h.Said)
	note(n, v1beta1.ConditionLaunched, metav1.ConditionFalse, h.Reason, h.Message)
	notReady(n, h.Reason, h.Message)
}

// RefusedUnasked ends an intent that VPSie refuses before a machine can be requested. It is on record as a refusal, from
// which the size's backoff is derived.
func RefusedUnasked(h Hindrance, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		return IsCandidate(n, now) && end(n, v1beta1.LaunchRefused, h, now)
	}
}

// Abandoned ends an intent that must not be carried out any more.
func Abandoned(h Hindrance, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		return StateOf(n) == v1beta1.PhasePending && end(n, v1beta1.LaunchAbandoned, h, now)
	}
}

func end(n *v1beta1.VPSieNode, outcome v1beta1.LaunchOutcome, h Hindrance, now time.Time) bool {
	n.Status.Launches = append(n.Status.Launches, v1beta1.LaunchAttempt{Number: nextNumber(n), RequestedAt: *Timestamp(now)})
	conclude(n, LastAttempt(n), outcome, h)
	return true
}

// Hindered says why a candidate is not requested now.
func Hindered(h Hindrance, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		return IsCandidate(n, now) && note(n, v1beta1.ConditionLaunched, metav1.ConditionFalse, h.Reason, h.Message)
	}
}

// WhyNotRequested is what last kept a candidate from being launched, as the end of a sentence; empty where nothing did.
func WhyNotRequested(n *v1beta1.VPSieNode) string {
	if launched := meta.FindStatusCondition(n.Status.Conditions, v1beta1.ConditionLaunched); launched != nil && len(n.Status.Holds) > 0 {
		return "; what kept it last: " + launched.Message
	}
	return ""
}

// SizesUnknown says that the machine of an open request cannot be recognised for now.
func SizesUnknown(message string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		return Answerable(n) != nil && note(n, v1beta1.ConditionLaunched, metav1.ConditionFalse, reason.HoldSizesUnknown.Condition(), message)
	}
}

// SizesKnown says that the machine of an open request is looked for again.
func SizesKnown() Change {
	return func(n *v1beta1.VPSieNode) bool {
		if Answerable(n) == nil || !slices.Contains(n.Status.Holds, string(reason.HoldSizesUnknown)) {
			return false
		}
		unhold(n, reason.HoldSizesUnknown)
		note(n, v1beta1.ConditionLaunched, metav1.ConditionFalse, "Awaited", "the machine is awaited in listings")
		return true
	}
}

// Answered records the machine that answers the request which waits longest to be. The first request that may have brought it is
// the earliest; zero when that is unknown.
func Answered(worker launch.Listed, earliest time.Time, price string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		a := Answerable(n)
		if a == nil {
			return false
		}
		a.Outcome, a.Machine, a.Reason, a.Message = v1beta1.LaunchAnswered, worker.Identifier, "", ""
		if !earliest.IsZero() {
			n.Status.EarliestRequestAt = new(metav1.NewTime(earliest))
		}
		isListed(n, worker, price, now)
		notReady(n, "AwaitingNode", "the machine is booting; its Node "+strings.ToLower(worker.Hostname)+" is awaited until the launch deadline")
		return true
	}
}

func isListed(n *v1beta1.VPSieNode, worker launch.Listed, price string, now time.Time) {
	n.Status.Identifier, n.Status.Hostname, n.Status.LaunchedAt = worker.Identifier, worker.Hostname, Timestamp(now)
	if n.Status.MonthlyPrice == "" {
		n.Status.MonthlyPrice = price
	}
	note(n, v1beta1.ConditionLaunched, metav1.ConditionTrue, "Listed", "VPSie lists the machine as "+worker.Hostname)
}

// AnsweredElsewhere records that a machine answers a request that was given up and made again, and has an object of its own.
func AnsweredElsewhere(number, identifier string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		for i := range len(n.Status.Launches) - 1 {
			if a := &n.Status.Launches[i]; strconv.Itoa(int(a.Number)) == number && a.Outcome == v1beta1.LaunchUnconfirmed {
				a.Outcome, a.Machine, a.Reason, a.Message = v1beta1.LaunchAnswered, identifier, "", "answered late; the machine has its own VPSieNode"
				return true
			}
		}
		return false
	}
}

// shownMax bounds the machines that a condition names.
const shownMax = 5

// WhyNotRepeated says why a request is not repeated while machines are listed that nobody claims.
func WhyNotRepeated(spare []string) string {
	return "VPSie lists unclaimed machines (" + strings.Join(spare[:min(len(spare), shownMax)], ", ") +
		"), and whether one of them belongs to this launch request is unknown, so nothing is requested again until the launch deadline; delete them in the console if nobody needs them"
}

// Unanswered decides on an open request that no listing answers: an unclear one is unconfirmed after the settle time, one
// that VPSie accepted expires at the launch deadline. While a machine is listed that came after the request and that nobody
// claims (spare), it may be the answer all the same, so nothing is requested again.
func Unanswered(spare []string, settle time.Duration, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !IsOpen(n) {
			return false
		}
		a := LastAttempt(n)
		unclaimed := slices.ContainsFunc(spare, func(id string) bool { return !slices.Contains(a.Foreign, id) })
		switch {
		case (a.Outcome == v1beta1.LaunchAccepted || unclaimed) && now.After(outage.JoinDeadline(n)):
			conclude(n, a, v1beta1.LaunchExpired, Because(reason.LaunchNoMachine, "VPSie listed no machine for the launch request until the launch deadline"))
		case unclaimed:
			return note(n, v1beta1.ConditionLaunched, metav1.ConditionFalse, reason.HoldLaunchUnclear.Condition(), WhyNotRepeated(spare))
		case a.Outcome != v1beta1.LaunchAccepted && now.Sub(a.RequestedAt.Time) >= settle:
			conclude(n, a, v1beta1.LaunchUnconfirmed, Because(reason.LaunchUnconfirmed, "the answer was unclear and no listing since shows a machine; the launch is requested again"))
		default:
			return false
		}
		return true
	}
}

package machine

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// untoldMax and untoldDecisionsMax bound what a machine carries while the bus is away, which only drains that are aborted again and again
// reach. The oldest go to the outbox.
const (
	untoldMax          = 100
	untoldDecisionsMax = 20
	untoldBytesMax     = 128 << 10
)

// ChangeOf describes a step of an object as it is now. The id follows from the object as it was read: of all writes on top of
// that, one succeeds. An end, which is told before the write, has an id of its own, so that neither another write nor a later end is taken for its repeat.
func ChangeOf(n *v1beta1.VPSieNode, from, to v1beta1.Phase, why, traceparent string, now time.Time) v1beta1.PhaseChange {
	id := string(n.UID) + "." + n.ResourceVersion
	if to == Gone || to == Released {
		id += "." + string(to)
	}
	decision := n.Spec.DecisionID
	if n.Spec.Retirement != nil {
		decision = n.Spec.Retirement.DecisionID
	}
	return v1beta1.PhaseChange{
		ID: id, From: from, To: to, Message: why, DecisionID: decision, Time: metav1.NewTime(now), Identifier: n.Status.Identifier, NodeName: n.Status.NodeName, Traceparent: traceparent,
	}
}

// Untold adds a change of the phase that is to be told to what the object carries. It returns the oldest changes, for which there is no room any more.
func Untold(n *v1beta1.VPSieNode, c v1beta1.PhaseChange) []v1beta1.PhaseChange {
	all := append(n.Status.Untold, c)
	dropped := max(len(all)-untoldMax, 0)
	n.Status.Untold = all[dropped:]
	return all[:dropped]
}

// UntoldDecision adds the record of a decision that is to be told to what the object carries, in the form that it has at rest. It returns
// the oldest records, for which there is no room any more.
func UntoldDecision(n *v1beta1.VPSieNode, record string) []string {
	all := append(n.Status.UntoldDecisions, record)
	kept, size := len(all), 0
	for kept > 0 && len(all)-kept < untoldDecisionsMax && size+len(all[kept-1]) <= untoldBytesMax {
		kept--
		size += len(all[kept])
	}
	n.Status.UntoldDecisions = all[kept:]
	return all[:kept]
}

// Hold notes that a hold is on record, and reports whether it was not. It is recorded again once the machine got further, or the hold ended.
func Hold(n *v1beta1.VPSieNode, code reason.Code) bool {
	if slices.Contains(n.Status.Holds, string(code)) {
		return false
	}
	n.Status.Holds = append(n.Status.Holds, string(code))
	return true
}

// unhold forgets holds that have ended.
func unhold(n *v1beta1.VPSieNode, codes ...reason.Code) {
	n.Status.Holds = slices.DeleteFunc(n.Status.Holds, func(held string) bool { return slices.Contains(codes, reason.Code(held)) })
}

// Told takes changes of the phase, by id, and records of decisions off the object, which are on the bus.
func Told(changes, records []string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		before := len(n.Status.Untold) + len(n.Status.UntoldDecisions)
		n.Status.Untold = slices.DeleteFunc(n.Status.Untold, func(c v1beta1.PhaseChange) bool { return slices.Contains(changes, c.ID) })
		n.Status.UntoldDecisions = slices.DeleteFunc(n.Status.UntoldDecisions, func(r string) bool { return slices.Contains(records, r) })
		return len(n.Status.Untold)+len(n.Status.UntoldDecisions) < before
	}
}

package machine

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// untoldMax bounds what a machine carries while the bus is away, which only drains that are undone again and again reach.
const untoldMax = 100

// ChangeOf describes a step of an object as it is now. The id follows from the object as it was read: of all writes on top of
// that, one succeeds. An end, which is told before the write, has an id of its own, so that neither another write nor a later end is taken for its repeat.
func ChangeOf(n *v1beta1.VPSieNode, from, to v1beta1.Phase, why, traceparent string, now time.Time) v1beta1.PhaseChange {
	id := string(n.UID) + "." + n.ResourceVersion
	if to == Gone || to == Released {
		id += "." + string(to)
	}
	return v1beta1.PhaseChange{
		ID: id, From: from, To: to, Message: why, Time: metav1.NewTime(now), Identifier: n.Status.Identifier, NodeName: n.Status.NodeName, Traceparent: traceparent,
	}
}

// Untold adds a change of the phase that is to be told to what the object carries.
func Untold(n *v1beta1.VPSieNode, c v1beta1.PhaseChange) {
	all := append(n.Status.Untold, c)
	n.Status.Untold = all[max(len(all)-untoldMax, 0):]
}

// Told takes changes that are on the bus off the object.
func Told(ids ...string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		before := len(n.Status.Untold)
		n.Status.Untold = slices.DeleteFunc(n.Status.Untold, func(c v1beta1.PhaseChange) bool { return slices.Contains(ids, c.ID) })
		return len(n.Status.Untold) < before
	}
}

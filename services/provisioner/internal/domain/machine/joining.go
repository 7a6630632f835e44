package machine

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// Joined is a Node that proves a machine ours.
type Joined struct {
	Name      string
	CreatedAt time.Time
	IsReady   bool
	// IsMissing says that VPSie does not list the machine any more.
	IsMissing bool
}

// Adopted gives an object its machine that was made for it, or whose status was lost. A Node that proves it was registered, so it
// was there once; whether it is Ready now is looked at next. Without one, nil, the Node is awaited.
func Adopted(worker launch.Listed, node *Joined, price string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isBlank(n) || AdoptionEnded(n, now) {
			return false
		}
		isListed(n, worker, price, now)
		if node == nil {
			notReady(n, "AwaitingNode", "the machine was listed late; its Node "+strings.ToLower(worker.Hostname)+" is awaited until the launch deadline")
			return true
		}
		n.Status.NodeName, n.Status.ReadyAt = node.Name, new(metav1.NewTime(node.CreatedAt))
		if node.IsMissing {
			n.Status.MissingSince = Timestamp(now)
		}
		note(n, v1beta1.ConditionRegistered, metav1.ConditionTrue, "Adopted", "the Node carries the machine's providerID")
		if node.IsReady {
			n.Status.ReadySince = Timestamp(now)
			note(n, v1beta1.ConditionReady, metav1.ConditionTrue, "NodeReady", "the machine was adopted, and its Node is Ready")
		} else {
			notReady(n, "NodeNotReady", "the machine was adopted, and its Node is not Ready")
		}
		return true
	}
}

// Registered records that the Node is marked as the machine's.
func Registered(nodeName string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if n.Status.Identifier == "" {
			return false
		}
		changed := n.Status.NodeName != nodeName
		n.Status.NodeName = nodeName
		unhold(n, reason.HoldNodeNotOurs, reason.HoldTemplateInvalid)
		return note(n, v1beta1.ConditionRegistered, metav1.ConditionTrue, "Registered", "the Node carries the group's labels and taints and the machine's providerID") || changed
	}
}

// NodeReady records that the Node of a machine that stays works.
func NodeReady(price string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) {
			return false
		}
		changed := n.Status.ReadyAt == nil || n.Status.MonthlyPrice == "" && price != ""
		if n.Status.ReadyAt == nil {
			n.Status.ReadyAt, n.Status.OverdueSince = Timestamp(now), nil
		}
		if n.Status.ReadySince == nil {
			n.Status.ReadySince, changed = Timestamp(now), true
		}
		if n.Status.MonthlyPrice == "" {
			n.Status.MonthlyPrice = price
		}
		return note(n, v1beta1.ConditionReady, metav1.ConditionTrue, "NodeReady", "the Node is Ready") || changed
	}
}

// NodeNotReady says why the Node of a machine that stays does not work.
func NodeNotReady(why, message string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		return isUp(n) && notReady(n, why, message)
	}
}

// JoinHeld records that a machine whose Node was not Ready in time stays for now, and why.
func JoinHeld(code reason.Code, message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) {
			return false
		}
		first := n.Status.OverdueSince == nil
		if first {
			n.Status.OverdueSince = Timestamp(now)
		}
		return notReady(n, code.Condition(), message) || first
	}
}

// Vanished records that VPSie's listings lack a machine that nobody asked to go, and whose Node does not work.
func Vanished(message string, now time.Time) Change {
	return func(n *v1beta1.VPSieNode) bool {
		if !isUp(n) || fleet.IsRetired(n) {
			return false
		}
		first := n.Status.MissingSince == nil
		if first {
			n.Status.MissingSince = Timestamp(now)
		}
		return notReady(n, "MachineMissing", message) || first
	}
}

// isUp reports whether there is a machine that neither drains nor is deleted.
func isUp(n *v1beta1.VPSieNode) bool {
	state := StateOf(n)
	return state == v1beta1.PhaseJoining || state == v1beta1.PhaseReady
}

// SeenListed records that VPSie lists the machine, which it may not have done for a while.
func SeenListed() Change {
	return func(n *v1beta1.VPSieNode) bool {
		if n.Status.Identifier == "" || n.Status.DeleteRequestedAt != nil {
			return false
		}
		wasMissing := n.Status.MissingSince != nil
		n.Status.MissingSince = nil
		return note(n, v1beta1.ConditionLaunched, metav1.ConditionTrue, "Listed", "VPSie lists the machine as "+n.Status.Hostname) || wasMissing
	}
}

// Unlisted says that VPSie does not list a machine that stays all the same.
func Unlisted(message string) Change {
	return func(n *v1beta1.VPSieNode) bool {
		return n.Status.Identifier != "" && n.Status.DeleteRequestedAt == nil &&
			note(n, v1beta1.ConditionLaunched, metav1.ConditionUnknown, "NotListed", message)
	}
}

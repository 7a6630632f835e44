package fleet

import (
	"strings"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Key is the name of a machine's VPSieNode, as namespace/name.
func Key(m *v1beta1.VPSieNode) string { return m.Namespace + "/" + m.Name }

// GroupOf is the name of a machine's NodeGroup, as namespace/name.
func GroupOf(m *v1beta1.VPSieNode) string { return m.Namespace + "/" + m.Spec.NodeGroup }

// NodeName is the name of a machine's Node, empty while it is unknown.
func NodeName(m *v1beta1.VPSieNode) string {
	if m.Status.NodeName != "" {
		return m.Status.NodeName
	}
	return strings.ToLower(m.Status.Hostname)
}

// IsRetired reports whether a machine was asked to go, by a decision or by a person.
func IsRetired(m *v1beta1.VPSieNode) bool {
	return m.DeletionTimestamp != nil || m.Spec.Retirement != nil || m.Status.DeleteRequestedAt != nil
}

// IsLeaving reports whether a machine was asked to go, or is still being drained though that was withdrawn: its room does not count.
func IsLeaving(m *v1beta1.VPSieNode) bool { return IsRetired(m) || m.Status.DrainStartedAt != nil }

// HasFailed reports whether no machine came of a VPSieNode, so that it is no capacity and costs nothing.
func HasFailed(m *v1beta1.VPSieNode) bool {
	return m.Status.Phase == v1beta1.PhaseFailed && m.Status.Identifier == ""
}

package fleet

import (
	"maps"
	"slices"
	"strconv"
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

// AbsenceSightings is how many looks in a row must not find a machine before it counts as gone.
const AbsenceSightings = 2

// IsAbsent reports whether it is confirmed that a machine that was to be deleted is gone. Its object stays for a moment longer.
func IsAbsent(m *v1beta1.VPSieNode) bool {
	return m.Status.Identifier != "" && m.Status.DeleteRequestedAt != nil && m.Status.AbsentSightings >= AbsenceSightings
}

// Occupies reports whether a VPSieNode takes a place under maxNodes and uses the group's limits: a machine exists, or may come to
// exist, because of it.
func Occupies(m *v1beta1.VPSieNode) bool { return !HasFailed(m) && !IsAbsent(m) }

// DescribePlannedPods is the value of the annotation that says for which pods a machine is launched.
func DescribePlannedPods(pods map[string]int) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(pods)) {
		parts = append(parts, id+"="+strconv.Itoa(pods[id]))
	}
	return strings.Join(parts, ",")
}

// PlannedPods reads what DescribePlannedPods wrote; what cannot be read is left out.
func PlannedPods(m *v1beta1.VPSieNode) map[string]int {
	pods := map[string]int{}
	for part := range strings.SplitSeq(m.Annotations[v1beta1.AnnotationPlannedPods], ",") {
		id, text, _ := strings.Cut(part, "=")
		if count, err := strconv.Atoi(text); err == nil && count > 0 {
			pods[id] = count
		}
	}
	return pods
}

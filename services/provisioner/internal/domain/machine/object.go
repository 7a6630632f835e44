package machine

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// IsAdoption reports whether the object was made for a machine that existed already. It is never launched for,
// whatever becomes of its annotation: the origin cannot be changed.
func IsAdoption(n *v1beta1.VPSieNode) bool {
	return n.Spec.Origin == v1beta1.OriginAdoption || CameLate(n)
}

// CameLate reports whether the object was made for a machine that answered a request which was given up.
func CameLate(n *v1beta1.VPSieNode) bool { return n.Spec.Origin == v1beta1.OriginLateAnswer }

// AwaitsMachine reports whether the object is of a machine that exists, though its status does not name it: it was
// made for that machine, or it lost its status while a Node proves the machine.
func AwaitsMachine(n *v1beta1.VPSieNode, proven bool) bool {
	return isBlank(n) && (IsAdoption(n) || proven)
}

// Owner is how the Node of the object's machine proves whose it is: by the label of the NodeGroup, and the name. Objects of two namespaces may have one name.
func Owner(n *v1beta1.VPSieNode) string {
	return OwnerOf(scheduling.GroupLabel(n.Namespace, n.Spec.NodeGroup), n.Name)
}

// OwnerOf is Owner by what a Node says.
func OwnerOf(group, name string) string { return group + "/" + name }

// AdoptionEnded reports whether an object that was made for a machine gets it no more: the object is being deleted. The machine that answers a request late is nobody
// else's, so such an object waits for it until the launch deadline, and takes it along.
func AdoptionEnded(n *v1beta1.VPSieNode, now time.Time) bool {
	if n.DeletionTimestamp == nil || !IsAdoption(n) || !isBlank(n) {
		return false
	}
	return !CameLate(n) || now.Sub(n.CreationTimestamp.Time) > n.Spec.LaunchDeadline.Duration
}

// isBlank reports whether nothing was done for the object yet.
func isBlank(n *v1beta1.VPSieNode) bool {
	return n.Status.Identifier == "" && len(n.Status.Launches) == 0
}

// ClaimOf is the identifier of the object's machine, also while its status does not name it yet.
func ClaimOf(n *v1beta1.VPSieNode) string {
	if isBlank(n) && IsAdoption(n) {
		return n.Annotations[v1beta1.AnnotationAdopts]
	}
	return n.Status.Identifier
}

// IntendedAt is when a machine was first wanted, which is before it was requested. The object of one that was listed late, or that was
// made for an earlier request, is younger than the machine, and perhaps than its Node.
func IntendedAt(n *v1beta1.VPSieNode) time.Time {
	if at, err := time.Parse(time.RFC3339, n.Annotations[v1beta1.AnnotationIntendedAt]); err == nil && CameLate(n) {
		return at
	}
	if n.Status.EarliestRequestAt != nil {
		return n.Status.EarliestRequestAt.Time
	}
	return n.CreationTimestamp.Time
}

package app

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
)

// textMax is the API server's limit on an event's note and ours on a ledger's message.
const textMax = 1000

func setPhase(n *v1beta1.VPSieNode, phase v1beta1.Phase) bool {
	if n.Status.Phase == phase {
		return false
	}
	n.Status.Phase = phase
	return true
}

func setCondition(n *v1beta1.VPSieNode, kind string, is bool, why, message string) bool {
	return kube.SetCondition(&n.Status.Conditions, kind, kube.ConditionStatus(is), n.Generation, why, message)
}

func setUnknown(n *v1beta1.VPSieNode, kind, why, message string) bool {
	return kube.SetCondition(&n.Status.Conditions, kind, metav1.ConditionUnknown, n.Generation, why, message)
}

func conditionReason(code reason.Code) string {
	if code == "" {
		return "Failed"
	}
	return code.Condition()
}

// timestamp is a time as an object keeps it: in whole seconds, rounded up, so that no wait that starts
// at it is cut short.
func timestamp(t time.Time) *metav1.Time {
	return new(metav1.NewTime(t.Add(time.Second - 1).Truncate(time.Second)))
}

func truncate(text string) string {
	if len(text) <= textMax {
		return text
	}
	return strings.ToValidUTF8(text[:textMax], "") + "…"
}

func sameHostname(a, b string) bool { return strings.EqualFold(a, b) }

func isNodeReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// hindrance is the reason of a condition that a failed call explains.
func hindrance(e *CloudError) string {
	switch e.Failure {
	case Unauthorized:
		return "Unauthorized"
	case NotMade:
		return "APIUnavailable"
	case NotFound:
		return "NotFound"
	case Refused:
		return conditionReason(e.Code)
	case Held:
		if e.Code == reason.HoldPaused {
			return reasonPaused
		}
		return "Outdated"
	}
	return "OutcomeUnknown"
}

// explain says what a failed call means: what, why, what happens next, what to do. It has no
// moving parts, because it ends up in conditions.
func explain(e *CloudError) string {
	switch e.Failure {
	case Unauthorized:
		return "VPSie refuses the credentials (" + e.Message + "), so nothing can be bought or deleted; the credentials are read and tried again every few seconds; put a valid token where the provisioner reads it"
	case NotMade:
		return "VPSie cannot be called now (" + e.Message + "); nothing is bought or deleted meanwhile and it is tried again by itself; nothing needs to be done unless this lasts"
	case NotFound:
		return "VPSie does not know what it was asked about (" + e.Message + "), so nothing is bought or deleted; it is looked up again by itself; check spec.cluster.identifier and what the credentials give access to"
	case Held:
		if e.Code == reason.HoldPaused {
			return e.Message
		}
		return "the call was not made (" + e.Message + "); it is decided anew by itself; nothing needs to be done unless this lasts"
	case Refused:
		if e.Code == reason.NoScaleUpQuota {
			return "VPSie refused the machine (" + e.Message + "): the cluster's plan allows no more workers; purchases pause and are tried again later; raise the limit at VPSie or lower maxNodes"
		}
		return "VPSie refused the machine (" + e.Message + "); this size pauses and the next best one is used where the NodeGroup allows it; allow another size if this lasts"
	}
	return "VPSie's answer is unclear (" + e.Message + "); whether it took effect is looked up in its listings before anything is asked again; nothing needs to be done unless this lasts"
}

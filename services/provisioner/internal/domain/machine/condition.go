package machine

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// messageMax is the API server's limit on a condition's message, in bytes.
const messageMax = 32768

// Hindrance says why something did not happen. Its texts have no moving parts, because they end up in conditions.
type Hindrance struct {
	// Code is the stable reason code, empty where there is none.
	Code reason.Code
	// Scope is what VPSie refused, empty where it did not.
	Scope v1beta1.RefusalScope
	// Said is VPSie's answer, or what happened to the call.
	Said string
	// Reason and Message are what conditions show: the message says what, why, what happens next and what to do.
	Reason, Message string
}

// Because is the hindrance that a reason code names.
func Because(code reason.Code, message string) Hindrance {
	return Hindrance{Code: code, Said: message, Reason: code.Condition(), Message: message}
}

// Note sets a condition where nothing else changes.
func Note(kind string, status metav1.ConditionStatus, why, message string) Change {
	return func(n *v1beta1.VPSieNode) bool { return note(n, kind, status, why, message) }
}

// note sets a condition and reports whether that changed anything.
func note(n *v1beta1.VPSieNode, kind string, status metav1.ConditionStatus, why, message string) bool {
	return meta.SetStatusCondition(&n.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, ObservedGeneration: n.Generation, Reason: why, Message: message[:min(len(message), messageMax)],
	})
}

// notReady says why the Node of a machine does not work, or why none is there, and reports whether that changed anything.
func notReady(n *v1beta1.VPSieNode, why, message string) bool {
	was := n.Status.ReadySince != nil
	n.Status.ReadySince = nil
	return note(n, v1beta1.ConditionReady, metav1.ConditionFalse, why, message) || was
}

// Timestamp is a time as an object keeps it: in whole seconds, rounded up, so that no wait that starts
// at it is cut short.
func Timestamp(t time.Time) *metav1.Time {
	return new(metav1.NewTime(t.Add(time.Second - 1).Truncate(time.Second)))
}

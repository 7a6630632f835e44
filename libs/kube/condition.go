package kube

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditionMessageMax is the API server's limit on a condition's message.
const conditionMessageMax = 32768

// SetCondition writes one condition; the transition time moves only when the status does.
// It reports whether anything changed.
func SetCondition(conditions *[]metav1.Condition, kind string, status metav1.ConditionStatus, generation int64, reason, message string) bool {
	if len(message) > conditionMessageMax {
		message = message[:conditionMessageMax]
	}
	return meta.SetStatusCondition(conditions, metav1.Condition{
		Type: kind, Status: status, ObservedGeneration: generation, Reason: reason, Message: message,
	})
}

// ConditionStatus turns a statement into a condition's status.
func ConditionStatus(is bool) metav1.ConditionStatus {
	if is {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

package kubesim

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nominationFields is status.nominatedNodeName in the form of managed fields.
const nominationFields = `{"f:status":{"f:nominatedNodeName":{}}}`

// ownNomination keeps who set a pod's nomination. Of all managed fields these are served alone: nothing else here reads others.
func ownNomination(req Request, pod, old *corev1.Pod) {
	switch pod.Status.NominatedNodeName {
	case "":
	case old.Status.NominatedNodeName:
		pod.ManagedFields = old.ManagedFields
	default:
		fields := &metav1.FieldsV1{}
		fields.SetRawBytes([]byte(nominationFields))
		pod.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: cmp.Or(req.FieldManager, req.Client), Operation: metav1.ManagedFieldsOperationUpdate, Subresource: subStatus,
			APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: fields,
		}}
	}
}

package kubesimtest

import (
	"context"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func nodeCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"NodeComesWithItsStatus":       nodeStatus,
		"NodeStatusAndSpecAreApart":    nodeStatusApart,
		"NodeProviderIDIsWrittenOnce":  nodeProviderID,
		"NodeTaintsAreChecked":         nodeTaints,
		"NodeLabelsAreChecked":         nodeLabels,
		"NodeIsCordonedByAMergePatch":  nodeCordon,
		"NodeThatIsNewIsTaintedAtOnce": nodeTainted,
	}
}

// node makes a node that no kubelet runs; controllers of a real cluster may write to it at any time.
func (k *kit) node(name string) *corev1.Node {
	k.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: k.ns + "-" + name, Labels: map[string]string{corev1.LabelHostname: k.ns + "-" + name}},
		Status: corev1.NodeStatus{
			Capacity:    corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")},
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")},
			NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: "v1.37.2"},
		},
	}
	k.make(n)
	k.Cleanup(func() {
		if err := k.Delete(context.Background(), n); err != nil && !apierrors.IsNotFound(err) {
			k.Error(err)
		}
	})
	return n
}

func nodeStatus(k *kit) {
	n := k.node("one")
	if n.Status.Allocatable.Cpu().String() != "3" || n.Status.NodeInfo.KubeletVersion != "v1.37.2" {
		k.Errorf("the node's status is %+v", n.Status)
	}
}

func nodeStatusApart(k *kit) {
	n := k.node("one")
	k.must(k.Patch(k.ctx, n, merge(`{"spec":{"providerID":"vpsie://a"},"status":{"nodeInfo":{"kubeletVersion":"v9"}}}`)))
	if n.Spec.ProviderID != "vpsie://a" || n.Status.NodeInfo.KubeletVersion != "v1.37.2" {
		k.Errorf("a write to the node set %q and %q", n.Spec.ProviderID, n.Status.NodeInfo.KubeletVersion)
	}
	k.must(k.Status().Patch(k.ctx, n, merge(`{"metadata":{"labels":{"a":"1"}},"spec":{"unschedulable":true},"status":{"nodeInfo":{"kubeletVersion":"v9"}}}`)))
	if n.Spec.Unschedulable || n.Status.NodeInfo.KubeletVersion != "v9" || n.Labels["a"] != "1" {
		k.Errorf("a write to the status set unschedulable %v, %q and labels %v", n.Spec.Unschedulable, n.Status.NodeInfo.KubeletVersion, n.Labels)
	}
}

func nodeProviderID(k *kit) {
	n := k.node("one")
	k.must(k.Patch(k.ctx, n, merge(`{"spec":{"providerID":"vpsie://a"}}`)))
	for _, change := range []string{`{"spec":{"providerID":"vpsie://b"}}`, `{"spec":{"providerID":null}}`} {
		err := k.Patch(k.ctx, n.DeepCopy(), merge(change))
		k.refused(err, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid spec.providerID")
	}
	k.must(k.Patch(k.ctx, n, merge(`{"spec":{"providerID":"vpsie://a"}}`)))
}

func nodeTaints(k *kit) {
	n := k.node("one")
	for change, causes := range map[string][]string{
		`[{"key":"a","effect":"Never"}]`:                                        {"FieldValueNotSupported metadata.taints[0].effect"},
		`[{"key":"a"}]`:                                                         {"FieldValueRequired metadata.taints[0].effect"},
		`[{"key":"not a key","effect":"NoSchedule"}]`:                           {"FieldValueInvalid metadata.taints[0].key"},
		`[{"key":"a","value":"not a value","effect":"NoSchedule"}]`:             {"FieldValueInvalid metadata.taints[0].value"},
		`[{"key":"a","effect":"NoSchedule"},{"key":"a","effect":"NoSchedule"}]`: {"FieldValueDuplicate metadata.taints[1]"},
	} {
		err := k.Patch(k.ctx, n.DeepCopy(), merge(`{"spec":{"taints":`+change+`}}`))
		k.refused(err, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, causes...)
	}
}

func nodeLabels(k *kit) {
	n := k.node("one")
	err := k.Patch(k.ctx, n.DeepCopy(), merge(`{"metadata":{"labels":{"pool":"not a value"}}}`))
	k.refused(err, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid metadata.labels")
	err = k.Patch(k.ctx, n.DeepCopy(), merge(`{"metadata":{"annotations":{"not a key":"x"}}}`))
	k.refused(err, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid metadata.annotations")
}

func nodeCordon(k *kit) {
	n := k.node("one")
	k.must(k.Patch(k.ctx, n, merge(`{"spec":{"unschedulable":true,"taints":[{"key":"drain","effect":"NoSchedule"}]}}`)))
	if !n.Spec.Unschedulable || !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == "drain" }) {
		k.Errorf("the node is %+v", n.Spec)
	}
}

func nodeTainted(k *kit) {
	n := k.node("one")
	if !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeNotReady && t.Effect == corev1.TaintEffectNoSchedule
	}) {
		k.Errorf("the node's taints are %v", n.Spec.Taints)
	}
}

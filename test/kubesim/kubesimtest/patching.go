package kubesimtest

import (
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func patchingCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"MergePatchRemovesAndReplaces":   mergePatch,
		"MergePatchOfAnOldState":         mergePatchStale,
		"MergePatchMayNotMoveAnObject":   mergePatchIdentity,
		"MergePatchThatCannotBeRead":     mergePatchBroken,
		"MergePatchOfBuiltInKinds":       mergePatchNode,
		"JSONPatch":                      jsonPatch,
		"StrategicPatchMergesLists":      strategicPatch,
		"StrategicPatchIsForBuiltInOnly": strategicPatchCustom,
	}
}

func mergePatch(k *kit) {
	one := machine("one")
	one.Labels = map[string]string{"a": "1", "b": "2"}
	one.Finalizers = []string{"example.com/a", "example.com/b"}
	k.make(one)
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":null,"c":"3"},"finalizers":["example.com/c"]}}`)))
	if one.Labels["a"] != "" || one.Labels["b"] != "2" || one.Labels["c"] != "3" {
		k.Errorf("the labels are %v", one.Labels)
	}
	if !slices.Equal(one.Finalizers, []string{"example.com/c"}) {
		k.Errorf("the finalizers are %q, want the patch's list", one.Finalizers)
	}
	k.must(k.Patch(k.ctx, one, merge(`{"spec":{"retirement":{"kind":"ScaleDown","decisionID":"d","reason":"r","message":null,"unknown":1}}}`)))
	if want := (v1beta1.Retirement{Kind: v1beta1.RetireScaleDown, DecisionID: "d", Reason: "r"}); *one.Spec.Retirement != want {
		k.Errorf("the retirement is %+v, want %+v", *one.Spec.Retirement, want)
	}
	k.must(k.Patch(k.ctx, one, merge(`{"spec":{"retirement":null},"metadata":{"finalizers":null}}`)))
	if one.Spec.Retirement != nil || len(one.Finalizers) != 0 {
		k.Errorf("null left %+v and %q", one.Spec.Retirement, one.Finalizers)
	}
}

func mergePatchStale(k *kit) {
	one := machine("one")
	k.make(one)
	stale := one.DeepCopy()
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"1"}}}`)))
	changed := stale.DeepCopy()
	changed.Labels = map[string]string{"a": "2"}
	lock := client.MergeFromWithOptions(stale, client.MergeFromWithOptimisticLock{})
	k.refused(k.Patch(k.ctx, changed, lock), metav1.StatusReasonConflict, http.StatusConflict)
	changed.Status.Phase = v1beta1.PhaseReady
	k.refused(k.Status().Patch(k.ctx, changed, lock), metav1.StatusReasonConflict, http.StatusConflict)
	changed = stale.DeepCopy()
	changed.Labels = map[string]string{"b": "2"}
	k.must(k.Patch(k.ctx, changed, client.MergeFrom(stale)))
	if changed.Labels["a"] != "1" || changed.Labels["b"] != "2" {
		k.Errorf("a patch without a lock left %v", changed.Labels)
	}
}

func mergePatchIdentity(k *kit) {
	one := machine("one")
	k.make(one)
	k.refused(k.Patch(k.ctx, one.DeepCopy(), merge(`{"metadata":{"name":"two"}}`)), metav1.StatusReasonBadRequest, http.StatusBadRequest)
	k.refused(k.Patch(k.ctx, one.DeepCopy(), merge(`{"metadata":{"uid":"other"}}`)), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity)
}

func mergePatchBroken(k *kit) {
	one := machine("one")
	k.make(one)
	k.refused(k.Patch(k.ctx, one, merge(`{`)), metav1.StatusReasonBadRequest, http.StatusBadRequest)
}

func mergePatchNode(k *kit) {
	node := k.node("patched")
	base := node.DeepCopy()
	node.Labels["pool"] = "a"
	node.Spec.Unschedulable = true
	k.must(k.Patch(k.ctx, node, client.MergeFrom(base)))
	if node.Labels["pool"] != "a" || node.Labels[corev1.LabelHostname] != node.Name || !node.Spec.Unschedulable {
		k.Errorf("the node has labels %v and is unschedulable: %v", node.Labels, node.Spec.Unschedulable)
	}
}

func jsonPatch(k *kit) {
	one := machine("one")
	one.Labels = map[string]string{"a": "1"}
	k.make(one)
	patch := func(text string) client.Patch { return client.RawPatch(types.JSONPatchType, []byte(text)) }
	k.must(k.Patch(k.ctx, one, patch(`[{"op":"test","path":"/metadata/labels/a","value":"1"},{"op":"replace","path":"/metadata/labels/a","value":"2"}]`)))
	if one.Labels["a"] != "2" {
		k.Errorf("the labels are %v", one.Labels)
	}
	failing := patch(`[{"op":"test","path":"/metadata/labels/a","value":"1"},{"op":"remove","path":"/metadata/labels/a"}]`)
	k.refused(k.Patch(k.ctx, one, failing), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity)
}

func strategicPatch(k *kit) {
	pod := unscheduled("one", nil)
	k.make(pod)
	set := func(text string) {
		k.must(k.Status().Patch(k.ctx, pod, client.RawPatch(types.StrategicMergePatchType, []byte(text))))
	}
	set(`{"status":{"conditions":[{"type":"Ready","status":"False"},{"type":"Initialized","status":"True"}]}}`)
	set(`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	got := map[corev1.PodConditionType]corev1.ConditionStatus{}
	for _, c := range pod.Status.Conditions {
		got[c.Type] = c.Status
	}
	if got[corev1.PodReady] != corev1.ConditionTrue || got[corev1.PodInitialized] != corev1.ConditionTrue {
		k.Errorf("the conditions are %v", got)
	}
}

func strategicPatchCustom(k *kit) {
	one := machine("one")
	k.make(one)
	patch := client.RawPatch(types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"a":"1"}}}`))
	k.refused(k.Patch(k.ctx, one, patch), metav1.StatusReasonUnsupportedMediaType, http.StatusUnsupportedMediaType)
}

package kubesimtest

import (
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func deletingCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"DeleteRemoves":                   deleteRemoves,
		"DeleteWaitsForFinalizers":        deleteFinalizers,
		"DeleteChecksWhatTheClientKnows":  deletePreconditions,
		"DeleteOfAllThatIsSelected":       deleteCollection,
		"DeleteWhileHeldChangesNothing":   deleteTwice,
		"FinalizersOnlyGoDuringADeletion": finalizersOnlyGo,
	}
}

// gone reports whether an object is not there.
func (k *kit) gone(o client.Object) bool {
	k.Helper()
	err := k.Get(k.ctx, client.ObjectKeyFromObject(o), o)
	if err != nil && !apierrors.IsNotFound(err) {
		k.Fatal(err)
	}
	return err != nil
}

func deleteRemoves(k *kit) {
	for _, o := range []client.Object{configMap("one", nil), machine("one"), group("one"), budgetOf("one", nil)} {
		k.make(o)
		k.must(k.Delete(k.ctx, o))
		if !k.gone(o) {
			k.Errorf("%T is still there", o)
		}
	}
}

func deleteFinalizers(k *kit) {
	one := machine("one")
	one.Finalizers = []string{v1beta1.FinalizerMachine, "example.com/other"}
	k.make(one)
	k.must(k.Delete(k.ctx, one))
	k.read(one)
	if one.DeletionTimestamp == nil || one.DeletionGracePeriodSeconds == nil || *one.DeletionGracePeriodSeconds != 0 {
		k.Errorf("the object was deleted at %v with a grace period of %v", one.DeletionTimestamp, one.DeletionGracePeriodSeconds)
	}
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"finalizers":["example.com/other"]}}`)))
	k.must(k.Status().Patch(k.ctx, one, merge(`{"status":{"phase":"Deleting"}}`)))
	k.read(one)
	one.Finalizers = nil
	k.must(k.Update(k.ctx, one))
	if !k.gone(one) {
		k.Error("the object outlives its last finalizer")
	}
}

func deletePreconditions(k *kit) {
	one := machine("one")
	k.make(one)
	uid, version := one.UID, one.ResourceVersion
	other := k.Delete(k.ctx, one, client.Preconditions{UID: new(uid + "0")})
	k.refused(other, metav1.StatusReasonConflict, http.StatusConflict)
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"1"}}}`)))
	stale := k.Delete(k.ctx, one, client.Preconditions{UID: new(uid), ResourceVersion: new(version)})
	k.refused(stale, metav1.StatusReasonConflict, http.StatusConflict)
	k.must(k.Delete(k.ctx, one, client.Preconditions{UID: new(uid), ResourceVersion: new(one.ResourceVersion)}))
	if !k.gone(one) {
		k.Error("the object is still there")
	}
	plain := configMap("one", nil)
	k.make(plain)
	k.refused(k.Delete(k.ctx, plain, client.Preconditions{UID: new(uid)}), metav1.StatusReasonConflict, http.StatusConflict)
	node := k.node("kept")
	k.refused(k.Delete(k.ctx, node, client.Preconditions{UID: new(uid)}), metav1.StatusReasonConflict, http.StatusConflict)
}

func deleteCollection(k *kit) {
	k.make(configMap("a", map[string]string{"x": "1"}), configMap("b", map[string]string{"x": "1"}), configMap("c", map[string]string{"x": "2"}))
	k.must(k.DeleteAllOf(k.ctx, &corev1.ConfigMap{}, client.InNamespace(k.ns), client.MatchingLabels{"x": "1"}))
	var list corev1.ConfigMapList
	k.must(k.List(k.ctx, &list, client.InNamespace(k.ns), client.HasLabels{"x"}))
	if got := names(list.Items); len(got) != 1 || got[0] != "c" {
		k.Errorf("left are %q, want c", got)
	}
}

func deleteTwice(k *kit) {
	one := machine("one")
	one.Finalizers = []string{v1beta1.FinalizerMachine}
	k.make(one)
	k.must(k.Delete(k.ctx, one))
	k.read(one)
	before := one.ResourceVersion
	k.must(k.Delete(k.ctx, one))
	k.read(one)
	if one.ResourceVersion != before {
		k.Errorf("a second deletion moved the object from %s to %s", before, one.ResourceVersion)
	}
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"finalizers":null}}`)))
}

func finalizersOnlyGo(k *kit) {
	one := machine("one")
	one.Finalizers = []string{v1beta1.FinalizerMachine}
	k.make(one)
	k.must(k.Delete(k.ctx, one))
	err := k.Patch(k.ctx, one, merge(`{"metadata":{"finalizers":["`+v1beta1.FinalizerMachine+`","example.com/late"]}}`))
	k.refused(err, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueForbidden metadata.finalizers")
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"finalizers":null}}`)))
}

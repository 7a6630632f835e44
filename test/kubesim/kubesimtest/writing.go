package kubesimtest

import (
	"net/http"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func writingCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"CreateFillsIn":                     createFillsIn,
		"CreateWhatIsThere":                 createExisting,
		"CreateWithAResourceVersion":        createWithVersion,
		"CreateInNoNamespace":               createInMissingNamespace,
		"CreateInANamespaceThatGoes":        createInDyingNamespace,
		"CreateMakesUpNames":                createGenerated,
		"CreateRefusesBadMetadata":          createBadMetadata,
		"CreateForgetsTheStatus":            createForgetsStatus,
		"UpdateOfAnOldState":                updateStale,
		"UpdateOfAnotherIncarnation":        updateOtherUID,
		"UpdateOfWhatIsNotThere":            updateMissing,
		"UpdateWithoutAResourceVersion":     updateUnconditional,
		"UpdateThatChangesNothing":          updateNothing,
		"UpdateKeepsWhatTheServerOwns":      updateKeepsSystemFields,
		"GenerationCountsSpecifications":    generationCounts,
		"StatusAndTheRestAreWrittenApart":   statusApart,
		"StatusOfAKindThatHasNone":          statusMissing,
		"StatusWritesKeepCustomMetadata":    statusKeepsMetadata,
		"TimesAreKeptAsFineAsTheirTypesAre": timesAreCut,
	}
}

func createFillsIn(k *kit) {
	began := time.Now().Add(-time.Second)
	for _, o := range []client.Object{configMap("one", nil), machine("one"), group("one"), unscheduled("one", nil)} {
		k.make(o)
		created := o.GetCreationTimestamp()
		if o.GetUID() == "" || o.GetResourceVersion() == "" {
			k.Errorf("%T has uid %q and resourceVersion %q", o, o.GetUID(), o.GetResourceVersion())
		}
		if created.Nanosecond() != 0 || created.Before(new(metav1.NewTime(began.Truncate(time.Second)))) {
			k.Errorf("%T was created at %v, want a whole second after %v", o, created, began)
		}
		want := int64(1)
		if _, plain := o.(*corev1.ConfigMap); plain {
			want = 0
		}
		if o.GetGeneration() != want {
			k.Errorf("%T is of generation %d, want %d", o, o.GetGeneration(), want)
		}
	}
}

func createExisting(k *kit) {
	k.make(machine("one"))
	k.refused(k.tryMake(machine("one")), metav1.StatusReasonAlreadyExists, http.StatusConflict)
}

func createWithVersion(k *kit) {
	one := configMap("one", nil)
	one.ResourceVersion = "1"
	k.refused(k.tryMake(one), "", http.StatusInternalServerError)
}

func createInMissingNamespace(k *kit) {
	one := configMap("one", nil)
	one.Namespace = k.ns + "-missing"
	k.refused(k.tryMake(one), metav1.StatusReasonNotFound, http.StatusNotFound)
}

func createInDyingNamespace(k *kit) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: k.ns + "-dying"}}
	k.make(ns)
	if ns.Labels[corev1.LabelMetadataName] != ns.Name || ns.Status.Phase != corev1.NamespaceActive {
		k.Errorf("the namespace has labels %v and phase %q", ns.Labels, ns.Status.Phase)
	}
	// What has a finalizer holds the namespace until the test lets it go.
	held := configMap("held", nil)
	held.Namespace, held.Finalizers = ns.Name, []string{"example.com/held"}
	k.make(held)
	k.must(k.Delete(k.ctx, ns))
	k.read(ns)
	if ns.Status.Phase != corev1.NamespaceTerminating || ns.DeletionTimestamp == nil {
		k.Errorf("the namespace is %s and was deleted at %v", ns.Status.Phase, ns.DeletionTimestamp)
	}
	late := configMap("late", nil)
	late.Namespace = ns.Name
	k.refused(k.tryMake(late), metav1.StatusReasonForbidden, http.StatusForbidden, string(corev1.NamespaceTerminatingCause)+" metadata.namespace")
	k.must(k.Patch(k.ctx, held, merge(`{"metadata":{"finalizers":null}}`)))
}

func createGenerated(k *kit) {
	seen := map[string]bool{}
	for range 5 {
		one := configMap("", nil)
		one.GenerateName = "made-"
		k.make(one)
		if rest, ok := strings.CutPrefix(one.Name, "made-"); !ok || len(rest) != 5 || seen[one.Name] {
			k.Errorf("the name is %q after %v", one.Name, seen)
		}
		seen[one.Name] = true
	}
}

func createBadMetadata(k *kit) {
	name := configMap("Upper", nil)
	k.refused(k.tryMake(name), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid metadata.name")
	label := configMap("label", map[string]string{"a": "not a value"})
	k.refused(k.tryMake(label), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid metadata.labels")
	none := configMap("", nil)
	k.refused(k.tryMake(none), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueRequired metadata.name")
	one := configMap("one", nil)
	k.make(one)
	k.refused(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"not a value"}}}`)),
		metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid metadata.labels")
}

func createForgetsStatus(k *kit) {
	one := machine("one")
	one.Status.Phase = v1beta1.PhaseReady
	k.make(one)
	pod := unscheduled("one", nil)
	pod.Status.Phase = corev1.PodRunning
	k.make(pod)
	budget := budgetOf("one", nil)
	budget.Status.DisruptionsAllowed = 3
	k.make(budget)
	if one.Status.Phase != "" || pod.Status.Phase != corev1.PodPending || budget.Status.DisruptionsAllowed != 0 {
		k.Errorf("the creations kept %q, %q and %d", one.Status.Phase, pod.Status.Phase, budget.Status.DisruptionsAllowed)
	}
}

func updateStale(k *kit) {
	for _, o := range []client.Object{configMap("one", nil), machine("one")} {
		k.make(o)
		stale := o.DeepCopyObject().(client.Object)
		o.SetLabels(map[string]string{"a": "1"})
		k.must(k.Update(k.ctx, o))
		stale.SetLabels(map[string]string{"a": "2"})
		k.refused(k.Update(k.ctx, stale), metav1.StatusReasonConflict, http.StatusConflict)
		k.refused(k.Update(k.ctx, stale), metav1.StatusReasonConflict, http.StatusConflict)
		stale.SetLabels(map[string]string{"a": "1"})
		k.refused(k.Update(k.ctx, stale), metav1.StatusReasonConflict, http.StatusConflict)
	}
	one := machine("two")
	k.make(one)
	stale := one.DeepCopy()
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"1"}}}`)))
	stale.Status.Phase = v1beta1.PhaseReady
	k.refused(k.Status().Update(k.ctx, stale), metav1.StatusReasonConflict, http.StatusConflict)
}

func updateOtherUID(k *kit) {
	one := configMap("one", nil)
	k.make(one)
	one.UID = "00000000-0000-4000-8000-ffffffffffff"
	k.refused(k.Update(k.ctx, one), metav1.StatusReasonConflict, http.StatusConflict)
}

func updateMissing(k *kit) {
	one := machine("one")
	k.make(one)
	k.must(k.Delete(k.ctx, one))
	k.refused(k.Update(k.ctx, one), metav1.StatusReasonNotFound, http.StatusNotFound)
	k.refused(k.Status().Update(k.ctx, one), metav1.StatusReasonNotFound, http.StatusNotFound)
	k.refused(k.Patch(k.ctx, one, merge(`{}`)), metav1.StatusReasonNotFound, http.StatusNotFound)
	k.refused(k.Delete(k.ctx, one), metav1.StatusReasonNotFound, http.StatusNotFound)
}

func updateUnconditional(k *kit) {
	one := configMap("one", nil)
	k.make(one)
	one.ResourceVersion, one.Data = "", map[string]string{"key": "other"}
	k.must(k.Update(k.ctx, one))
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
	for _, o := range []client.Object{lease, machine("one"), budgetOf("one", nil)} {
		k.make(o)
		o.SetResourceVersion("")
		k.refused(k.Update(k.ctx, o), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid metadata.resourceVersion")
	}
}

func updateNothing(k *kit) {
	one := machine("one")
	k.make(one)
	before := one.ResourceVersion
	w := k.watch(&v1beta1.VPSieNodeList{}, metav1.ListOptions{ResourceVersion: before})
	k.must(k.Update(k.ctx, one))
	k.must(k.Status().Update(k.ctx, one))
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"missing":null}}}`)))
	k.must(k.Status().Patch(k.ctx, one, merge(`{}`)))
	if one.ResourceVersion != before {
		k.Errorf("writes of nothing moved the object from %s to %s", before, one.ResourceVersion)
	}
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"1"}}}`)))
	e := w.want("MODIFIED one")[0].Object.(*v1beta1.VPSieNode)
	if e.Labels["a"] != "1" {
		k.Errorf("the first event is of a write that changed nothing: %v", e.Labels)
	}
	plain := configMap("one", nil)
	k.make(plain)
	before = plain.ResourceVersion
	k.must(k.Update(k.ctx, plain))
	if plain.ResourceVersion != before {
		k.Errorf("an update of nothing moved the object from %s to %s", before, plain.ResourceVersion)
	}
}

func updateKeepsSystemFields(k *kit) {
	one := machine("one")
	k.make(one)
	changed := one.DeepCopy()
	changed.CreationTimestamp, changed.Generation, changed.UID = metav1.NewTime(time.Unix(0, 0)), 7, ""
	changed.Labels = map[string]string{"a": "1"}
	k.must(k.Update(k.ctx, changed))
	if changed.UID != one.UID || !changed.CreationTimestamp.Equal(&one.CreationTimestamp) || changed.Generation != one.Generation || changed.DeletionTimestamp != nil {
		k.Errorf("the update changed %+v to %+v", one.ObjectMeta, changed.ObjectMeta)
	}
	changed.DeletionTimestamp = new(metav1.NewTime(time.Unix(0, 0)))
	k.refused(k.Update(k.ctx, changed), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid metadata.deletionTimestamp")
}

func generationCounts(k *kit) {
	one := machine("one")
	one.Finalizers = []string{v1beta1.FinalizerMachine}
	k.make(one)
	steps := []struct {
		what string
		do   func() error
		want int64
	}{
		{"label", func() error { return k.Patch(k.ctx, one, merge(`{"metadata":{"labels":{"a":"1"}}}`)) }, 1},
		{"status", func() error { return k.Status().Patch(k.ctx, one, merge(`{"status":{"phase":"Pending"}}`)) }, 1},
		{"specification", func() error {
			return k.Patch(k.ctx, one, merge(`{"spec":{"retirement":{"kind":"ScaleDown","decisionID":"d","reason":"r"}}}`))
		}, 2},
		{"deletion", func() error { return k.Delete(k.ctx, one) }, 3},
		{"second deletion", func() error { return k.Delete(k.ctx, one) }, 3},
	}
	for _, step := range steps {
		k.must(step.do())
		k.read(one)
		if one.Generation != step.want {
			k.Errorf("after the %s the generation is %d, want %d", step.what, one.Generation, step.want)
		}
	}
	k.must(k.Patch(k.ctx, one, merge(`{"metadata":{"finalizers":null}}`)))
	budget := budgetOf("one", nil)
	k.make(budget)
	k.must(k.Patch(k.ctx, budget, merge(`{"spec":{"minAvailable":2}}`)))
	if budget.Generation != 2 {
		k.Errorf("the budget's generation is %d, want 2", budget.Generation)
	}
}

func statusApart(k *kit) {
	one := machine("one")
	k.make(one)
	k.must(k.Patch(k.ctx, one, merge(`{"status":{"phase":"Ready"},"spec":{"retirement":{"kind":"ScaleDown","decisionID":"d","reason":"r"}}}`)))
	if one.Status.Phase != "" || one.Spec.Retirement == nil {
		k.Errorf("a write to the object set phase %q and retirement %v", one.Status.Phase, one.Spec.Retirement)
	}
	k.must(k.Status().Patch(k.ctx, one, merge(`{"status":{"phase":"Ready"},"spec":{"retirement":null}}`)))
	if one.Status.Phase != v1beta1.PhaseReady || one.Spec.Retirement == nil {
		k.Errorf("a write to the status set phase %q and retirement %v", one.Status.Phase, one.Spec.Retirement)
	}
	g := group("one")
	k.make(g)
	g.Status.Nodes, g.Spec.MaxNodes = 5, 6
	k.must(k.Update(k.ctx, g))
	if g.Status.Nodes != 0 || g.Spec.MaxNodes != 6 {
		k.Errorf("a write to the group set %d nodes and maxNodes %d", g.Status.Nodes, g.Spec.MaxNodes)
	}
	g.Status.Nodes, g.Spec.MaxNodes = 5, 7
	k.must(k.Status().Update(k.ctx, g))
	if g.Status.Nodes != 5 || g.Spec.MaxNodes != 6 {
		k.Errorf("a write to the group's status set %d nodes and maxNodes %d", g.Status.Nodes, g.Spec.MaxNodes)
	}
	pod := unscheduled("one", nil)
	k.make(pod)
	pod.Status.Phase, pod.Spec.ActiveDeadlineSeconds = corev1.PodRunning, new(int64(60))
	k.must(k.Update(k.ctx, pod))
	if pod.Status.Phase != corev1.PodPending || pod.Spec.ActiveDeadlineSeconds == nil {
		k.Errorf("a write to the pod set phase %s and deadline %v", pod.Status.Phase, pod.Spec.ActiveDeadlineSeconds)
	}
	pod.Status.Phase, pod.Spec.ActiveDeadlineSeconds = corev1.PodRunning, new(int64(30))
	k.must(k.Status().Update(k.ctx, pod))
	if pod.Status.Phase != corev1.PodRunning || *pod.Spec.ActiveDeadlineSeconds != 60 {
		k.Errorf("a write to the pod's status set phase %s and deadline %d", pod.Status.Phase, *pod.Spec.ActiveDeadlineSeconds)
	}
}

func statusMissing(k *kit) {
	one := configMap("one", nil)
	k.make(one)
	k.refused(k.Status().Update(k.ctx, one), metav1.StatusReasonNotFound, http.StatusNotFound)
}

func statusKeepsMetadata(k *kit) {
	one, pod := machine("one"), unscheduled("one", nil)
	k.make(one, pod)
	written := `{"metadata":{"labels":{"a":"1"},"annotations":{"b":"2"},"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"y"}]},"status":{"phase":"Failed"}}`
	k.must(k.Status().Patch(k.ctx, one, merge(written)))
	if len(one.Labels)+len(one.Annotations)+len(one.OwnerReferences) != 0 || one.Status.Phase != v1beta1.PhaseFailed {
		k.Errorf("the status write left %+v", one.ObjectMeta)
	}
	k.must(k.Status().Patch(k.ctx, pod, merge(written)))
	if pod.Labels["a"] != "1" || pod.Annotations["b"] != "2" || len(pod.OwnerReferences) != 0 {
		k.Errorf("the status write left %+v", pod.ObjectMeta)
	}
}

func timesAreCut(k *kit) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: coordinationv1.LeaseSpec{RenewTime: new(metav1.NewMicroTime(at))}}
	k.make(lease)
	k.read(lease)
	if want := at.Truncate(time.Microsecond); !lease.Spec.RenewTime.Time.Equal(want) {
		k.Errorf("the lease was renewed at %v, want %v", lease.Spec.RenewTime, want)
	}
	one := machine("one")
	k.make(one)
	one.Status.ReadyAt = new(metav1.NewTime(at))
	k.must(k.Status().Update(k.ctx, one))
	k.read(one)
	if want := at.Truncate(time.Second); !one.Status.ReadyAt.Time.Equal(want) {
		k.Errorf("the machine was ready at %v, want %v", one.Status.ReadyAt, want)
	}
}

// budgetOf is a budget that keeps one of the pods that have the labels.
func budgetOf(name string, of map[string]string) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: of}},
	}
}

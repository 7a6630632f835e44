package kubesimtest

import (
	"net/http"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func podCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"PodIsCompleted":                 podDefaults,
		"PodIsBoundOnce":                 podBinding,
		"PodThatIsGatedIsNotBound":       podGated,
		"PodSpecIsFixed":                 podFixed,
		"PodWithoutANodeGoesAtOnce":      podUnboundDeletion,
		"PodOnANodeGoesInTwoSteps":       podGracefulDeletion,
		"PodThatEndedGoesAtOnce":         podEndedDeletion,
		"PodDeletionMayOnlyBeHastened":   podHastened,
		"PodWithAFinalizerOutlivesGrace": podHeld,
	}
}

func podDefaults(k *kit) {
	pod := unscheduled("one", nil)
	pod.Spec.SchedulerName = ""
	pod.Spec.NodeSelector = map[string]string{"nowhere": k.ns}
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")},
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
	}
	k.make(pod)
	type seen struct {
		Scheduler   string
		Restart     corev1.RestartPolicy
		DNS         corev1.DNSPolicy
		Grace       int64
		Phase       corev1.PodPhase
		Priority    int32
		Preemption  corev1.PreemptionPolicy
		CPU, Memory string
		Tolerations []corev1.Toleration
	}
	requests := pod.Spec.Containers[0].Resources.Requests
	got := seen{
		pod.Spec.SchedulerName, pod.Spec.RestartPolicy, pod.Spec.DNSPolicy, *pod.Spec.TerminationGracePeriodSeconds, pod.Status.Phase,
		*pod.Spec.Priority, *pod.Spec.PreemptionPolicy, requests.Cpu().String(), requests.Memory().String(), pod.Spec.Tolerations,
	}
	stays := func(key string) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(300))}
	}
	want := seen{
		"default-scheduler", corev1.RestartPolicyAlways, corev1.DNSClusterFirst, 30, corev1.PodPending, 0, corev1.PreemptLowerPriority, "1", "1Gi",
		[]corev1.Toleration{stays(corev1.TaintNodeNotReady), stays(corev1.TaintNodeUnreachable)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		k.Errorf("the pod is not as wanted (-want +got):\n%s", diff)
	}
}

func (k *kit) bind(pod *corev1.Pod, node string) error {
	return k.SubResource("binding").Create(k.ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}})
}

func podBinding(k *kit) {
	pod := unscheduled("one", nil)
	k.make(pod)
	node := k.ns + "-node"
	k.must(k.bind(pod, node))
	k.read(pod)
	var scheduled corev1.ConditionStatus
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			scheduled = c.Status
		}
	}
	if pod.Spec.NodeName != node || scheduled != corev1.ConditionTrue {
		k.Errorf("the pod is on %q, scheduled %q", pod.Spec.NodeName, scheduled)
	}
	k.refused(k.bind(pod, node), metav1.StatusReasonConflict, http.StatusConflict)
	k.refused(k.bind(pod, ""), "", http.StatusInternalServerError)
	missing := unscheduled("missing", nil)
	missing.Namespace = k.ns
	k.refused(k.bind(missing, node), metav1.StatusReasonNotFound, http.StatusNotFound)
}

func podGated(k *kit) {
	pod := unscheduled("one", nil)
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
	k.make(pod)
	if len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Reason != corev1.PodReasonSchedulingGated {
		k.Errorf("the gated pod's conditions are %+v", pod.Status.Conditions)
	}
	k.refused(k.bind(pod, k.ns+"-node"), metav1.StatusReasonConflict, http.StatusConflict)
	k.must(k.Patch(k.ctx, pod, merge(`{"spec":{"schedulingGates":null}}`)))
	k.must(k.bind(pod, k.ns+"-node"))
}

func podFixed(k *kit) {
	pod := unscheduled("one", nil)
	k.make(pod)
	for _, change := range []string{
		`{"spec":{"nodeName":"a"}}`, `{"spec":{"nodeSelector":{"a":"b"}}}`, `{"spec":{"schedulerName":"other"}}`,
	} {
		k.refused(k.Patch(k.ctx, pod.DeepCopy(), merge(change)), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueForbidden spec")
	}
	k.must(k.Patch(k.ctx, pod, merge(`{"metadata":{"labels":{"a":"1"}},"spec":{"activeDeadlineSeconds":60}}`)))
}

func podUnboundDeletion(k *kit) {
	pod := unscheduled("one", nil)
	k.make(pod)
	k.must(k.Delete(k.ctx, pod))
	if !k.gone(pod) {
		k.Error("the pod is still there")
	}
}

// bound is a pod on a node that is run by nobody.
func (k *kit) bound(name string, labels map[string]string) *corev1.Pod {
	k.Helper()
	pod := unscheduled(name, labels)
	pod.Spec.NodeName = k.ns + "-node"
	k.make(pod)
	return pod
}

func podGracefulDeletion(k *kit) {
	pod := k.bound("one", nil)
	began := time.Now()
	k.must(k.Delete(k.ctx, pod))
	k.read(pod)
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil || *pod.DeletionGracePeriodSeconds != 30 {
		k.Fatalf("the pod was deleted at %v with a grace period of %v", pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds)
	}
	until := pod.DeletionTimestamp.Sub(began)
	if until < 28*time.Second || until > 30*time.Second+patience {
		k.Errorf("the pod has %v left, want 30 s", until)
	}
	if pod.Generation != 2 {
		k.Errorf("the generation is %d, want 2", pod.Generation)
	}
	before := pod.ResourceVersion
	k.must(k.Delete(k.ctx, pod))
	k.read(pod)
	if pod.ResourceVersion != before {
		k.Error("a second deletion changed the pod")
	}
	// The kubelet reports the end and then deletes.
	pod.Status.Phase = corev1.PodSucceeded
	k.must(k.Status().Update(k.ctx, pod))
	k.must(k.Delete(k.ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: new(pod.UID)}))
	if !k.gone(pod) {
		k.Error("the pod is still there")
	}
}

func podEndedDeletion(k *kit) {
	pod := k.bound("one", nil)
	pod.Status.Phase = corev1.PodFailed
	k.must(k.Status().Update(k.ctx, pod))
	k.must(k.Delete(k.ctx, pod))
	if !k.gone(pod) {
		k.Error("the pod is still there")
	}
}

func podHastened(k *kit) {
	pod := k.bound("one", nil)
	k.must(k.Delete(k.ctx, pod, client.GracePeriodSeconds(100)))
	k.read(pod)
	first := pod.DeletionTimestamp.Time
	k.must(k.Delete(k.ctx, pod, client.GracePeriodSeconds(200)))
	k.read(pod)
	if !pod.DeletionTimestamp.Time.Equal(first) || *pod.DeletionGracePeriodSeconds != 100 {
		k.Errorf("the deletion was put off from %v to %v", first, pod.DeletionTimestamp)
	}
	k.must(k.Delete(k.ctx, pod, client.GracePeriodSeconds(40)))
	k.read(pod)
	if want := first.Add(-60 * time.Second); !pod.DeletionTimestamp.Time.Equal(want) || *pod.DeletionGracePeriodSeconds != 40 {
		k.Errorf("the deletion is due at %v with %d s, want %v and 40 s", pod.DeletionTimestamp, *pod.DeletionGracePeriodSeconds, want)
	}
	k.must(k.Delete(k.ctx, pod, client.GracePeriodSeconds(0)))
	if !k.gone(pod) {
		k.Error("the pod is still there")
	}
}

func podHeld(k *kit) {
	pod := unscheduled("one", nil)
	pod.Finalizers = []string{"example.com/held"}
	k.make(pod)
	k.must(k.Delete(k.ctx, pod))
	k.read(pod)
	if pod.DeletionTimestamp == nil || *pod.DeletionGracePeriodSeconds != 0 {
		k.Errorf("the pod was deleted at %v", pod.DeletionTimestamp)
	}
	k.must(k.Patch(k.ctx, pod, merge(`{"metadata":{"finalizers":null}}`)))
	if !k.gone(pod) {
		k.Error("the pod is still there")
	}
}

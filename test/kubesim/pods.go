package kubesim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	podGraceSeconds = 30
	// unreachableSeconds is how long a pod stays on a node that is not ready, unless it says otherwise.
	unreachableSeconds = 300
)

// newPod is what the API server and its admission make of a new pod.
func newPod(o client.Object) {
	pod := o.(*corev1.Pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	if pod.Spec.Priority == nil && pod.Spec.PriorityClassName == "" {
		pod.Spec.Priority = new(int32(0))
	}
	if pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = new(corev1.PreemptLowerPriority)
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		tolerateForAWhile(&pod.Spec, key)
	}
	if len(pod.Spec.SchedulingGates) > 0 {
		setPodCondition(&pod.Status, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	}
}

// defaultPod completes what a client leaves out.
func defaultPod(o client.Object) {
	pod := o.(*corev1.Pod)
	defaultPodSpec(&pod.Spec)
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			requestLimits(&containers[i].Resources)
		}
	}
}

// defaultPodSpec sets what schedulers, kubelets and drains look at; it holds for templates as well.
func defaultPodSpec(spec *corev1.PodSpec) {
	if spec.RestartPolicy == "" {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if spec.DNSPolicy == "" {
		spec.DNSPolicy = corev1.DNSClusterFirst
	}
	if spec.SchedulerName == "" {
		spec.SchedulerName = corev1.DefaultSchedulerName
	}
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = new(int64(podGraceSeconds))
	}
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
}

// requestLimits makes a limit without a request the request as well.
func requestLimits(resources *corev1.ResourceRequirements) {
	for name, limit := range resources.Limits {
		if resources.Requests == nil {
			resources.Requests = corev1.ResourceList{}
		}
		if _, ok := resources.Requests[name]; !ok {
			resources.Requests[name] = limit
		}
	}
}

func tolerateForAWhile(spec *corev1.PodSpec, key string) {
	tolerated := slices.ContainsFunc(spec.Tolerations, func(t corev1.Toleration) bool {
		return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
	})
	if !tolerated {
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(unreachableSeconds)),
		})
	}
}

// podStatusUpdate keeps what nobody changes through the status.
func podStatusUpdate(o, old client.Object) {
	o.SetOwnerReferences(old.GetOwnerReferences())
	o.SetDeletionTimestamp(old.GetDeletionTimestamp())
}

// validatePod refuses changes of what is fixed once a pod exists.
func validatePod(o, old client.Object) field.ErrorList {
	pod := o.(*corev1.Pod)
	path := field.NewPath("spec")
	if old == nil {
		if len(pod.Spec.Containers) == 0 {
			return field.ErrorList{field.Required(path.Child("containers"), "")}
		}
		return nil
	}
	was := old.(*corev1.Pod)
	mutable := pod.Spec
	mutable.Containers, mutable.InitContainers = withImages(was.Spec.Containers, pod.Spec.Containers), withImages(was.Spec.InitContainers, pod.Spec.InitContainers)
	fixed := was.Spec
	fixed.Containers, fixed.InitContainers = mutable.Containers, mutable.InitContainers
	fixed.ActiveDeadlineSeconds, fixed.TerminationGracePeriodSeconds = mutable.ActiveDeadlineSeconds, mutable.TerminationGracePeriodSeconds
	fixed.Tolerations, fixed.SchedulingGates = mutable.Tolerations, mutable.SchedulingGates
	if len(was.Spec.SchedulingGates) > 0 {
		fixed.NodeSelector, fixed.Affinity = mutable.NodeSelector, mutable.Affinity
	}
	var problems field.ErrorList
	if len(pod.Spec.SchedulingGates) > len(was.Spec.SchedulingGates) {
		problems = append(problems, field.Forbidden(path.Child("schedulingGates"), "only deletion is allowed"))
	}
	mutable.Containers, mutable.InitContainers = pod.Spec.Containers, pod.Spec.InitContainers
	if !equality.Semantic.DeepEqual(mutable, fixed) {
		problems = append(problems, field.Forbidden(path, "pod updates may not change fields other than "+
			"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"+
			"`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "+
			"(allow it to be set to 1 if it was previously negative)"))
	}
	return problems
}

// withImages returns containers with the images of others.
func withImages(containers, others []corev1.Container) []corev1.Container {
	if len(containers) != len(others) {
		return containers
	}
	mixed := slices.Clone(containers)
	for i := range mixed {
		mixed[i].Image = others[i].Image
	}
	return mixed
}

// podGrace is how long the kubelet has to end a pod.
func podGrace(o client.Object, options *metav1.DeleteOptions) int64 {
	pod := o.(*corev1.Pod)
	switch {
	case pod.Spec.NodeName == "", pod.Status.Phase == corev1.PodFailed, pod.Status.Phase == corev1.PodSucceeded:
		return 0
	case options.GracePeriodSeconds != nil:
		return *options.GracePeriodSeconds
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		return max(*pod.Spec.TerminationGracePeriodSeconds, 1)
	}
	return 0
}

// bind puts a pod on a node.
func (s *Server) bind(req Request, b *corev1.Binding) error {
	r := s.resources.pods
	if b.Target.Name == "" {
		return field.Required(field.NewPath("target", "name"), "")
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	old := s.stored(r, client.ObjectKey{Namespace: req.Namespace, Name: req.Name})
	if old == nil {
		return apierrors.NewNotFound(r.group(), req.Name)
	}
	pod := r.shallowCopy(old.object).(*corev1.Pod)
	if why := unbindable(pod, b); why != nil {
		return apierrors.NewConflict(corev1.Resource("pods/binding"), req.Name, why)
	}
	pod.Spec.NodeName = b.Target.Name
	pod.Status.NominatedNodeName, pod.ManagedFields = "", nil
	if len(b.Annotations) > 0 {
		pod.Annotations = maps.Clone(pod.Annotations)
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		maps.Copy(pod.Annotations, b.Annotations)
	}
	setPodCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	_, err := s.storeUpdate(req, old, pod)
	return err
}

func unbindable(pod *corev1.Pod, b *corev1.Binding) error {
	switch {
	case b.UID != "" && b.UID != pod.UID:
		return errOtherUID(b.UID, pod.UID)
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return errors.New("pod " + pod.Name + " has non-empty .spec.schedulingGates")
	}
	return nil
}

func bindingTo(namespace, pod, node string) *corev1.Binding {
	return &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// setPodCondition writes one condition without touching what other revisions share.
func setPodCondition(status *corev1.PodStatus, c corev1.PodCondition) {
	status.Conditions = slices.Clone(status.Conditions)
	c.LastTransitionTime = now()
	i := slices.IndexFunc(status.Conditions, func(o corev1.PodCondition) bool { return o.Type == c.Type })
	if i < 0 {
		status.Conditions = append(status.Conditions, c)
		return
	}
	if status.Conditions[i].Status == c.Status {
		c.LastTransitionTime = status.Conditions[i].LastTransitionTime
	}
	status.Conditions[i] = c
}

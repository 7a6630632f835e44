package app

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Pod is what is kept of a pod, or of the template of a DaemonSet's pods: what shapes are made of. A large cluster has tens of
// thousands, so what pods of one owner have in common is kept once. It is not changed once made.
type Pod struct {
	Namespace, Name string
	UID             types.UID
	// ResourceVersion is for the informer that keeps the pod.
	ResourceVersion             string
	CreationTimestamp           time.Time
	NodeName, NominatedNodeName string
	// NominatedByPlanner says that it was the planner who nominated the pod, so that it waits for a new machine and not for a preemption.
	NominatedByPlanner bool
	// Unscheduled is the reason for which the scheduler did not place the pod, empty where it has not said so.
	Unscheduled string
	// Finished pods have ended, Terminating ones are being deleted, Unready ones run and are not Ready, and Gated ones do not
	// want a node yet.
	Finished, Terminating, Unready, Gated bool
	// ProtectionEnds is when a protection ends by itself, zero for none that does.
	ProtectionEnds time.Time

	*podMeta
	spec    *corev1.PodSpec
	volumes *[]corev1.Volume
	// resized is what a pod has that has something else than it asks for, and started when one started whose protection
	// ends with a time after that; nil for most.
	resized *corev1.PodStatus
	started *metav1.Time
}

// podMeta is what pods of one owner usually have in common.
type podMeta struct {
	Labels, Annotations map[string]string
	// Owner is the controller, nil for none.
	Owner *metav1.OwnerReference
}

var _ metav1.ObjectMetaAccessor = (*Pod)(nil)

// GetObjectMeta is what an informer tells pods apart by.
func (p *Pod) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion}
}

// compactor makes Pods. It is safe for concurrent use.
type compactor struct {
	metas   *interned[podMeta]
	specs   *interned[corev1.PodSpec]
	volumes *interned[[]corev1.Volume]
}

func newCompactor() *compactor {
	return &compactor{metas: newInterned[podMeta](), specs: newInterned[corev1.PodSpec](), volumes: newInterned[[]corev1.Volume]()}
}

// Compact keeps of a pod what the ledger needs; the pod itself can be forgotten. It may be called by many at a time.
func (l *Ledger) Compact(pod *corev1.Pod) (*Pod, error) { return l.compactor.compact(pod) }

func (c *compactor) compact(pod *corev1.Pod) (*Pod, error) {
	out := &Pod{
		Namespace: intern(pod.Namespace), Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, CreationTimestamp: pod.CreationTimestamp.Time,
		NodeName: intern(pod.Spec.NodeName), NominatedNodeName: intern(pod.Status.NominatedNodeName), NominatedByPlanner: isNominatedByPlanner(pod),
		Finished:    pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,
		Terminating: pod.DeletionTimestamp != nil, Gated: len(pod.Spec.SchedulingGates) > 0,
		ProtectionEnds: scheduling.ProtectionEnds(pod),
	}
	for _, condition := range pod.Status.Conditions {
		switch {
		case condition.Status != corev1.ConditionFalse:
		case condition.Type == corev1.PodScheduled:
			out.Unscheduled = intern(condition.Reason)
		case condition.Type == corev1.PodReady:
			out.Unready = pod.Status.Phase == corev1.PodRunning
		}
	}
	if isResized(pod) {
		out.resized = statusOf(&pod.Status)
	}
	if !out.ProtectionEnds.IsZero() {
		out.started = pod.Status.StartTime
	}
	return out, c.share(out, pod)
}

// isNominatedByPlanner looks at who owns the nomination, which nothing but managed fields tells.
func isNominatedByPlanner(pod *corev1.Pod) bool {
	return pod.Status.NominatedNodeName != "" && slices.ContainsFunc(pod.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == v1beta1.FieldManagerNominations && f.FieldsV1 != nil && bytes.Contains(f.FieldsV1.GetRawBytes(), []byte(`"f:nominatedNodeName"`))
	})
}

// share has the pod use what others have as well.
func (c *compactor) share(out *Pod, pod *corev1.Pod) error {
	meta := metav1.ObjectMeta{Labels: pod.Labels, Annotations: ReadAnnotations(pod.Annotations)}
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner != nil {
		owner = &metav1.OwnerReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Controller: owner.Controller}
		meta.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	encodedMeta, err := meta.Marshal()
	if err != nil {
		return fmt.Errorf("encode metadata of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	spec, volumes := specOf(&pod.Spec), volumesOf(pod.Spec.Volumes)
	if owner != nil && owner.Kind == kindDaemonSet {
		spec.Affinity = scheduling.WithoutNodeName(spec.Affinity)
	}
	encodedSpec, err := spec.Marshal()
	if err != nil {
		return fmt.Errorf("encode specification of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	encodedVolumes, err := (&corev1.PodSpec{Volumes: volumes}).Marshal()
	if err != nil {
		return fmt.Errorf("encode volumes of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	out.podMeta = c.metas.of(encodedMeta, podMeta{Labels: pod.Labels, Annotations: meta.Annotations, Owner: owner})
	out.spec, out.volumes = c.specs.of(encodedSpec, spec), c.volumes.of(encodedVolumes, volumes)
	return nil
}

// object is the pod as far as shapes are made of it. What it refers to must not be changed.
func (p *Pod) object() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, UID: p.UID, CreationTimestamp: metav1.NewTime(p.CreationTimestamp),
			Labels: p.Labels, Annotations: p.Annotations,
		},
		Spec: *p.spec,
	}
	pod.Spec.Volumes, pod.Spec.NodeName = *p.volumes, p.NodeName
	if p.Owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{*p.Owner}
	}
	if p.Terminating {
		pod.DeletionTimestamp = &pod.CreationTimestamp // when it was told to end is nobody's concern
	}
	if p.resized != nil {
		pod.Status = *p.resized
	}
	pod.Status.StartTime = p.started
	return pod
}

// ownerUID names the pod's controller, empty for none.
func (p *Pod) ownerUID() types.UID {
	if p.Owner == nil {
		return ""
	}
	return p.Owner.UID
}

// readDomains are the ends of the domains whose annotations say something to an autoscaler.
var readDomains = []string{"autoscaler.kubernetes.io", "autoscaling.kubernetes.io", "karpenter.sh", "autoscaler.vpsie.com"}

// ReadAnnotations are those of an object's annotations that say something to an autoscaler.
func ReadAnnotations(annotations map[string]string) map[string]string {
	var kept map[string]string
	for key, value := range annotations {
		domain, _, _ := strings.Cut(key, "/")
		for _, end := range readDomains {
			if strings.HasSuffix(domain, end) {
				if kept == nil {
					kept = map[string]string{}
				}
				kept[key] = value
			}
		}
	}
	return kept
}

func specOf(spec *corev1.PodSpec) corev1.PodSpec {
	return corev1.PodSpec{
		NodeSelector: spec.NodeSelector, Affinity: spec.Affinity, Tolerations: spec.Tolerations, TopologySpreadConstraints: spec.TopologySpreadConstraints,
		SchedulerName: spec.SchedulerName, ResourceClaims: spec.ResourceClaims, PriorityClassName: spec.PriorityClassName, Priority: spec.Priority,
		Overhead: spec.Overhead, Resources: spec.Resources, HostNetwork: spec.HostNetwork,
		InitContainers: containersOf(spec.InitContainers), Containers: containersOf(spec.Containers),
	}
}

func containersOf(containers []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, 0, len(containers))
	for i := range containers {
		c := &containers[i]
		kept := corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
		for _, port := range c.Ports {
			if port.HostPort > 0 {
				kept.Ports = append(kept.Ports, port)
			}
		}
		out = append(out, kept)
	}
	return out
}

// volumesOf are the volumes that tie a pod to a node: claims and what is on the node itself.
func volumesOf(volumes []corev1.Volume) []corev1.Volume {
	var kept []corev1.Volume
	for i := range volumes {
		v := corev1.Volume{Name: volumes[i].Name}
		switch of := volumes[i].VolumeSource; {
		case of.PersistentVolumeClaim != nil:
			v.PersistentVolumeClaim = of.PersistentVolumeClaim
		case of.Ephemeral != nil:
			v.Ephemeral = &corev1.EphemeralVolumeSource{}
		case of.HostPath != nil:
			v.HostPath = &corev1.HostPathVolumeSource{}
		case of.EmptyDir != nil:
			v.EmptyDir = &corev1.EmptyDirVolumeSource{Medium: of.EmptyDir.Medium}
		default:
			continue
		}
		kept = append(kept, v)
	}
	return kept
}

// isResized reports whether what a pod has differs from what it asks for.
func isResized(pod *corev1.Pod) bool {
	differs := func(asked, has corev1.ResourceList) bool { return has != nil && !sameAmounts(asked, has) }
	asked := map[string]corev1.ResourceList{}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			asked[containers[i].Name] = containers[i].Resources.Requests
		}
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			s := &statuses[i]
			if differs(asked[s.Name], s.AllocatedResources) || s.Resources != nil && differs(asked[s.Name], s.Resources.Requests) {
				return true
			}
		}
	}
	return pod.Status.Resources != nil || pod.Status.AllocatedResources != nil || len(resizeConditions(&pod.Status)) > 0
}

// resizeConditions say whether a resize can be done.
func resizeConditions(status *corev1.PodStatus) []corev1.PodCondition {
	var kept []corev1.PodCondition
	for _, c := range status.Conditions {
		if c.Type == corev1.PodResizePending {
			kept = append(kept, corev1.PodCondition{Type: c.Type, Status: c.Status, Reason: c.Reason})
		}
	}
	return kept
}

func sameAmounts(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, amount := range a {
		if other, has := b[name]; !has || amount.Cmp(other) != 0 {
			return false
		}
	}
	return true
}

func statusOf(status *corev1.PodStatus) *corev1.PodStatus {
	return &corev1.PodStatus{
		Conditions:            resizeConditions(status),
		InitContainerStatuses: statusesOf(status.InitContainerStatuses), ContainerStatuses: statusesOf(status.ContainerStatuses),
		Resources: status.Resources, AllocatedResources: status.AllocatedResources,
	}
}

func statusesOf(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	out := make([]corev1.ContainerStatus, 0, len(statuses))
	for i := range statuses {
		s := &statuses[i]
		out = append(out, corev1.ContainerStatus{Name: s.Name, Resources: s.Resources, AllocatedResources: s.AllocatedResources})
	}
	return out
}

package app

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// daemonEntry is what is kept of a DaemonSet: one of Kubernetes, or one that is known by its pods alone, of another API group.
type daemonEntry struct {
	// name is namespace/name.
	name string
	// generation is that of the template, as its pods say it in a label; empty when nobody says.
	generation string
	// shape is that of the pods as they run, or of the template while none does. It is outdated while stale.
	shape scheduling.ShapeID
	stale bool
}

// askedMax is how many of a DaemonSet's newest pods say what the next will be like.
const askedMax = 5

// How a DaemonSet and its pods tell the generation of the template.
const (
	annotationTemplateGeneration = "deprecated.daemonset.template.generation"
	labelTemplateGeneration      = "pod-template-generation"
)

// SetDaemonSet takes the newest version of a DaemonSet.
func (l *Ledger) SetDaemonSet(set *appsv1.DaemonSet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := set.Namespace + "/" + set.Name
	l.daemonSets[name] = set.UID
	l.daemonOf(set.UID, name).generation = set.Annotations[annotationTemplateGeneration]
	return errors.Join(l.setTemplate(daemonPod(set)), l.settle())
}

// setTemplate takes in what a DaemonSet's pods look like.
func (l *Ledger) setTemplate(pod *corev1.Pod) error {
	l.prioritise(pod)
	compact, err := l.Compact(pod)
	if err == nil {
		l.set(compact, true)
	}
	return err
}

// DeleteDaemonSet forgets a DaemonSet.
func (l *Ledger) DeleteDaemonSet(namespacedName string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(l.daemonSets[namespacedName])
	delete(l.daemonSets, namespacedName)
	l.touch()
	return l.settle()
}

// daemonOf is the entry of a DaemonSet, a new one where there is none; what it knows of pods is outdated.
func (l *Ledger) daemonOf(uid types.UID, name string) *daemonEntry {
	entry := l.daemons[uid]
	if entry == nil {
		entry = &daemonEntry{name: name}
		l.daemons[uid] = entry
	}
	entry.stale = true
	return entry
}

// outdateDaemon notes that a pod of a DaemonSet came, went or changed.
func (l *Ledger) outdateDaemon(pod *Pod) {
	if pod.Owner != nil && pod.Owner.Kind == kindDaemonSet {
		l.daemonOf(pod.Owner.UID, pod.Namespace+"/"+pod.Owner.Name)
	}
}

// daemonShapes are the shapes of the pods that new nodes will run, by namespace/name of the DaemonSet.
func (l *Ledger) daemonShapes() map[string]scheduling.ShapeID {
	out := make(map[string]scheduling.ShapeID, len(l.daemons))
	for uid, entry := range l.daemons {
		if entry.stale {
			entry.shape, entry.stale = l.daemonShape(uid, entry.generation), false
		}
		if entry.shape == "" {
			delete(l.daemons, uid)
			continue
		}
		out[entry.name] = entry.shape
	}
	return out
}

// withoutTemplates leaves the shapes out that only templates have whose pods run as something else.
func (l *Ledger) withoutTemplates(c *feed.Contents) {
	for name, uid := range l.daemonSets {
		template := l.pods[uid]
		if template == nil || template.shape == c.DaemonSets[name] {
			continue
		}
		if entry := l.shapes[template.shape]; entry != nil && entry.uses == 1 {
			delete(c.Shapes, template.shape)
		}
	}
}

// daemonShape is what most of the newest pods of a DaemonSet's template are, of equally many the newest: limit ranges, vertical
// autoscalers and webhooks make of pods what the template does not say.
func (l *Ledger) daemonShape(uid types.UID, generation string) scheduling.ShapeID {
	var template scheduling.ShapeID
	var pods []*podEntry
	for entry := range l.owned[uid] {
		of := entry.pod.Labels[labelTemplateGeneration]
		switch {
		case entry.template:
			template = entry.shape
		case entry.state == podBound && !entry.pod.Terminating && (generation == "" || of == "" || of == generation):
			pods = append(pods, entry)
		}
	}
	slices.SortFunc(pods, func(a, b *podEntry) int {
		return cmp.Or(b.pod.CreationTimestamp.Compare(a.pod.CreationTimestamp), cmp.Compare(a.pod.Name, b.pod.Name))
	})
	votes := map[scheduling.ShapeID]int{}
	best := template
	for _, entry := range pods[:min(len(pods), askedMax)] {
		votes[entry.shape]++
	}
	for _, entry := range pods[:min(len(pods), askedMax)] {
		if votes[entry.shape] > votes[best] {
			best = entry.shape
		}
	}
	return best
}

// daemonPod is the pod that the DaemonSet controller makes, with the tolerations it adds, as the API server completes it.
func daemonPod(set *appsv1.DaemonSet) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: set.Name, UID: set.UID,
			Labels: set.Spec.Template.Labels, Annotations: set.Spec.Template.Annotations,
			OwnerReferences: []metav1.OwnerReference{{Kind: kindDaemonSet, Name: set.Name, UID: set.UID, Controller: new(true)}},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	pod.Spec.Tolerations = withDaemonTolerations(&pod.Spec)
	complete(&pod.Spec)
	return pod
}

// withDaemonTolerations adds the tolerations that every pod of a DaemonSet has, as far as they are missing.
func withDaemonTolerations(spec *corev1.PodSpec) []corev1.Toleration {
	tolerations := slices.Clone(spec.Tolerations)
	add := func(effect corev1.TaintEffect, keys ...string) {
		for _, key := range keys {
			toleration := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
			if !slices.Contains(tolerations, toleration) {
				tolerations = append(tolerations, toleration)
			}
		}
	}
	add(corev1.TaintEffectNoExecute, corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable)
	add(corev1.TaintEffectNoSchedule, corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure, corev1.TaintNodePIDPressure, corev1.TaintNodeUnschedulable)
	if spec.HostNetwork {
		add(corev1.TaintEffectNoSchedule, corev1.TaintNodeNetworkUnavailable)
	}
	return tolerations
}

// complete does what the API server does to a pod, and not to a template: limits are requests where there are none, and a port of
// a container in the host's network is one of the host.
func complete(spec *corev1.PodSpec) {
	if spec.Resources != nil {
		spec.Resources.Requests = requestsOf(spec.Resources)
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			c.Resources.Requests = requestsOf(&c.Resources)
			for j := range c.Ports {
				if spec.HostNetwork && c.Ports[j].HostPort == 0 {
					c.Ports[j].HostPort = c.Ports[j].ContainerPort
				}
			}
		}
	}
}

func requestsOf(r *corev1.ResourceRequirements) corev1.ResourceList {
	requests := maps.Clone(r.Requests)
	for name, limit := range r.Limits {
		if _, has := requests[name]; has {
			continue
		}
		if requests == nil {
			requests = corev1.ResourceList{}
		}
		requests[name] = limit
	}
	return requests
}

// SetPriorityClass takes the newest version of a PriorityClass.
func (l *Ledger) SetPriorityClass(class *schedulingv1.PriorityClass) error {
	return l.changePriorities(func() { l.priorities[class.Name] = priorityClass{class.Value, class.GlobalDefault} })
}

// DeletePriorityClass forgets a PriorityClass.
func (l *Ledger) DeletePriorityClass(name string) error {
	return l.changePriorities(func() { delete(l.priorities, name) })
}

// priorityClass is what is kept of a PriorityClass.
type priorityClass struct {
	value     int32
	byDefault bool
}

// changePriorities gives templates their priorities anew; those of pods never change.
func (l *Ledger) changePriorities(change func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	var problems []error
	for _, uid := range l.daemonSets {
		if entry := l.pods[uid]; entry != nil {
			problems = append(problems, l.setTemplate(entry.pod.object()))
		}
	}
	return errors.Join(append(problems, l.settle())...)
}

// prioritise gives a template the priority that its class has, as admission does it to a pod.
func (l *Ledger) prioritise(template *corev1.Pod) {
	value := int32(0)
	class, known := l.priorities[template.Spec.PriorityClassName]
	switch {
	case known:
		value = class.value
	case template.Spec.PriorityClassName == "":
		found := false
		for _, class := range l.priorities { // of several the lowest counts
			if class.byDefault && (!found || class.value < value) {
				value, found = class.value, true
			}
		}
	}
	template.Spec.Priority = &value
}

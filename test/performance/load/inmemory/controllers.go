package inmemory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// createdABeat bounds how many pods are created at a time: ten thousand a second.
const createdABeat = 500

// controllers do what controllers, the scheduler and kubelets do, as far as a load needs it: Deployments have their pods, Nodes become Ready, pods are
// bound to the first Node that their selector matches and that has the cpu for them, and run.
type controllers struct {
	as kubesim.Direct

	mu sync.Mutex
	// changed are the objects that changed since the last beat.
	deployments map[client.ObjectKey]*appsv1.Deployment
	nodes       map[string]*corev1.Node
	pods        map[client.ObjectKey]*corev1.Pod // nil is gone

	// What follows belongs to work alone.
	workloads map[client.ObjectKey]*workload
	machines  map[string]*machine
	// placed is where a pod runs and what it takes there.
	placed  map[client.ObjectKey]placement
	waiting map[client.ObjectKey]*corev1.Pod
}

type workload struct {
	deployment *appsv1.Deployment
	set        *appsv1.ReplicaSet
	pods       []string
	made       int
	ready      map[string]bool
	dirty      bool
}

type machine struct {
	node *corev1.Node
	free int64 // milli cpu
	used int64
}

type placement struct {
	node     string
	milliCPU int64
}

func newControllers(s *kubesim.Server) *controllers {
	c := &controllers{
		as: s.As("kube-controller-manager"), deployments: map[client.ObjectKey]*appsv1.Deployment{}, nodes: map[string]*corev1.Node{},
		pods: map[client.ObjectKey]*corev1.Pod{}, workloads: map[client.ObjectKey]*workload{}, machines: map[string]*machine{},
		placed: map[client.ObjectKey]placement{}, waiting: map[client.ObjectKey]*corev1.Pod{},
	}
	s.Observe(c.see)
	return c
}

func (c *controllers) see(change kubesim.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	object := change.New
	if object == nil {
		object = change.Old
	}
	switch o := object.(type) {
	case *appsv1.Deployment:
		if change.New != nil {
			c.deployments[client.ObjectKeyFromObject(o)] = o
		}
	case *corev1.Node:
		c.nodes[o.Name] = nil
		if change.New != nil {
			c.nodes[o.Name] = o
		}
	case *corev1.Pod:
		c.pods[client.ObjectKeyFromObject(o)] = nil
		if change.New != nil {
			c.pods[client.ObjectKeyFromObject(o)] = o
		}
	}
}

// work does what the changes since the last time ask for.
func (c *controllers) work() error {
	c.mu.Lock()
	deployments, nodes, pods := maps.Clone(c.deployments), maps.Clone(c.nodes), maps.Clone(c.pods)
	clear(c.deployments)
	clear(c.nodes)
	clear(c.pods)
	c.mu.Unlock()
	var problems []error
	for name, node := range nodes {
		problems = append(problems, c.nodeChanged(name, node))
	}
	for key, pod := range pods {
		problems = append(problems, c.podChanged(key, pod))
	}
	for key, deployment := range deployments {
		w := c.workloads[key]
		if w == nil {
			w = &workload{ready: map[string]bool{}}
			c.workloads[key] = w
		}
		w.deployment = deployment
	}
	problems = append(problems, c.replicate(), c.schedule(), c.report())
	return errors.Join(problems...)
}

// nodeChanged makes a Node Ready that registered, as kubelet and the node lifecycle controller do together.
func (c *controllers) nodeChanged(name string, node *corev1.Node) error {
	if node == nil {
		delete(c.machines, name)
		return nil
	}
	m := c.machines[name]
	if m == nil {
		m = &machine{}
		c.machines[name] = m
	}
	m.node, m.free = node, node.Status.Allocatable.Cpu().MilliValue()-m.used
	if len(node.Status.Conditions) > 0 && node.Status.Conditions[0].Status == corev1.ConditionTrue {
		return nil
	}
	ready := node.DeepCopy()
	now := metav1.NewTime(time.Now())
	ready.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	if err := harmless(c.as.UpdateStatus(ready)); err != nil {
		return err
	}
	ready.Spec.Taints = slices.DeleteFunc(ready.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
	return harmless(c.as.Update(ready))
}

// podChanged ends a pod that is to go, as its kubelet does.
func (c *controllers) podChanged(key client.ObjectKey, pod *corev1.Pod) error {
	if pod == nil {
		if at, ok := c.placed[key]; ok {
			delete(c.placed, key)
			if m := c.machines[at.node]; m != nil {
				m.used -= at.milliCPU
				m.free += at.milliCPU
			}
		}
		delete(c.waiting, key)
		return nil
	}
	if pod.DeletionTimestamp != nil {
		delete(c.waiting, key)
		return harmless(c.as.Delete(pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	}
	if pod.Spec.NodeName == "" {
		c.waiting[key] = pod
	}
	return nil
}

// replicate makes and deletes pods of Deployments.
func (c *controllers) replicate() error {
	var problems []error
	budget := createdABeat
	for key, w := range c.workloads {
		want := int(*w.deployment.Spec.Replicas)
		if want != len(w.pods) || w.set == nil {
			w.dirty = true
			problems = append(problems, c.own(w))
		}
		for ; len(w.pods) < want && budget > 0; budget-- {
			pod := podOf(w)
			if err := c.as.Create(pod); err != nil {
				return fmt.Errorf("create pod of %s: %w", key, err)
			}
			w.pods = append(w.pods, pod.Name)
			w.made++
		}
		for ; len(w.pods) > want && budget > 0; budget-- {
			name := w.pods[len(w.pods)-1]
			w.pods = w.pods[:len(w.pods)-1]
			delete(w.ready, name)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name}}
			problems = append(problems, harmless(c.as.Delete(pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})))
		}
	}
	return errors.Join(problems...)
}

// own keeps the ReplicaSet of a Deployment as large as that is.
func (c *controllers) own(w *workload) error {
	if w.set != nil && *w.set.Spec.Replicas == *w.deployment.Spec.Replicas {
		return nil
	}
	set := w.set
	if set == nil {
		set = &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: w.deployment.Namespace, Name: w.deployment.Name + "-1", Labels: w.deployment.Spec.Template.Labels,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
			},
			Spec: appsv1.ReplicaSetSpec{Selector: w.deployment.Spec.Selector, Template: w.deployment.Spec.Template, Replicas: w.deployment.Spec.Replicas},
		}
		if err := c.as.Create(set); err != nil {
			return fmt.Errorf("create ReplicaSet %s: %w", set.Name, err)
		}
		w.set = set
		return nil
	}
	set.Spec.Replicas = w.deployment.Spec.Replicas
	return harmless(c.as.Update(set))
}

func podOf(w *workload) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.deployment.Namespace, Name: fmt.Sprintf("%s-%05d", w.set.Name, w.made), Labels: w.deployment.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: *w.deployment.Spec.Template.Spec.DeepCopy(),
	}
	return pod
}

// schedule binds what waits to Nodes that have room, and starts it there.
func (c *controllers) schedule() error {
	open := map[string][]*machine{}
	for _, name := range slices.Sorted(maps.Keys(c.machines)) {
		if m := c.machines[name]; m.free > 0 && isOpen(m.node) {
			for key, value := range m.node.Labels {
				open[key+"="+value] = append(open[key+"="+value], m)
			}
		}
	}
	for key, pod := range c.waiting {
		m := place(pod, open)
		if m == nil {
			continue
		}
		name, needs := m.node.Name, milliCPU(pod)
		delete(c.waiting, key)
		if err := harmless(c.as.Bind(key.Namespace, key.Name, name)); err != nil {
			return fmt.Errorf("bind pod %s: %w", key, err)
		}
		m.free -= needs
		m.used += needs
		c.placed[key] = placement{name, needs}
		if err := c.start(pod, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *controllers) start(pod *corev1.Pod, node string) error {
	running := pod.DeepCopy()
	running.ResourceVersion, running.Spec.NodeName = "", node
	now := metav1.NewTime(time.Now())
	running.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &now, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now},
	}}
	if err := harmless(c.as.UpdateStatus(running)); err != nil {
		return fmt.Errorf("start pod %s: %w", pod.Name, err)
	}
	for _, w := range c.workloads {
		if w.set != nil && metav1.IsControlledBy(pod, w.set) {
			w.ready[pod.Name], w.dirty = true, true
		}
	}
	return nil
}

// place returns the first Node for a pod; pods have selectors of one label here.
func place(pod *corev1.Pod, open map[string][]*machine) *machine {
	for key, value := range pod.Spec.NodeSelector {
		for _, m := range open[key+"="+value] {
			if m.free >= milliCPU(pod) && labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(m.node.Labels)) {
				return m
			}
		}
		break
	}
	return nil
}

func isOpen(node *corev1.Node) bool {
	return !node.Spec.Unschedulable && len(node.Spec.Taints) == 0 && node.DeletionTimestamp == nil
}

func milliCPU(pod *corev1.Pod) int64 {
	var sum int64
	for i := range pod.Spec.Containers {
		sum += pod.Spec.Containers[i].Resources.Requests.Cpu().MilliValue()
	}
	return sum
}

// report writes how many pods Deployments and ReplicaSets have.
func (c *controllers) report() error {
	var problems []error
	for _, w := range c.workloads {
		if !w.dirty || w.set == nil {
			continue
		}
		w.dirty = false
		all, ready := int32(len(w.pods)), int32(len(w.ready))
		w.set.Status.Replicas, w.set.Status.ReadyReplicas, w.set.Status.ObservedGeneration = all, ready, w.set.Generation
		d := w.deployment.DeepCopy()
		d.Status.Replicas, d.Status.ReadyReplicas, d.Status.ObservedGeneration = all, ready, d.Generation
		d.ResourceVersion = ""
		problems = append(problems, harmless(c.as.UpdateStatus(w.set)), harmless(c.as.UpdateStatus(d)))
	}
	return errors.Join(problems...)
}

// harmless drops a conflict and a missing object: the object changed meanwhile, and that change is handled next.
func harmless(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

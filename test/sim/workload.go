package sim

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// workload is a ReplicaSet and how many pods it wants.
type workload struct {
	name     string
	replicas int
	milliCPU int64
	memoryMi int64
	// protected pods must not be evicted.
	protected bool
	// keep is how many of its pods a budget keeps running, -1 without a budget.
	keep int
	// dedicated pods run on one group's Nodes only.
	dedicated bool
	// impossible pods fit no machine that can be launched.
	impossible bool

	set  *appsv1.ReplicaSet
	made int
}

const dedicatedLabel = "example.com/dedicated"

// control makes and removes pods until each workload has as many as it wants.
func (c *cluster) control(pods []*corev1.Pod) {
	have := map[string][]*corev1.Pod{}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && !isOver(pod) {
			have[pod.Labels["app"]] = append(have[pod.Labels["app"]], pod)
		}
	}
	for _, load := range c.loads {
		mine := have[load.name]
		for i := len(mine); i < load.replicas; i++ {
			c.makePod(load)
		}
		// As Kubernetes does, pods that wait go first, then the youngest.
		surplus := len(mine) - load.replicas
		for pass := 0; pass < 2 && surplus > 0; pass++ {
			for i := len(mine) - 1; i >= 0 && surplus > 0; i-- {
				if (mine[i].Spec.NodeName == "") == (pass == 0) {
					ignore(c.server.As("replicaset-controller").Delete(mine[i], metav1.DeleteOptions{}))
					surplus--
				}
			}
		}
	}
}

// add brings a workload into the cluster.
func (c *cluster) add(load *workload) {
	controller := c.server.As("deployment-controller")
	load.set = &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: load.name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": load.name}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": load.name}}, Spec: load.podSpec()},
		},
	}
	c.world.must(controller.Create(load.set))
	if load.keep >= 0 {
		c.world.must(controller.Create(&policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: load.name},
			Spec: policyv1.PodDisruptionBudgetSpec{
				MinAvailable: new(intstr.FromInt32(int32(load.keep))), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": load.name}},
			},
		}))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads = append(c.loads, load)
	c.poke()
}

// scale changes how many pods a workload wants.
func (c *cluster) scale(load *workload, replicas int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	load.replicas = replicas
	c.poke()
}

func (l *workload) podSpec() corev1.PodSpec {
	milliCPU := l.milliCPU
	if l.impossible {
		milliCPU = 500_000
	}
	list := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(milliCPU, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(l.memoryMi<<20, resource.BinarySI),
	}
	spec := corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(30)),
		Containers:                    []corev1.Container{{Name: "app", Image: "app", Resources: corev1.ResourceRequirements{Requests: list}}},
	}
	if l.dedicated {
		spec.NodeSelector = map[string]string{dedicatedLabel: "true"}
		spec.Tolerations = []corev1.Toleration{{Key: dedicatedLabel, Operator: corev1.TolerationOpExists}}
	}
	return spec
}

func (c *cluster) makePod(load *workload) {
	load.made++
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("%s-%d", load.name, load.made), Labels: map[string]string{"app": load.name},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: load.set.Name, UID: load.set.UID, Controller: new(true),
			}},
		},
		Spec: load.podSpec(),
	}
	if load.protected {
		pod.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
	}
	ignore(c.server.As("replicaset-controller").Create(pod))
}

// budget computes what each PodDisruptionBudget allows, as the disruption controller does.
func (c *cluster) budget() {
	pods := kubesim.List[corev1.Pod](c.server, "")
	for _, budget := range kubesim.List[policyv1.PodDisruptionBudget](c.server, "") {
		healthy, expected := int32(0), int32(0)
		for _, pod := range pods {
			if pod.Labels["app"] != budget.Name || isOver(pod) {
				continue
			}
			expected++
			if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
				healthy++
			}
		}
		want := int32(budget.Spec.MinAvailable.IntValue())
		status := policyv1.PodDisruptionBudgetStatus{
			ObservedGeneration: budget.Generation, CurrentHealthy: healthy, DesiredHealthy: want, ExpectedPods: expected,
			DisruptionsAllowed: max(healthy-want, 0),
		}
		if s := budget.Status; s.ObservedGeneration == status.ObservedGeneration && s.CurrentHealthy == healthy && s.DesiredHealthy == want &&
			s.ExpectedPods == expected && s.DisruptionsAllowed == status.DisruptionsAllowed {
			continue
		}
		changed := budget.DeepCopy()
		changed.Status = status
		ignore(c.server.As("disruption-controller").UpdateStatus(changed))
	}
}

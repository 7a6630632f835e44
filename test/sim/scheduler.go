package sim

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// schedule binds waiting pods to Nodes that have room, the emptiest first, and tells the others that there is none.
func (c *cluster) schedule(now time.Time) {
	nodes := kubesim.List[corev1.Node](c.server, "")
	c.noteCordons(nodes, now)
	pods := kubesim.List[corev1.Pod](c.server, "")
	var waiting []*corev1.Pod
	used := usedBy(pods)
	for _, pod := range pods {
		if pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil {
			waiting = append(waiting, pod)
			c.reserve(used, pod, 1)
		}
	}
	c.notePressure(waiting, now)
	if len(waiting) == 0 {
		return
	}
	for _, pod := range waiting {
		c.reserve(used, pod, -1) // what is kept for it is no hindrance to it
		node := c.place(pod, nodes, used, now)
		if node == nil || c.server.As("kube-scheduler").Bind(pod.Namespace, pod.Name, node.Name) != nil {
			if node == nil {
				c.unschedulable(pod, now)
			}
			c.reserve(used, pod, 1)
			continue
		}
		c.world.judge.noteBinding(pod, node.Name)
		if used[node.Name] == nil {
			used[node.Name] = scheduling.Resources{}
		}
		used[node.Name].Add(requests(pod), 1)
		c.later(podStartAfter)
	}
}

// usedBy is what pods take of each Node.
func usedBy(pods []*corev1.Pod) map[string]scheduling.Resources {
	used := map[string]scheduling.Resources{}
	for _, pod := range pods {
		if pod.Spec.NodeName == "" || isOver(pod) {
			continue
		}
		if used[pod.Spec.NodeName] == nil {
			used[pod.Spec.NodeName] = scheduling.Resources{}
		}
		used[pod.Spec.NodeName].Add(requests(pod), 1)
	}
	return used
}

func requests(pod *corev1.Pod) scheduling.Resources {
	r := scheduling.Resources{corev1.ResourcePods: 1}
	for i := range pod.Spec.Containers {
		r.Add(scheduling.ResourcesOf(pod.Spec.Containers[i].Resources.Requests), 1)
	}
	return r
}

// reserve keeps the room that a pod is nominated to, also on a Node that is not there yet: all pods here have the same priority.
func (c *cluster) reserve(used map[string]scheduling.Resources, pod *corev1.Pod, times int64) {
	node := pod.Status.NominatedNodeName
	if node == "" || c.heedless {
		return
	}
	if used[node] == nil {
		used[node] = scheduling.Resources{}
	}
	used[node].Add(requests(pod), times)
}

// place finds a Node for a pod: the one that it is nominated to if that takes it, otherwise the emptiest.
func (c *cluster) place(pod *corev1.Pod, nodes []*corev1.Node, used map[string]scheduling.Resources, now time.Time) *corev1.Node {
	for _, node := range nodes {
		if node.Name == pod.Status.NominatedNodeName && !c.heedless {
			if found := c.placeOn(pod, []*corev1.Node{node}, used, now); found != nil {
				return found
			}
		}
	}
	return c.placeOn(pod, nodes, used, now)
}

// placeOn finds the emptiest Node that takes a pod.
func (c *cluster) placeOn(pod *corev1.Pod, nodes []*corev1.Node, used map[string]scheduling.Resources, now time.Time) *corev1.Node {
	var best *corev1.Node
	var most int64
	for _, node := range nodes {
		if !c.takes(node, pod, now) {
			continue
		}
		allocatable := scheduling.ResourcesOf(node.Status.Allocatable)
		fits, free := true, int64(0)
		for name, amount := range requests(pod) {
			left := allocatable[name] - used[node.Name][name] - amount
			fits = fits && left >= 0
			if name == corev1.ResourceCPU {
				free = left
			}
		}
		if fits && (best == nil || free > most) {
			best, most = node, free
		}
	}
	return best
}

// takes reports whether the scheduler believes that a Node takes a pod, room aside.
func (c *cluster) takes(node *corev1.Node, pod *corev1.Pod, now time.Time) bool {
	if !isReady(node) {
		return false
	}
	if isClosedTo(node, pod) {
		late := c.lateBinding > 0 && now.Sub(c.tainted[node.Name]) < c.lateBinding
		if !late || taints(node, corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable) {
			return false
		}
		c.world.hit("late-binding")
	}
	ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	return err == nil && ok
}

// isClosedTo reports whether a Node is cordoned or has a taint that a pod does not tolerate.
func isClosedTo(node *corev1.Node, pod *corev1.Pod) bool {
	return node.Spec.Unschedulable || slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect != corev1.TaintEffectPreferNoSchedule && !slices.ContainsFunc(pod.Spec.Tolerations, func(tol corev1.Toleration) bool {
			return tol.Key == t.Key && (tol.Effect == "" || tol.Effect == t.Effect)
		})
	})
}

// noteCordons keeps since when each Node is cordoned, which a scheduler that lags behind does not see yet.
func (c *cluster) noteCordons(nodes []*corev1.Node, now time.Time) {
	for _, node := range nodes {
		if !node.Spec.Unschedulable {
			delete(c.tainted, node.Name)
		} else if _, known := c.tainted[node.Name]; !known {
			c.tainted[node.Name] = now
		}
	}
}

func (c *cluster) unschedulable(pod *corev1.Pod, now time.Time) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled {
			return
		}
	}
	told := pod.DeepCopy()
	told.Status.Phase = corev1.PodPending
	told.Status.Conditions = append(told.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "no node fits", LastTransitionTime: metav1.NewTime(now),
	})
	ignore(c.server.As("kube-scheduler").UpdateStatus(told))
}

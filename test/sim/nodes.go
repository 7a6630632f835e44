package sim

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// What kube-controller-manager's defaults are.
const (
	monitorGrace     = 40 * time.Second
	tolerateFor      = 300 * time.Second
	missingNodeGrace = 40 * time.Second
)

// controlNodes does what the node lifecycle controller and the pod garbage collector do.
func (c *cluster) controlNodes(pods []*corev1.Pod, now time.Time) {
	exists := map[string]bool{}
	for _, node := range kubesim.List[corev1.Node](c.server, "") {
		exists[node.Name] = true
		k := c.kubelets[node.Name]
		if k == nil {
			continue
		}
		works := k.isAlive() && !k.neverReady && !now.Before(k.readyAt)
		silent := !k.isAlive() && now.Sub(k.deadSince) >= monitorGrace
		switch {
		case works && !isReady(node):
			c.setReady(node, corev1.ConditionTrue)
		case silent && isReady(node):
			c.setReady(node, corev1.ConditionUnknown)
		case works && taints(node, corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable):
			c.untaint(node)
		case silent && now.Sub(k.deadSince) >= monitorGrace+tolerateFor:
			c.evictLost(node.Name, pods)
		}
	}
	for _, pod := range pods {
		if pod.Spec.NodeName != "" && !exists[pod.Spec.NodeName] {
			ignore(c.server.As("pod-garbage-collector").Delete(pod, deleteNow))
		}
	}
}

func (c *cluster) setReady(node *corev1.Node, status corev1.ConditionStatus) {
	now := metav1.NewTime(time.Now())
	changed := node.DeepCopy()
	changed.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: status, Reason: "Simulated", LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	if c.server.As("kubelet").UpdateStatus(changed) != nil {
		return
	}
	key := corev1.TaintNodeUnreachable
	if status == corev1.ConditionTrue {
		c.untaint(changed)
		return
	}
	changed.Spec.Taints = append(changed.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	ignore(c.server.As("node-controller").Update(changed))
}

func (c *cluster) untaint(node *corev1.Node) {
	changed := node.DeepCopy()
	changed.Spec.Taints = slices.DeleteFunc(changed.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	})
	ignore(c.server.As("node-controller").Update(changed))
}

func taints(node *corev1.Node, keys ...string) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return slices.Contains(keys, t.Key) })
}

// evictLost tells the pods of a Node that is lost to go; nobody there hears it.
func (c *cluster) evictLost(node string, pods []*corev1.Pod) {
	for _, pod := range pods {
		if pod.Spec.NodeName == node && pod.DeletionTimestamp == nil {
			ignore(c.server.As("taint-eviction-controller").Delete(pod, metav1.DeleteOptions{}))
		}
	}
}

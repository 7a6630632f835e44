package sim

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// onNomination judges a write to a pod's status.nominatedNodeName: of ours only the planner's, never over another's (I31), and never of
// a pod that has a node.
func (j *judge) onNomination(c kubesim.Change) {
	before, _ := c.Old.(*corev1.Pod)
	after, _ := c.New.(*corev1.Pod)
	if before == nil || after == nil || before.Status.NominatedNodeName == after.Status.NominatedNodeName || c.Request.Subresource != "status" {
		return
	}
	switch {
	case c.Request.FieldManager != v1beta1.FieldManagerNominations:
		j.failLocked("I31", "%s changed the nomination of pod %s as %q", c.Request.Client, after.Name, c.Request.FieldManager)
	case before.Status.NominatedNodeName != "" && !isOurNomination(before):
		j.failLocked("I31", "%s overwrote the nomination of pod %s to %s, which is not ours", c.Request.Client, after.Name, before.Status.NominatedNodeName)
	case before.Spec.NodeName != "":
		j.failLocked("I31", "%s nominated pod %s, which is bound to %s", c.Request.Client, after.Name, before.Spec.NodeName)
	}
}

func isOurNomination(pod *corev1.Pod) bool {
	for _, entry := range pod.ManagedFields {
		if entry.Manager == v1beta1.FieldManagerNominations {
			return pod.Status.NominatedNodeName != ""
		}
	}
	return false
}

// noteBinding counts pods that were bound where the planner had nominated them, and tells when a scheduler did otherwise.
func (j *judge) noteBinding(pod *corev1.Pod, node string) {
	switch {
	case !isOurNomination(pod):
	case pod.Status.NominatedNodeName == node:
		j.followed.Add(1)
	case j.world.cluster.heedless:
		j.world.hit("another-scheduler")
	}
}

// nominationsAtEnd holds that nominations of ours are cleared when their machine is gone (I32).
func (j *judge) nominationsAtEnd() {
	named := map[string]bool{}
	for _, n := range machines(j.world) {
		named[nodeNameOf(n)] = true
	}
	for _, pod := range kubesim.List[corev1.Pod](j.world.cluster.server, "") {
		if pod.Spec.NodeName == "" && isOurNomination(pod) && !named[pod.Status.NominatedNodeName] {
			j.failLocked("I32", "pod %s is still nominated to %s, which no machine of ours has", pod.Name, pod.Status.NominatedNodeName)
		}
	}
}

package simulation

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// become notes that pods may be nominated to a machine's Node.
func (c *Cluster) become(n *scheduling.Node) {
	c.Nominees[n.Name] = true
	c.follow(n)
}

// follow has the plan put the pods that are nominated to a Node there. kube-scheduler keeps their room anyway, and tries all pods again
// whenever a nomination changes.
func (c *Cluster) follow(n *scheduling.Node) {
	c.Allocatable[n.Name] = n.Allocatable
	n.Planned = c.withNominated(n)
}

// withNominated are the pods that a Node is planned for with those that are nominated to it by now, which the plan follows.
func (c *Cluster) withNominated(n *scheduling.Node) map[string]int {
	nominated := c.Nominated[n.Name]
	if len(nominated) == 0 {
		return n.Planned
	}
	total := map[string]int{}
	for _, pods := range []map[scheduling.ShapeID]int{n.Pods, nominated} {
		for id, count := range pods {
			if item := c.Snapshot.Items[id]; item != nil {
				total[item.Placement] += count
			}
		}
	}
	planned := maps.Clone(n.Planned)
	if planned == nil {
		planned = map[string]int{}
	}
	for placement, count := range total {
		planned[placement] = max(planned[placement], count)
	}
	return planned
}

// assume counts the pods that are nominated to a Node as bound to it for as long as its resources suffice, and takes them off the demand:
// kube-scheduler does the same. Rules that depend on other pods were judged when they were nominated. Until all are
// bound, the count of the moment may speak against one, as where pods are spread and one zone's are bound first.
//
// It ends with SettleMax, and as soon as kube-scheduler has settled, since a pod may turn out not to fit there after all.
func (c *Cluster) assume(n *scheduling.Node) {
	nominated := c.Nominated[n.Name]
	if len(nominated) == 0 || !c.policy.Nominate || n.Unschedulable {
		return
	}
	free := n.Allocatable.Clone()
	free.Add(n.Reserved, -1)
	pods := maps.Clone(n.Pods)
	if pods == nil {
		pods = map[scheduling.ShapeID]int{}
	}
	for id, count := range pods {
		if item := c.Snapshot.Items[id]; item != nil {
			free.Add(item.Shape.Requests, -int64(count))
		}
	}
	assumed := map[scheduling.ShapeID]int{}
	for _, id := range slices.Sorted(maps.Keys(nominated)) {
		item := c.Snapshot.Items[id]
		if item == nil || item.Shape.Unjudged != "" || c.IsExpendable(item) {
			continue
		}
		for range nominated[id] {
			free.Add(item.Shape.Requests, -1)
			if slices.ContainsFunc(slices.Collect(maps.Keys(item.Shape.Requests)), func(r corev1.ResourceName) bool { return free[r] < 0 }) {
				free.Add(item.Shape.Requests, 1)
				break
			}
			assumed[id]++
			pods[id]++
			c.Served[id]++
			c.ServedBy[n.Name]++
		}
	}
	n.Pods, c.Assumed[n.Name] = pods, assumed
}

// countNominated counts the pods that are nominated to each Node by the planner.
func countNominated(s *fleet.Snapshot) map[string]map[scheduling.ShapeID]int {
	out := map[string]map[scheduling.ShapeID]int{}
	for id, pending := range s.Pending {
		for _, pod := range pending.Sample {
			if pod.NominatedNode == "" {
				continue
			}
			if out[pod.NominatedNode] == nil {
				out[pod.NominatedNode] = map[scheduling.ShapeID]int{}
			}
			out[pod.NominatedNode][id]++
		}
	}
	return out
}

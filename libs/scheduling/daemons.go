package scheduling

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reserve holds back room for those of the DaemonSets' pods that belong on the node and of its static pods that are not
// there yet, and lets the rules see them: their ports, their labels and whom they repel. A pod on the node is taken for a
// DaemonSet's by its namespace and requests, else by its namespace alone: priority classes, limit ranges and admission
// make pods differ from their template.
func (n *Node) Reserve(daemons, static []*Item, items map[ShapeID]*Item) {
	n.Reserved, n.Expected = Resources{}, nil
	missing, _ := n.matchDaemons(daemons, items)
	for _, pod := range slices.Concat(missing, n.missingStatic(static, items)) {
		n.Reserved.Add(pod.Shape.Requests, 1)
		if pod.presence != nil {
			n.Expected = append(n.Expected, pod.presence)
		}
	}
}

// matchDaemons finds out which of the DaemonSets that belong on the node have no pod there yet, and of which a pod runs that
// asks for something else than the DaemonSet's template.
func (n *Node) matchDaemons(daemons []*Item, items map[ShapeID]*Item) ([]*Item, map[*Item]*Item) {
	same, others := map[string]int{}, map[string][]*Item{}
	var there []*Item
	for id, count := range n.Pods {
		if item := items[id]; item != nil && item.Shape.OwnerKind == ownerDaemonSet {
			same[item.daemonKey] += count
			there = append(there, item)
		}
	}
	var unmatched []*Item
	for _, daemon := range daemons {
		switch key := daemon.daemonKey; {
		case !n.wants(daemon):
		case same[key] > 0:
			same[key]--
		default:
			unmatched = append(unmatched, daemon)
		}
	}
	if len(unmatched) == 0 {
		return nil, nil
	}
	slices.SortFunc(there, func(a, b *Item) int { return cmp.Compare(a.ID, b.ID) })
	for _, item := range there {
		for range min(n.Pods[item.ID], same[item.daemonKey]) {
			same[item.daemonKey]--
			others[item.Shape.Namespace] = append(others[item.Shape.Namespace], item)
		}
	}
	var missing []*Item
	instead := map[*Item]*Item{}
	for _, daemon := range unmatched {
		if pods := others[daemon.Shape.Namespace]; len(pods) > 0 {
			instead[daemon], others[daemon.Shape.Namespace] = pods[0], pods[1:]
			continue
		}
		missing = append(missing, daemon)
	}
	return missing, instead
}

// missingStatic are the static pods that every node of the kind has and this one not yet.
func (n *Node) missingStatic(static []*Item, items map[ShapeID]*Item) []*Item {
	if len(static) == 0 {
		return nil
	}
	there := map[string]int{}
	for id, count := range n.Pods {
		if item := items[id]; item != nil && item.Shape.OwnerKind == ownerNode {
			there[item.daemonKey] += count
		}
	}
	var missing []*Item
	for _, pod := range static {
		if there[pod.daemonKey] > 0 {
			there[pod.daemonKey]--
			continue
		}
		missing = append(missing, pod)
	}
	return missing
}

// AsTheyRun puts in the place of each DaemonSet's template what most of its pods on the nodes are, where those ask for something
// else: what a vertical autoscaler or a limit range makes of a pod, the template does not say.
func AsTheyRun(daemons []*Item, nodes []*Node, items map[ShapeID]*Item) []*Item {
	votes := map[*Item]map[*Item]int{}
	for _, n := range nodes {
		_, instead := n.matchDaemons(daemons, items)
		for daemon, pod := range instead {
			if votes[daemon] == nil {
				votes[daemon] = map[*Item]int{}
			}
			votes[daemon][pod]++
		}
	}
	out := slices.Clone(daemons)
	for i, daemon := range daemons {
		most := 0
		for pod, count := range votes[daemon] {
			if count > most || count == most && pod.ID < out[i].ID {
				out[i], most = pod, count
			}
		}
	}
	return out
}

// Holds reports whether the node has room for so much beside the pods on it and those whose room is held back.
func (n *Node) Holds(more Resources, items map[ShapeID]*Item) bool {
	used := n.Reserved.Clone()
	used.Add(more, 1)
	for id, count := range n.Pods {
		if item := items[id]; item != nil {
			used.Add(item.Shape.Requests, int64(count))
		}
	}
	for name, amount := range used {
		if amount > n.Allocatable[name] {
			return false
		}
	}
	return true
}

// daemonKey is what a DaemonSet's pod and its template share.
func daemonKey(shape *Shape) string {
	var b strings.Builder
	b.WriteString(shape.Namespace)
	for _, name := range slices.Sorted(maps.Keys(shape.Requests)) {
		b.WriteString("|" + string(name) + "=" + itoa(shape.Requests[name]))
	}
	return b.String()
}

// wants reports whether a DaemonSet's pod runs on the node. Such pods tolerate that it is unschedulable or
// not ready, and the DaemonSet controller asks for no more than labels and taints.
func (n *Node) wants(daemon *Item) bool {
	if _, found := untolerated(n.Taints, daemon.Shape.Tolerations); found {
		return false
	}
	match, err := daemon.affinity.Match(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels}})
	return err == nil && match
}

// presenceOf is what the rules of other pods see of a pod whose room is held back; nil when they see nothing.
func presenceOf(id ShapeID, shape *Shape) *Item {
	out := &Shape{Namespace: shape.Namespace, Labels: shape.Labels, HostPorts: shape.HostPorts, OwnerKind: shape.OwnerKind, Priority: shape.Priority}
	if a := shape.Affinity; a != nil && a.PodAntiAffinity != nil {
		out.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
		}}
	}
	if len(out.Labels)+len(out.HostPorts) == 0 && out.Affinity == nil {
		return nil
	}
	return NewItem(id+"+", out)
}

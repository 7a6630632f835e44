package sim

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// onIntent holds that machines on their way are counted (I4): no more of them are requested within the time
// that machines take than pods wait, or waited a moment ago, and the group's minimum asks for.
func (j *judge) onIntent(n *v1beta1.VPSieNode) {
	w := j.world
	if n.Annotations[v1beta1.AnnotationAdopts] != "" {
		return
	}
	onTheirWay, minimum := 0, 0
	tooSmall := w.smallerThanSold()
	for _, other := range machines(w) {
		if groupOf(other) == groupOf(n) && isOnItsWay(other) && time.Since(other.CreationTimestamp.Time) < onItsWayFor && !tooSmall(other) {
			onTheirWay++
		}
	}
	for _, g := range listOf[v1beta1.NodeGroup](w) {
		if keyOf(g) == groupOf(n) {
			minimum = int(g.Spec.MinNodes)
		}
	}
	waiting := w.cluster.waitingLately()
	w.mu.Lock()
	planners := max(1, len(w.running[Planner]))
	w.mu.Unlock()
	// Two planners at once, until one of them knows, may ask for the same; the provisioner's maximum bounds it.
	waiting *= planners
	if onTheirWay > waiting+minimum+1 {
		j.failLocked("I4", "%d machines are on their way with %s, for %d pods that wait and a minimum of %d", onTheirWay, n.Name, waiting, minimum)
	}
}

// smallerThanSold tells the machines that have less than their size says, as far as a planner can know: their Nodes registered since
// machines do, or will, and one of their size has. Pods that such a Node has no room for wait again, and rightly for another
// machine, before it is Ready.
func (w *world) smallerThanSold() func(*v1beta1.VPSieNode) bool {
	w.mu.Lock()
	since := w.smallSince
	w.mu.Unlock()
	if since.IsZero() {
		return func(*v1beta1.VPSieNode) bool { return false }
	}
	nodes, sizes := map[string]bool{}, map[int64]bool{}
	for _, node := range listOf[corev1.Node](w) {
		nodes[node.Name] = node.CreationTimestamp.After(since.Add(-time.Second))
	}
	for _, n := range machines(w) {
		sizes[n.Spec.Offering] = sizes[n.Spec.Offering] || nodes[n.Status.NodeName]
	}
	return func(n *v1beta1.VPSieNode) bool {
		registered, known := nodes[n.Status.NodeName]
		return registered || !known && sizes[n.Spec.Offering]
	}
}

// onItsWayFor is how long a requested machine is held against the pods that wait.
const onItsWayFor = 3 * time.Minute

// isOnItsWay reports whether a machine is on its way that was launched for pods: a replacement is for those of another machine, which
// do not wait.
func isOnItsWay(n *v1beta1.VPSieNode) bool {
	return len(n.Spec.Replaces) == 0 && n.Status.ReadyAt == nil && n.DeletionTimestamp == nil && n.Spec.Retirement == nil && n.Status.Phase != v1beta1.PhaseFailed
}

// waitingLately counts the pods that waited for a place at some time while machines that are on their way were
// requested.
func (c *cluster) waitingLately() int {
	c.pressureMu.Lock()
	defer c.pressureMu.Unlock()
	return len(c.pressure)
}

// notePressure keeps which pods wait, and which did a moment ago.
func (c *cluster) notePressure(waiting []*corev1.Pod, now time.Time) {
	c.pressureMu.Lock()
	defer c.pressureMu.Unlock()
	for _, pod := range waiting {
		c.pressure[pod.UID] = now
	}
	for uid, at := range c.pressure {
		if now.Sub(at) > onItsWayFor+time.Minute+c.feedLag {
			delete(c.pressure, uid)
		}
	}
}

// onRetirement judges a machine that our services decided to take away.
func (j *judge) onRetirement(n *v1beta1.VPSieNode, client string) {
	w := j.world
	var group *v1beta1.NodeGroup
	for _, g := range listOf[v1beta1.NodeGroup](w) {
		if keyOf(g) == groupOf(n) {
			group = g
		}
	}
	if group == nil || !isScaleDown(n) {
		return
	}
	staying, leaving := 0, 0
	for _, other := range machines(w) {
		switch {
		case groupOf(other) != keyOf(group):
		case other.Spec.Retirement != nil && other.Status.Identifier != "":
			if isScaleDown(other) && other.Status.DeleteRequestedAt == nil {
				leaving++
			}
		case other.DeletionTimestamp == nil && other.Status.Phase == v1beta1.PhaseReady:
			staying++
		}
	}
	// I8: machines whose removal hangs keep others from being chosen beyond the group's limit.
	if most := int(*group.Spec.ScaleDown.MaxNodesPerStep); leaving > most {
		j.failLocked("I8", "%d machines of group %s are leaving, and the limit is %d", leaving, group.Name, most)
	}
	if staying < int(group.Spec.MinNodes) {
		j.failLocked("I28", "%d machines of group %s would stay, and the minimum is %d", staying, group.Name, group.Spec.MinNodes)
	}
	j.unwatched(n, group, client)
}

func isScaleDown(n *v1beta1.VPSieNode) bool {
	r := n.Spec.Retirement
	return r != nil && r.Kind == v1beta1.RetireScaleDown
}

// unwatched holds that time which nobody watched does not count (I10), and that what came a moment ago
// does not go again (I12).
func (j *judge) unwatched(n *v1beta1.VPSieNode, group *v1beta1.NodeGroup, client string) {
	window := group.Spec.ScaleDown.UnneededFor.Duration - time.Second
	w := j.world
	w.mu.Lock()
	p := w.cluster.clients[client]
	w.mu.Unlock()
	if p != nil && time.Since(p.started) < window {
		j.failLocked("I10", "%s is retired %s after the start of the planner, which must watch it for %s", n.Name, time.Since(p.started), window)
	}
	if at, known := j.readyAt[n.Name]; known && p != nil && time.Since(at) < window-time.Second {
		j.failLocked("I12", "%s is retired %s after it was Ready, and must be unneeded for %s", n.Name, time.Since(at), window)
	}
}

// atEnd judges what is left when all faults are over and nothing is wanted any more.
func (j *judge) atEnd() {
	j.mu.Lock()
	defer j.mu.Unlock()
	w := j.world
	held := map[string]bool{}
	for _, n := range machines(w) {
		if n.Status.Identifier != "" {
			held[n.Status.Identifier] = true
		}
		if n.DeletionTimestamp != nil {
			j.failLocked("I19", "VPSieNode %s cannot go: %v", n.Name, conditionsOf(n))
		}
	}
	j.nominationsAtEnd()
	j.recordsAtEnd()
	reported := w.reportedOrphans()
	for _, m := range w.cloud.sim.Truth().Machines {
		switch {
		case m.Foreign || m.State == "lost":
			if m.Foreign && !m.DeleteRequestedAt.IsZero() && !byPerson(m) {
				j.failLocked("I2", "machine %s was not ours and was deleted by %s", m.Hostname, m.DeletedBy)
			}
			continue
		case m.PodsAtDeletion > 0 && !byPerson(m):
			j.failLocked("I30", "machine %s was deleted with %d pods on it", m.Hostname, m.PodsAtDeletion)
		case m.GoneAt.IsZero() && !held[m.Identifier] && !reported[m.Identifier]:
			j.failLocked("I7", "machine %s (%s, requested at %s) is paid for, claimed by nobody and reported by nobody", m.Hostname, m.State, m.RequestedAt.Format("15:04:05"))
		}
	}
	for _, node := range kubesim.List[corev1.Node](w.cluster.server, "") {
		if node.Annotations[v1beta1.AnnotationCordoned] == "" {
			continue
		}
		if m, known := j.byNode(node.Name); known && m.GoneAt.IsZero() {
			j.failLocked("D7", "Node %s is still cordoned by us", node.Name)
		}
	}
}

func conditionsOf(n *v1beta1.VPSieNode) []string {
	var out []string
	for _, c := range n.Status.Conditions {
		out = append(out, c.Type+"="+string(c.Status)+" "+c.Reason+": "+c.Message)
	}
	return out
}

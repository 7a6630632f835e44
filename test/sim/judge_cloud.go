package sim

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// beforeCloud judges a call that launches or deletes before it takes effect.
func (j *judge) beforeCloud(c change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, w := time.Now(), j.world
	w.log.add("call", c.by.name+" "+c.endpoint+" "+c.identifier)
	if !c.launches && c.identifier == "" {
		j.failLocked("I1", "%s names no machine", c.endpoint)
	}
	j.braked(c.endpoint)
	j.fence(c, now)
	j.holdCeilings()
	if c.launches {
		j.launches(now)
		j.again(now)
	} else {
		j.deletes(c, now)
	}
}

// fence holds that only the elected provisioner calls, and one that was frozen only for as long as it cannot know.
func (j *judge) fence(c change, now time.Time) {
	w := j.world
	w.mu.Lock()
	elected, at, robbed := w.elected[Provisioner], w.electedAt[Provisioner], w.robbedAt[Provisioner]
	w.mu.Unlock()
	slack := fenceSlack
	if !robbed.IsZero() && at.Sub(robbed) < w.plan.leaseDuration {
		slack = w.plan.leaseDuration // it goes on for as long as it would without the API server
	}
	// What a frozen process had asked before it froze may reach the world when it goes on, and no later.
	if elected != nil && elected != c.by && now.Sub(at) > slack && !c.by.justThawed() {
		j.failLocked("I15", "%s by %s, while %s is elected since %s", c.endpoint, c.by.name, elected.name, now.Sub(at))
	}
}

// launches holds the ceilings of the groups that launch (I4, I20, I28).
func (j *judge) launches(now time.Time) {
	count, launching := map[string]int{}, map[string]bool{}
	for _, n := range machines(j.world) {
		last := len(n.Status.Launches) - 1
		launching[groupOf(n)] = launching[groupOf(n)] || last >= 0 && n.Status.Launches[last].Outcome == v1beta1.LaunchRequested
		if mayBeMachine(n) && !cameLate(n) {
			count[groupOf(n)]++
		}
	}
	for group, n := range count {
		// A group may have more than its maximum after that was lowered, but launch nothing then.
		if limit, known := j.ceilingOf(group, now); known && launching[group] && n > limit {
			j.failLocked("I20", "group %s has or may have %d machines, and its maximum is %d", group, n, limit)
		}
	}
}

// cameLate reports whether VPSie delivered a machine after nobody counted on it any more. Such a one may
// take its group above the maximum until it is used or goes.
func cameLate(n *v1beta1.VPSieNode) bool {
	return n.Status.LaunchedAt != nil && len(n.Status.Launches) > 0 &&
		n.Status.LaunchedAt.Sub(n.Status.Launches[0].RequestedAt.Time) > n.Spec.LaunchDeadline.Duration
}

// ceilingOf is the highest maximum that a group had a moment ago or has.
func (j *judge) ceilingOf(group string, now time.Time) (int, bool) {
	list := j.ceilings[group]
	limit := -1
	for i, c := range list {
		replaced := i+1 < len(list) && now.Sub(list[i+1].at) > ceilingSlack
		if !replaced {
			limit = max(limit, c.max)
		}
	}
	return limit, limit >= 0
}

// deletes holds that a deletion is named, owned, written down and of a drained machine (I1, I2, I6, I17, I30).
func (j *judge) deletes(c change, now time.Time) {
	truth, known := j.machine(c.identifier)
	if !known {
		return // it is gone already, or never was; asking again does no harm
	}
	if truth.Foreign || truth.Role != vpsiesim.RoleSlave {
		j.failLocked("I2", "machine %s (%s) is not ours", truth.Hostname, c.identifier)
	}
	intent, undrained := false, "I30"
	for _, n := range machines(j.world) {
		if n.Status.Identifier != c.identifier {
			continue
		}
		intent = intent || n.Status.DeleteRequestedAt != nil
		if j.swept && n.DeletionTimestamp != nil && n.Spec.Retirement == nil {
			j.failLocked("I17", "machine %s is deleted because its VPSieNode %s went with its namespace or definition", truth.Hostname, n.Name)
		}
		if cameLate(n) && n.Status.ReadyAt == nil {
			undrained = "I6" // nobody counted on it any more, and yet its Node joined
		}
	}
	if !intent {
		j.failLocked("I1", "no VPSieNode says that machine %s (%s) is to be deleted", truth.Hostname, c.identifier)
	}
	if !truth.DeleteRequestedAt.IsZero() {
		return // VPSie was asked before, and what came to the machine since is not the product's doing
	}
	for _, pod := range kubesim.List[corev1.Pod](j.world.cluster.server, "") {
		if pod.Spec.NodeName == truth.NodeName() && !isOver(pod) && (pod.DeletionTimestamp == nil || j.runs(pod.Spec.NodeName)) {
			j.failLocked(undrained, "machine %s is deleted with pod %s on it", truth.Hostname, pod.Name)
		}
	}
}

// runs reports whether a Node works, so that pods which are told to end there are still ending.
func (j *judge) runs(node string) bool {
	n := kubesim.Get[corev1.Node](j.world.cluster.server, "", node)
	return n != nil && isReady(n)
}

func (j *judge) machine(identifier string) (vpsiesim.Machine, bool) {
	m, ok := j.world.cloud.sim.Model().Machine(identifier)
	return m, ok && m.GoneAt.IsZero()
}

package sim

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

const (
	// consistencyWindow is how long listings may lag behind.
	consistencyWindow = 10 * time.Minute
	// callSlack is how far the time of a launch request and of its entry in the ledger may be apart.
	callSlack = 90 * time.Second
)

// again holds that a launch request which may have taken effect is looked for before it is made again (I5): what
// counts is the cloud's own ledger. Requests of one size are interchangeable, so a second call is wrong when
// more machines came of the requests of that time than other requests wait for.
func (j *judge) again(now time.Time) {
	for _, n := range machines(j.world) {
		last := len(n.Status.Launches) - 1
		if last < 1 || n.Status.Launches[last].Outcome != v1beta1.LaunchRequested {
			continue
		}
		before := n.Status.Launches[last-1]
		if now.Sub(before.RequestedAt.Time) > consistencyWindow {
			continue
		}
		if came, waiting := j.unclaimed(before, now), j.openBeside(n); came > waiting {
			j.failLocked("I5", "a machine is requested again for %s, while %d machines of its size came of requests and %d other requests wait", n.Name, came, waiting)
		}
	}
}

// unclaimed counts the requests of about the time of an attempt that brought machines, less those machines that are claimed: the second
// one of a request that VPSie answers twice is no sign of another.
func (j *judge) unclaimed(a v1beta1.LaunchAttempt, now time.Time) int {
	claimed := map[string]bool{}
	for _, n := range machines(j.world) {
		claimed[n.Status.Identifier] = true
	}
	requests, taken := map[time.Time]bool{}, 0
	for _, m := range j.world.cloud.sim.Truth().Machines {
		apart := m.RequestedAt.Sub(a.RequestedAt.Time).Abs()
		if !m.Foreign && m.State != "lost" && m.GoneAt.IsZero() && int64(m.GroupID) == a.VPSieGroup &&
			apart < callSlack && now.Sub(m.RequestedAt) < consistencyWindow {
			requests[m.RequestedAt] = true
			if claimed[m.Identifier] {
				taken++
			}
		}
	}
	return max(len(requests)-taken, 0)
}

// openBeside counts the other requests whose machines are not known yet, of whatever size: which of several
// calls in a row brought a machine is not for the judge to say.
func (j *judge) openBeside(n *v1beta1.VPSieNode) int {
	count := 0
	for _, other := range machines(j.world) {
		if other.UID != n.UID && other.Status.Identifier == "" && len(other.Status.Launches) > 0 {
			count++
		}
	}
	return count
}

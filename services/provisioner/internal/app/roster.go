package app

import (
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// roster is the machines of one cluster, and what is to be done with them.
type roster struct {
	cluster    string
	all        []*v1beta1.VPSieNode // in every cluster
	nodes      []*v1beta1.VPSieNode // in this cluster
	candidates []*v1beta1.VPSieNode
	waiting    []launch.Waiting
	// open counts those of waiting that were not given up.
	open int
	// late are requests besides those, whose machines may turn up although they were given up.
	late    []launch.Waiting
	leaving []*v1beta1.VPSieNode
	// absent are the machines that are confirmed to be gone, whose objects are still there.
	absent []*v1beta1.VPSieNode
	// adopting are objects of machines that exist, whose status does not name them.
	adopting []*v1beta1.VPSieNode
	// later is when an intent that is not due yet will be, zero when there is none.
	later time.Duration
	// at is when reading it began.
	at time.Time
}

// newRoster sorts the objects of a cluster, of all there are, as of a time. Which machines Nodes prove, and what was requested
// by each request, is given.
func newRoster(cluster string, all []*v1beta1.VPSieNode, proofs map[string]proof, size machine.SizeOf, now time.Time) *roster {
	r := &roster{cluster: cluster, all: all, at: now}
	proven := make(map[string]bool, len(proofs))
	for _, p := range proofs {
		proven[p.owner()] = true
	}
	for _, n := range all {
		if n.Spec.Cluster.Identifier != cluster {
			continue
		}
		r.nodes = append(r.nodes, n)
		r.late = append(r.late, machine.Late(n, size, now)...)
		if machine.AwaitsMachine(n, proven[machine.Owner(n)]) {
			if !machine.AdoptionEnded(n, now) {
				r.adopting = append(r.adopting, n)
			}
			continue
		}
		if w, ok := machine.Waiting(n, size); ok {
			r.waiting = append(r.waiting, w)
			if machine.IsOpen(n) {
				r.open++
			}
		}
		switch {
		case fleet.IsAbsent(n):
			r.absent = append(r.absent, n)
		case machine.StateOf(n) == v1beta1.PhaseDeleting:
			r.leaving = append(r.leaving, n)
		}
		if !machine.IsCandidate(n, now) {
			if machine.WillBeCandidate(n, now) {
				r.soon(machine.AttemptWait)
			}
			continue
		}
		r.candidates = append(r.candidates, n)
	}
	return r
}

func (r *roster) soon(wait time.Duration) {
	if r.later == 0 || wait < r.later {
		r.later = wait
	}
}

func (r *roster) isBusy() bool {
	return len(r.candidates)+r.open+len(r.leaving)+len(r.adopting) > 0
}

// isPatient reports whether a machine may turn up for a request that was given up.
func (r *roster) isPatient() bool { return len(r.waiting)+len(r.late) > 0 }

func (r *roster) byKey() map[string]*v1beta1.VPSieNode {
	m := make(map[string]*v1beta1.VPSieNode, len(r.nodes))
	for _, n := range r.nodes {
		m[fleet.Key(n)] = n
	}
	return m
}

func (r *roster) claimed() map[string]bool {
	m := make(map[string]bool, len(r.nodes))
	for _, n := range r.nodes {
		if id := machine.ClaimOf(n); id != "" {
			m[id] = true
		}
	}
	return m
}

// cameAfterRequest reports whether a machine was not there when one of our requests was made.
func (r *roster) cameAfterRequest(identifier string) bool {
	for _, n := range r.nodes {
		for _, a := range n.Status.Launches {
			if !slices.Contains(a.Foreign, identifier) && a.VPSieGroup != 0 {
				return true
			}
		}
	}
	return false
}

// wholeMin is how many machines of ours that stay a listing must show, and every one of them, to be believed
// about those that it lacks: one that leaves some out by chance would not show so many.
const wholeMin = 8

func (r *roster) isWhole(present map[string]launch.Listed) bool {
	shown := 0
	for _, n := range r.nodes {
		if n.Status.Identifier == "" || n.Status.DeleteRequestedAt != nil {
			continue
		}
		if _, is := present[n.Status.Identifier]; !is {
			return false
		}
		shown++
	}
	return shown >= wholeMin
}

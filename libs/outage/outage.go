// Package outage tells machines that fail one by one, which are replaced, from machines that fail together,
// where replacing them would make an outage worse. Decider and actor share the rule.
package outage

import (
	"fmt"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
)

const (
	// clusterFailing and clusterShare, in percent, bound the machines of the cluster that may fail at once;
	// the larger of both counts. They are Cluster Autoscaler's.
	clusterFailing = 3
	clusterShare   = 45
	// groupFailing and groupShare, in percent and rounded up, do so for each group, as in Karpenter's repair.
	groupFailing = 1
	groupShare   = 20
	// CoolDown is how long the failures must have stayed within bounds before machines are replaced.
	CoolDown = 5 * time.Minute
	// TrialInterval is how often one machine of a group on which nothing can run goes although many fail
	// together: it costs money, and a new one shows whether the failure is over.
	TrialInterval = 15 * time.Minute
)

// Cluster is the scope of all Nodes and machines together; the other scopes are groups.
const Cluster = ""

// Machine is one that should have a Ready Node.
type Machine struct {
	// Group is the name of its group; empty counts for the cluster alone.
	Group   string
	Failing bool
}

// Tally is how many machines of a scope should have a Ready Node, and how many have none.
type Tally struct{ Failing, Machines int }

// Count tallies machines by scope.
func Count(machines []Machine) map[string]Tally {
	tallies := map[string]Tally{Cluster: {}}
	add := func(scope string, failing bool) {
		t := tallies[scope]
		if t.Machines++; failing {
			t.Failing++
		}
		tallies[scope] = t
	}
	for _, m := range machines {
		add(Cluster, m.Failing)
		if m.Group != Cluster {
			add(m.Group, m.Failing)
		}
	}
	return tallies
}

// most is how many machines of a scope may fail at once.
func (t Tally) most(scope string) int {
	if scope == Cluster {
		return max(clusterFailing, t.Machines*clusterShare/100)
	}
	return max(groupFailing, (t.Machines*groupShare+99)/100)
}

// Exceeds reports whether more machines of a scope fail than one by one would.
func (t Tally) Exceeds(scope string) bool {
	if sabotage.CorrelatedFailureBreaker() {
		return false
	}
	return t.Failing > t.most(scope)
}

// Stops says why no machine of a group may be replaced as the machines are now; empty when one may.
func Stops(machines []Machine, group string) string {
	tallies := Count(machines)
	for _, scope := range []string{Cluster, group} {
		if t := tallies[scope]; t.Exceeds(scope) {
			return t.describe(scope)
		}
	}
	return ""
}

func (t Tally) describe(scope string) string {
	of := "the cluster"
	if scope != Cluster {
		of = "group " + scope
	}
	return fmt.Sprintf("more than %d of the machines of %s have no Ready Node at once, which indicates a failure that new machines would not fix", t.most(scope), of)
}

// Watch is the breaker over time: since when the failures of each scope have been within bounds. An empty one
// knows nothing and counts as open until it has seen calm for the cool-down, so time that was not watched
// never closes it.
type Watch map[string]time.Time

// Look returns the watch after a look at the machines.
func (w Watch) Look(machines []Machine, now time.Time) Watch {
	next := Watch{}
	for scope, t := range Count(machines) {
		if t.Exceeds(scope) {
			continue
		}
		since, known := w[scope]
		if !known || since.After(now) {
			since = now
		}
		next[scope] = since
	}
	return next
}

// Open says why no machine of a group is replaced now, with when the breaker closes if the machines stay as
// they are; empty when one may be. The watch must have looked at the machines.
func (w Watch) Open(machines []Machine, group string, now time.Time) (string, time.Time) {
	if sabotage.CorrelatedFailureBreaker() {
		return "", time.Time{}
	}
	if why := Stops(machines, group); why != "" {
		return why, time.Time{}
	}
	var closes time.Time
	for _, scope := range []string{Cluster, group} {
		since, known := w[scope]
		if !known {
			since = now
		}
		if at := since.Add(CoolDown); at.After(closes) {
			closes = at
		}
	}
	if now.Before(closes) {
		return fmt.Sprintf("machines failed together or were not watched a short while ago; repairs resume after %s without that", CoolDown), closes
	}
	return "", time.Time{}
}

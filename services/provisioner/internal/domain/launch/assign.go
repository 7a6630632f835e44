// Package launch decides which intents may be launched, which machine answers which request,
// and how long a refusal keeps further requests back.
package launch

import (
	"cmp"
	"slices"
	"time"
)

// Listed is a worker that VPSie lists in a cluster.
type Listed struct {
	Identifier string
	Hostname   string
	Size       Size
	// Owner is the VPSieNode whose machine it is proven to be, as the label of its NodeGroup, a slash and its name; empty where nothing proves it.
	Owner string
	// JoinedAt is when the Node of its name was created, where nothing proves whose machine that is; zero where there is none.
	JoinedAt time.Time
}

// Size is what VPSie says of a machine; zero fields are unknown.
type Size struct {
	CPU       int64
	MemoryMiB int64
}

// Waiting is a request to VPSie whose machine is not known yet.
type Waiting struct {
	// Intent is the name of the VPSieNode, as namespace/name.
	Intent string
	// Owner is how a Node would prove that a machine is the VPSieNode's: the label of its NodeGroup, a slash and its name.
	Owner       string
	Offering    int64
	Size        Size
	RequestedAt time.Time
	// Accepted says that VPSie answered the request with yes, so that it brings a machine for certain.
	Accepted bool
	// Foreign are machines that existed before the request; none of them can be its answer.
	Foreign []string
}

// certainty is greater for a request that brings a machine for certain.
func (w Waiting) certainty() int {
	if w.Accepted {
		return 1
	}
	return 0
}

// Assign finds the machine of each waiting request: one that VPSie lists, that nobody claims, that
// was not there before the request, and that has the size that was requested. Accepted requests choose first, then older ones, among
// machines in the order of the listing, so the answer depends on the input alone. A request whose answer is unclear may have brought none:
// given the machine of an accepted one, it would leave that one waiting until the launch deadline.
//
// VPSie's reply to a request names no machine, and a machine names no request, so the requests of
// one size in one cluster are interchangeable (vpsie-api.md §4.4). While requests of several offerings
// wait, only sizes that are known on both sides tell them apart; the rest waits. A machine whose size is
// known answers no request whose size is not.
func Assign(waiting []Waiting, listed []Listed, claimed map[string]bool) map[string]Listed {
	order := slices.Clone(waiting)
	slices.SortStableFunc(order, func(a, b Waiting) int {
		return cmp.Or(cmp.Compare(b.certainty(), a.certainty()), a.RequestedAt.Compare(b.RequestedAt), cmp.Compare(a.Intent, b.Intent))
	})
	several := slices.ContainsFunc(order, func(w Waiting) bool { return w.Offering != order[0].Offering })
	taken := map[string]bool{}
	answer := map[string]Listed{}
	for _, w := range order {
		for _, machine := range listed {
			if machine.Identifier == "" || claimed[machine.Identifier] || taken[machine.Identifier] {
				continue
			}
			if machine.Owner != "" && machine.Owner != w.Owner {
				continue // a Node proves that it is another's
			}
			if machine.Size == (Size{}) && several || !mayBring(w, machine) {
				continue
			}
			taken[machine.Identifier] = true
			answer[w.Intent] = machine
			break
		}
	}
	return answer
}

// mayBring reports whether a request may have brought a machine, by its size and by what was there before. One whose size is known is no
// answer to a request whose size is not: VPSie has stopped to sell that one.
func mayBring(w Waiting, machine Listed) bool {
	return (machine.Size == Size{} || w.Size == machine.Size) && !slices.Contains(w.Foreign, machine.Identifier)
}

// Earliest is when the first of the requests was made that may have brought a machine, whether they were answered or not: VPSie may have
// made two machines for one of them, or one that answers a later one. It is zero when there is none.
func Earliest(machine Listed, asked []Waiting) time.Time {
	var first time.Time
	for _, w := range asked {
		if mayBring(w, machine) && (first.IsZero() || w.RequestedAt.Before(first)) {
			first = w.RequestedAt
		}
	}
	return first
}

// Possible leaves out the machines whose Nodes are older than every request that may have brought them: they are foreign,
// though no listing showed them before.
func Possible(listed []Listed, asked []Waiting) []Listed {
	return slices.DeleteFunc(slices.Clone(listed), func(machine Listed) bool {
		return !machine.JoinedAt.IsZero() && machine.JoinedAt.Before(Earliest(machine, asked))
	})
}

// Foreign lists the machines that nobody claims, which no later request can have brought.
func Foreign(listed []Listed, claimed map[string]bool) []string {
	var foreign []string
	for _, machine := range listed {
		if machine.Identifier != "" && !claimed[machine.Identifier] {
			foreign = append(foreign, machine.Identifier)
		}
	}
	slices.Sort(foreign)
	return foreign
}

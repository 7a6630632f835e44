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
	// Owner is the VPSieNode whose machine it is proven to be, empty where nothing proves it.
	Owner string
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
	// Owner is the name of the VPSieNode by which a Node would prove that a machine is its.
	Owner       string
	Offering    int64
	Size        Size
	RequestedAt time.Time
	// Foreign are machines that existed before the request; none of them can be its answer.
	Foreign []string
}

// Assign finds the machine of each waiting request: one that VPSie lists, that nobody claims, that
// was not there before the request, and that has the size that was asked for. Older requests choose
// first, among machines in the order of the listing, so the answer depends on the input alone.
//
// VPSie's reply to a request names no machine, and a machine names no request, so the requests of
// one size in one cluster are interchangeable (vpsie-api.md §4.4). While requests of several sizes
// wait, only sizes that are known on both sides tell them apart; the rest waits.
func Assign(waiting []Waiting, listed []Listed, claimed map[string]bool) map[string]Listed {
	order := slices.Clone(waiting)
	slices.SortStableFunc(order, func(a, b Waiting) int {
		return cmp.Or(a.RequestedAt.Compare(b.RequestedAt), cmp.Compare(a.Intent, b.Intent))
	})
	several := slices.ContainsFunc(order, func(w Waiting) bool { return w.Offering != order[0].Offering })
	taken := map[string]bool{}
	answer := map[string]Listed{}
	for _, w := range order {
		for _, machine := range listed {
			if machine.Identifier == "" || claimed[machine.Identifier] || taken[machine.Identifier] || slices.Contains(w.Foreign, machine.Identifier) {
				continue
			}
			if machine.Owner != "" && machine.Owner != w.Owner {
				continue // a Node proves that it is another's
			}
			unknown := w.Size == Size{} || machine.Size == Size{}
			if unknown && several || !unknown && w.Size != machine.Size {
				continue
			}
			taken[machine.Identifier] = true
			answer[w.Intent] = machine
			break
		}
	}
	return answer
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

package launch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
)

// BatchMax bounds the machines requested between two listings, so that a large scale-up does not
// keep the first machines from being recognised until the last one was requested.
const BatchMax = 20

// Candidate is an intent for which nothing was asked of VPSie, or nothing came of what was asked.
type Candidate struct {
	// Intent is the name of the VPSieNode, as namespace/name.
	Intent   string
	Group    string
	Offering int64
	// Size is what the machine adds to its group; SizeKnown is false while VPSie has not said.
	Size      bounds.Amounts
	SizeKnown bool
}

// Group is what limits the launches of a NodeGroup.
type Group struct {
	// Missing says that the NodeGroup does not exist any more.
	Missing bool
	// Held says why its mode forbids launches; its code is empty where it does not.
	Held Refusal
	// Limit is what all its machines may be, have and cost together.
	Limit bounds.Limit
	// Has are the machines that exist or may exist, without the candidates, with what they have and cost; HasKnown is false while the size of some
	// of them is not known.
	Has      bounds.Amounts
	HasKnown bool
}

// Refusal says why an intent must not be launched, or not now.
type Refusal struct {
	Code    reason.Code
	Message string
	// Parameters are those of the code.
	Parameters reason.Values
}

// Batch is what to do with the candidates of one cluster.
type Batch struct {
	// Launch are to be requested now, in this order.
	Launch []Candidate
	// Refused must never be launched, by intent.
	Refused map[string]Refusal
	// Waiting are not launched now, by intent.
	Waiting map[string]Refusal
	// More says that candidates wait for the next batch.
	More bool
}

// Choose decides which candidates to launch now. waitingOffering is the size of requests that are
// still open, zero when there are none, and mixed says that VPSie shows the sizes of machines; when
// it does not, requests of two sizes could not be told apart and are made one size after the other.
func Choose(candidates []Candidate, groups map[string]Group, waitingOffering int64, mixed bool) Batch {
	order := slices.Clone(candidates)
	slices.SortFunc(order, func(a, b Candidate) int { return cmp.Compare(a.Intent, b.Intent) })
	batch := Batch{Refused: map[string]Refusal{}, Waiting: map[string]Refusal{}}
	left := map[string]bounds.Limit{}
	for name, g := range groups {
		left[name] = g.Limit.Less(g.Has)
	}
	only := waitingOffering
	for _, c := range order {
		c.Size.Nodes = 1 // also while nothing else of it is known
		g, known := groups[c.Group]
		switch {
		case !known:
			continue
		case g.Held.Code != "":
			batch.Waiting[c.Intent] = g.Held
			continue
		case g.Missing:
			batch.Refused[c.Intent] = Refusal{Code: reason.NoScaleUpNoGroup, Message: "NodeGroup " + c.Group + " no longer exists, so nothing is launched for it"}
			continue
		case left[c.Group].Nodes == 0:
			batch.Refused[c.Intent] = Refusal{reason.NoScaleUpGroupMaxSize,
				fmt.Sprintf("NodeGroup %s has reached maxNodes (%d of %d), so no further machine is launched; raise maxNodes to allow more", c.Group, g.Has.Nodes, g.Limit.Nodes),
				reason.Values{reason.ParamMaxNodes: reason.CountOf(g.Limit.Nodes)}}
			continue
		case !g.Limit.BoundsSizes():
		case !g.HasKnown || !c.SizeKnown:
			// Unknown is not zero.
			batch.Waiting[c.Intent] = Refusal{Code: reason.HoldSizesUnknown,
				Message: fmt.Sprintf("NodeGroup %s has limits, and VPSie has not said yet what its sizes have and cost, so nothing is launched for it; the sizes are read again automatically", c.Group)}
			continue
		case !left[c.Group].Allows(c.Size):
			batch.Refused[c.Intent] = Refusal{reason.NoScaleUpGroupLimit,
				fmt.Sprintf("NodeGroup %s would exceed its limits with this machine, so it is not launched; raise spec.limits to allow more", c.Group), g.Limit.ValuesWith(g.Has)}
			continue
		}
		if !mixed && only != 0 && c.Offering != only {
			batch.More = true
			continue
		}
		if len(batch.Launch) == BatchMax {
			batch.More = true
			continue
		}
		only = c.Offering
		left[c.Group] = left[c.Group].Less(c.Size)
		batch.Launch = append(batch.Launch, c)
	}
	return batch
}

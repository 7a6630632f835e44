package launch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// BatchMax bounds the machines asked for between two listings, so that a large scale-up does not
// keep the first machines from being recognised until the last one was asked for.
const BatchMax = 20

// Candidate is an intent for which nothing was asked of VPSie, or nothing came of what was asked.
type Candidate struct {
	// Intent is the name of the VPSieNode, as namespace/name.
	Intent   string
	Group    string
	Offering int64
	// Size is what the machine adds to its group; SizeKnown is false while VPSie has not said.
	Size      fleet.Amounts
	SizeKnown bool
}

// Group is what limits the launches of a NodeGroup.
type Group struct {
	// Missing says that the NodeGroup does not exist any more.
	Missing bool
	// Held says that its mode forbids purchases.
	Held bool
	// MaxNodes bounds the machines.
	MaxNodes int
	// Machines counts those that exist or may exist, without the candidates.
	Machines int
	// Ceilings bound what the machines have and cost together.
	Ceilings fleet.Ceilings
	// Has is what Machines have and cost; HasKnown is false while the size of some of them is not known.
	Has      fleet.Amounts
	HasKnown bool
}

// Refusal says why an intent must not be launched.
type Refusal struct {
	Code    reason.Code
	Message string
}

// Batch is what to do with the candidates of one cluster.
type Batch struct {
	// Launch are to be asked for now, in this order.
	Launch []Candidate
	// Refused must never be launched, by intent.
	Refused map[string]Refusal
	// More says that candidates wait for the next batch.
	More bool
}

// Choose decides which candidates to launch now. waitingOffering is the size of requests that are
// still open, zero when there are none, and mixed says that VPSie shows the sizes of machines; when
// it does not, requests of two sizes could not be told apart and are made one size after the other.
func Choose(candidates []Candidate, groups map[string]Group, waitingOffering int64, mixed bool) Batch {
	order := slices.Clone(candidates)
	slices.SortFunc(order, func(a, b Candidate) int { return cmp.Compare(a.Intent, b.Intent) })
	batch := Batch{Refused: map[string]Refusal{}}
	room, has := map[string]int{}, map[string]fleet.Amounts{}
	for name, g := range groups {
		room[name], has[name] = g.MaxNodes-g.Machines, g.Has
	}
	only := waitingOffering
	for _, c := range order {
		g, known := groups[c.Group]
		switch {
		case !known || g.Held:
			continue
		case g.Missing:
			batch.Refused[c.Intent] = Refusal{reason.NoScaleUpNoGroup, "NodeGroup " + c.Group + " no longer exists, so nothing is launched for it"}
			continue
		case room[c.Group] <= 0:
			batch.Refused[c.Intent] = Refusal{reason.NoScaleUpGroupMaxSize,
				fmt.Sprintf("NodeGroup %s has reached maxNodes (%d of %d), so no further machine is launched; raise maxNodes to allow more", c.Group, g.Machines, g.MaxNodes)}
			continue
		case !g.Ceilings.Any():
		case !g.HasKnown || !c.SizeKnown:
			continue // unknown is not zero: it waits until VPSie says what it sells
		case !g.Ceilings.Allow(has[c.Group].Add(c.Size)):
			batch.Refused[c.Intent] = Refusal{reason.NoScaleUpGroupLimit,
				fmt.Sprintf("NodeGroup %s would exceed its limits with this machine, so it is not launched; raise spec.limits to allow more", c.Group)}
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
		room[c.Group]--
		has[c.Group] = has[c.Group].Add(c.Size)
		batch.Launch = append(batch.Launch, c)
	}
	return batch
}

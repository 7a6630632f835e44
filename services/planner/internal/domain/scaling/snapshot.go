// Package scaling decides which machines to buy and which to retire, and says why.
package scaling

import (
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// Snapshot is everything that a plan depends on, but its time and the memory of earlier ones.
type Snapshot struct {
	fleet.Snapshot
	// Buy is how much may be bought at once: less while more pods are on their way.
	Buy Buy
}

// Buy is how much of what waiting pods need is bought.
type Buy int

const (
	// BuyAll buys for every pod.
	BuyAll Buy = iota
	// BuySettled buys for every pod unless machines opened a moment ago and pods that were planned for them still wait: kube-scheduler
	// is about to place those, and which pods it leaves over shows then.
	BuySettled
	// BuySure buys the machines that a plan for more pods of the same kinds would contain as well.
	BuySure
	// BuyNothing leaves purchases for pods to a later plan.
	BuyNothing
)

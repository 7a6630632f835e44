// Package scaling decides which machines to launch and which to retire, and says why.
package scaling

import (
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// Snapshot is everything that a plan depends on, but its time and the memory of earlier ones.
type Snapshot struct {
	fleet.Snapshot
	// Extent is how much may be launched at once: less while more pods are on their way.
	Extent Extent
	// Nominating are the Nodes to which nominations are being written.
	Nominating map[string]bool
}

// Extent is how much of what waiting pods need is launched.
type Extent int

const (
	// LaunchAll launches for every pod.
	LaunchAll Extent = iota
	// LaunchSettled launches for every pod unless machines opened a moment ago and pods that were planned for them still wait: kube-scheduler
	// is about to place those, and which pods it leaves over shows then.
	LaunchSettled
	// LaunchSure launches only the machines that a plan for more pods of the same kinds would contain as well.
	LaunchSure
	// LaunchNothing leaves the pods to a later plan.
	LaunchNothing
)

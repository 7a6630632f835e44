package disruption

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Defaults of a NodeGroup's scale-down policy, for objects that the API server did not default, and for groups that are gone.
const (
	utilizationDefault  = 50
	unneededForDefault  = 10 * time.Minute
	unreadyForDefault   = 20 * time.Minute // Cluster Autoscaler's
	leavingMaxDefault   = 5
	drainTimeoutDefault = 15 * time.Minute
)

const (
	// drainFailedWait is how long a machine whose drain was given up is left alone.
	drainFailedWait = 5 * time.Minute
	// ReplacementKept is how long a machine that replaces another is kept for it once its Node is Ready: whoever bought it retires the
	// other one by then, or never will.
	ReplacementKept = 15 * time.Minute
)

// UnneededFor is how long a node must have been able to go before it does.
func UnneededFor(g *v1beta1.NodeGroup) time.Duration {
	if g != nil && g.Spec.ScaleDown.UnneededFor != nil {
		return g.Spec.ScaleDown.UnneededFor.Duration
	}
	return unneededForDefault
}

// UnreadyFor is how long a machine must have been broken before it is replaced.
func UnreadyFor(g *v1beta1.NodeGroup) time.Duration {
	if g != nil && g.Spec.ScaleDown.UnreadyFor != nil {
		return g.Spec.ScaleDown.UnreadyFor.Duration
	}
	return unreadyForDefault
}

// DrainTimeout is how long a drain may take before it is given up.
func DrainTimeout(g *v1beta1.NodeGroup) time.Duration {
	if g != nil && g.Spec.ScaleDown.DrainTimeout != nil {
		return g.Spec.ScaleDown.DrainTimeout.Duration
	}
	return drainTimeoutDefault
}

// utilizationMax is the share of a Node, in percent, from which on its pods keep it.
func utilizationMax(g *v1beta1.NodeGroup) int64 {
	if g != nil && g.Spec.ScaleDown.UtilizationThreshold != nil {
		return int64(*g.Spec.ScaleDown.UtilizationThreshold)
	}
	return utilizationDefault
}

// leavingMax is how many machines of a group may leave at once.
func leavingMax(g *v1beta1.NodeGroup) int {
	if g != nil && g.Spec.ScaleDown.MaxNodesPerStep != nil {
		return int(*g.Spec.ScaleDown.MaxNodesPerStep)
	}
	return leavingMaxDefault
}

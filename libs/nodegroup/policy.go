package nodegroup

import (
	"fmt"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Defaults of a NodeGroup. The schema sets the same on what the API server stores; they hold for objects of before, and for
// machines whose group is gone.
const (
	utilizationDefault  = 50
	unneededForDefault  = 10 * time.Minute
	unreadyForDefault   = 20 * time.Minute // Cluster Autoscaler's
	leavingMaxDefault   = 5
	drainTimeoutDefault = 15 * time.Minute
)

// Unbounded is the value of a bound that is not set. It is small enough to be added to.
const Unbounded = math.MaxInt32

// Policy is what a NodeGroup asks for, with its defaults. The zero value is not useful; see PolicyOf.
type Policy struct {
	// Mode is never empty. It may be one that this version does not know.
	Mode      v1beta1.Mode
	ScaleUp   ScaleUp
	ScaleDown ScaleDown
}

// ScaleUp bounds growth.
type ScaleUp struct {
	Enabled bool
	// NodesPerStepMax bounds the machines that one decision launches, PodsPerNodeMax the pods that are planned on one new
	// machine. Either may be Unbounded.
	NodesPerStepMax int
	PodsPerNodeMax  int
}

// ScaleDown bounds shrinking and repair.
type ScaleDown struct {
	Enabled bool
	// UtilizationThreshold is the share of a Node, in percent, from which on its pods keep it.
	UtilizationThreshold int64
	// UnneededFor is how long a Node must have been able to go before it does, UnreadyFor how long a machine must have been
	// broken before it is replaced, and DrainTimeout how long a drain may take before it is aborted.
	UnneededFor, UnreadyFor, DrainTimeout time.Duration
	// LeavingMax is how many machines of the group may leave at once.
	LeavingMax int
}

// PolicyOf returns the policy of a NodeGroup; of nil, which is a group that is gone, the defaults.
func PolicyOf(g *v1beta1.NodeGroup) Policy {
	if g == nil {
		g = &v1beta1.NodeGroup{}
	}
	up, down := g.Spec.ScaleUp, g.Spec.ScaleDown
	p := Policy{
		Mode: g.Spec.Mode,
		ScaleUp: ScaleUp{
			Enabled:         or(up.Enabled, true),
			NodesPerStepMax: int(or(up.MaxNodesPerStep, Unbounded)),
			PodsPerNodeMax:  int(or(up.MaxPodsPerNode, Unbounded)),
		},
		ScaleDown: ScaleDown{
			Enabled:              or(down.Enabled, true),
			UtilizationThreshold: int64(or(down.UtilizationThreshold, utilizationDefault)),
			UnneededFor:          or(down.UnneededFor, metav1.Duration{Duration: unneededForDefault}).Duration,
			UnreadyFor:           or(down.UnreadyFor, metav1.Duration{Duration: unreadyForDefault}).Duration,
			DrainTimeout:         or(down.DrainTimeout, metav1.Duration{Duration: drainTimeoutDefault}).Duration,
			LeavingMax:           int(or(down.MaxNodesPerStep, leavingMaxDefault)),
		},
	}
	if p.Mode == "" {
		p.Mode = v1beta1.ModeEnforce
	}
	return p
}

// Recommends reports whether decisions for the group are recorded and not carried out.
func (p Policy) Recommends() bool { return p.Mode == v1beta1.ModeRecommend }

// NoLaunch says why no machine may be launched for the group; the code is empty where one may be. A mode that is not known forbids it.
func (p Policy) NoLaunch() (reason.Code, string) {
	switch {
	case p.Mode == v1beta1.ModePaused:
		return reason.NoScaleUpGroupPaused, "the group is paused, so no machine is launched or retired for it; set spec.mode to Enforce to resume"
	case !p.ScaleUp.Enabled:
		return reason.NoScaleUpGroupDisabled, "scale-up is switched off for the group; set spec.scaleUp.enabled to true to allow launches"
	case p.Mode == v1beta1.ModeRecommend:
		return reason.NoScaleUpGroupRecommend, "the group's mode is Recommend, so nothing is launched for it; set spec.mode to Enforce to allow launches"
	case p.Mode != v1beta1.ModeEnforce:
		return reason.NoScaleUpGroupInvalid, fmt.Sprintf("spec.mode %q is not known, so nothing is launched for the group; set it to Enforce, Recommend or Paused", p.Mode)
	}
	return "", ""
}

func or[T any](value *T, fallback T) T {
	if value == nil {
		return fallback
	}
	return *value
}

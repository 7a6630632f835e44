package disruption

import (
	"fmt"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
)

// because refuses with a message, empty for no refusal.
func because(message string) Refusal { return Refusal{Message: message} }

// when refuses where something is so.
func when(is bool, format string, args ...any) Refusal {
	if !is {
		return Refusal{}
	}
	return because(fmt.Sprintf(format, args...))
}

func paused(v *View) Refusal { return because(v.Paused) }

func closed(v *View) Refusal { return v.Closed }

func groupGone(v *View) Refusal {
	return when(v.Group == nil || v.Group.DeletionTimestamp != nil,
		"the NodeGroup is deleted, and its machines stay until a person retires them; delete the VPSieNode to retire the machine").unless(v.isLost())
}

// isLost reports whether nothing of the machine is left but its object and a Node that does not work, by VPSie's own word: then
// nothing runs there, and nothing is lost.
func (v *View) isLost() bool { return v.Kind == repair && v.IsMissing }

func (r Refusal) unless(is bool) Refusal {
	if is {
		return Refusal{}
	}
	return r
}

func (v *View) hasMode(mode v1beta1.Mode) bool { return v.Group != nil && v.Group.Spec.Mode == mode }

// groupPaused refuses for a mode that is not known as well.
func groupPaused(v *View) Refusal {
	switch {
	case v.Group == nil, v.hasMode(""), v.hasMode(v1beta1.ModeEnforce), v.hasMode(v1beta1.ModeRecommend):
		return Refusal{}
	case v.hasMode(v1beta1.ModePaused):
		return Refusal{Message: "the group is paused"}
	}
	return Refusal{Message: fmt.Sprintf("the group's mode is %q, which is not known", v.Group.Spec.Mode)}
}

func groupRecommends(v *View) Refusal {
	return when(v.hasMode(v1beta1.ModeRecommend), "the group's mode is Recommend, so no machine is retired")
}

func disabled(v *View) Refusal {
	off := v.Group != nil && v.Group.Spec.ScaleDown.Enabled != nil && !*v.Group.Spec.ScaleDown.Enabled
	return when(off, "%sscale-down is switched off for the group (scaleDown.enabled)", v.broken()).unless(v.isLost())
}

// broken says what does not work of a machine that is to be repaired.
func (v *View) broken() string {
	switch {
	case v.Kind != repair:
		return ""
	case v.Node == nil:
		return "the machine's Node does not exist, and "
	case !v.Node.IsReady:
		return "the node is not Ready, and "
	}
	return ""
}

func nodeProtected(v *View) Refusal {
	switch {
	case v.Node == nil || v.Node.Protection == "":
		return Refusal{}
	case v.Node.Protection == reason.NoScaleDownControlPlane:
		return Refusal{Code: v.Node.Protection, Message: v.broken() + "the node runs the control plane"}
	}
	return Refusal{Code: v.Node.Protection, Message: v.broken() + "an annotation or label protects the node"}
}

func beingReplaced(v *View) Refusal {
	for _, r := range v.Replacements {
		if r.HasFailed {
			continue
		}
		if r.ReadyAt.IsZero() {
			return because("its replacement " + r.Name + " is being launched")
		}
		if until := r.ReadyAt.Add(ReplacementKept); until.After(v.Now) {
			return Refusal{Message: "its replacement " + r.Name + " is Ready, and the service that launched it retires this one", Until: until}
		}
	}
	return Refusal{}
}

func replacesOthers(v *View) Refusal {
	var keptUntil time.Time
	if at := v.Machine.Status.ReadyAt; at != nil {
		keptUntil = at.Add(ReplacementKept)
	}
	for _, r := range v.Replaced {
		if r.IsLeaving {
			return because("it replaces " + r.Name + ", which is still leaving")
		}
		if keptUntil.After(v.Now) {
			return Refusal{Message: "it replaces " + r.Name + " and became Ready a short while ago", Until: keptUntil}
		}
	}
	return Refusal{}
}

func replacementFailed(v *View) Refusal {
	for _, r := range v.Replacements {
		if r.HasFailed {
			return because("its replacement " + r.Name + " failed or is leaving")
		}
	}
	return when(len(v.Replacements) == 0, "no VPSieNode replaces it (spec.replaces)")
}

func replacementNotReady(v *View) Refusal {
	for _, r := range v.Replacements {
		if !r.IsReady && !sabotage.ReplacementFirst() {
			return because("its replacement " + r.Name + " is not Ready; no pod is evicted before it is")
		}
	}
	return Refusal{}
}

func nodeNotReady(v *View) Refusal {
	return when(v.Node == nil || !v.Node.IsReady, "the node is not Ready, so what runs on it is uncertain")
}

func nodeReady(v *View) Refusal {
	return when(v.Node != nil && v.Node.IsReady, "the Node is Ready again")
}

func utilized(v *View) Refusal {
	most := utilizationMax(v.Group)
	return when(len(v.Pods) > 0 && !v.IsEvicting && v.Utilization >= most, "pods request %d%% of the node, and the threshold is %d%%", v.Utilization, most)
}

func awaited(v *View) Refusal {
	return when(v.IsAwaited, "pending pods are expected on this node")
}

func becoming(v *View) Refusal {
	return when(v.Node != nil && v.Node.IsBecoming, "the node is still starting up: a device, a label, or the removal of a startup taint is awaited")
}

func drainFailed(v *View) Refusal {
	wait := drainFailedWait
	if v.Kind == repair {
		wait = UnreadyFor(v.Group)
	}
	until := v.DrainFailed.Add(wait)
	if v.DrainFailed.IsZero() || !until.After(v.Now) {
		return Refusal{}
	}
	return Refusal{Message: fmt.Sprintf("%sits last drain was aborted (%s); it is tried again %s after that", v.broken(), v.DrainFailure, wait), Until: until}
}

func notUnreadyForLong(v *View) Refusal {
	wait := UnreadyFor(v.Group)
	until := v.UnreadySince.Add(wait)
	if !until.After(v.Now) {
		return Refusal{}
	}
	return Refusal{Message: fmt.Sprintf("%swhat runs on it is uncertain; the machine is repaired after %s", v.broken(), wait), Until: until}
}

// podProtected refuses for the first pod that a code protects. A code that no guard knows counts as the strictest.
func podProtected(code reason.Code) func(*View) Refusal {
	return func(v *View) Refusal {
		for _, pod := range v.Pods {
			known := pod.Protection == "" || pod.Protection == reason.NoScaleDownPodBare || pod.Protection == reason.NoScaleDownPodLocalStorage || pod.Protection == reason.NoScaleDownPodKubeSystem
			if pod.Protection == code || !known && code == reason.NoScaleDownPodProtected {
				return because(fmt.Sprintf("%s%s must not be evicted (%s)", v.broken(), pod.Name, pod.Protection))
			}
		}
		return Refusal{}
	}
}

func podUnjudged(v *View) Refusal {
	for _, pod := range v.Pods {
		if pod.Unjudged != "" {
			return because(fmt.Sprintf("whether %s fits elsewhere is unknown: %s", pod.Name, pod.Unjudged))
		}
	}
	return Refusal{}
}

func podBudget(v *View) Refusal {
	for _, pod := range v.Pods {
		if len(pod.Budgets) > 1 {
			return because(fmt.Sprintf("several PodDisruptionBudgets (%s) cover %s, and the Eviction API refuses to evict such a pod; keep one of them", strings.Join(pod.Budgets, ", "), pod.Name))
		}
		for _, budget := range pod.Budgets {
			if v.Budgets[budget] <= 0 {
				return because("PodDisruptionBudget " + budget + " allows no disruption now")
			}
		}
	}
	return Refusal{}
}

func minSize(v *View) Refusal {
	least := int(v.Group.Spec.MinNodes)
	return when(v.Staying < least, "the group would fall below its minimum of %s", count(least, "node", "nodes"))
}

func noPlace(v *View) Refusal {
	if v.NoPlace == nil {
		return because("whether its pods fit elsewhere was not checked")
	}
	return because(v.NoPlace())
}

func notUnneededForLong(v *View) Refusal {
	wait := UnneededFor(v.Group)
	until := v.UnneededSince.Add(wait)
	if !until.After(v.Now) {
		return Refusal{}
	}
	return Refusal{Message: fmt.Sprintf("the node is unneeded; it is retired after %s", wait), Until: until}
}

func stepLimit(v *View) Refusal {
	return when(v.Leaving >= leavingMax(v.Group), "%s leaving already (scaleDown.maxNodesPerStep)", count(v.Leaving, "node of the group is", "nodes of the group are"))
}

func together(v *View) Refusal {
	if v.Together == nil {
		return because("whether many machines fail together was not checked")
	}
	why, until := v.Together()
	if why == "" {
		return Refusal{}
	}
	return Refusal{Message: v.broken() + why, Until: until}
}

func busy(v *View) Refusal { return because(v.Busy) }

func occupied(v *View) Refusal {
	return when(len(v.Pods) > 0, "the Node joined after the launch deadline and runs pods; they are evicted before the machine is deleted")
}

func count(n int, one, more string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %s", n, more)
}

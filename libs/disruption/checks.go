package disruption

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/nodegroup"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
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

func paused(r *reading) Refusal { return read(r, r.Paused) }

func closed(r *reading) Refusal { return read(r, r.Closed) }

func groupGone(r *reading) Refusal {
	group := read(r, r.Group)
	return when(group == nil || group.DeletionTimestamp != nil,
		"the NodeGroup is deleted, and its machines stay until a person retires them; delete the VPSieNode to retire the machine").unless(r.isLost())
}

// isLost reports whether nothing of the machine is left but its object and a Node that does not work, by VPSie's own word: then
// nothing runs there, and nothing is lost.
func (r *reading) isLost() bool { return r.Kind == repair && r.IsMissing }

// with are the parameters of a refusal; there are none where nothing is refused.
func (r Refusal) with(parameters reason.Values) Refusal {
	if r.Message == "" {
		return r
	}
	all := maps.Clone(r.Parameters)
	if all == nil {
		all = reason.Values{}
	}
	maps.Copy(all, parameters)
	r.Parameters = all
	return r
}

// until refuses with a message until a time.
func until(at time.Time, message string) Refusal {
	return Refusal{Message: message, Until: at, Parameters: reason.UntilOf(at)}
}

func (r Refusal) unless(is bool) Refusal {
	if is {
		return Refusal{}
	}
	return r
}

func (r *reading) policy() nodegroup.Policy { return nodegroup.PolicyOf(read(r, r.Group)) }

// groupPaused refuses for a mode that is not known as well.
func groupPaused(r *reading) Refusal {
	switch mode := r.policy().Mode; mode {
	case v1beta1.ModeEnforce, v1beta1.ModeRecommend:
		return Refusal{}
	case v1beta1.ModePaused:
		return because("the group is paused")
	default:
		return because(fmt.Sprintf("the group's mode is %q, which is not known", mode))
	}
}

func groupRecommends(r *reading) Refusal {
	return when(r.policy().Recommends(), "the group's mode is Recommend, so no machine is retired")
}

func disabled(r *reading) Refusal {
	return when(!r.policy().ScaleDown.Enabled, "%sscale-down is switched off for the group (scaleDown.enabled)", r.broken()).unless(r.isLost())
}

// broken says what does not work of a machine that is to be repaired, for people: a guard that it prefixes need not know.
func (r *reading) broken() string {
	switch node := r.Node; {
	case r.Kind != repair || !node.known:
		return ""
	case node.value == nil:
		return "the machine's Node does not exist, and "
	case node.value.IsReady == Known(false):
		return "the node is not Ready, and "
	}
	return ""
}

func nodeProtected(r *reading) Refusal {
	node := read(r, r.Node)
	if node == nil {
		return Refusal{}
	}
	switch protection := read(r, node.Protection); protection {
	case "":
		return Refusal{}
	case reason.NoScaleDownControlPlane:
		return Refusal{Code: protection, Message: r.broken() + "the node runs the control plane"}
	default:
		return Refusal{Code: protection, Message: r.broken() + "an annotation or label protects the node"}
	}
}

func beingReplaced(r *reading) Refusal {
	for _, other := range read(r, r.Replacements) {
		if other.HasFailed {
			continue
		}
		if other.ReadyAt.IsZero() {
			return because("its replacement " + other.Name + " is being launched").with(reason.Values{reason.ParamReplacement: other.Name})
		}
		if at := other.ReadyAt.Add(ReplacementKept); at.After(r.Now) {
			refusal := until(at, "its replacement "+other.Name+" is Ready, and the service that launched it retires this one")
			refusal.Parameters[reason.ParamReplacement] = other.Name
			return refusal
		}
	}
	return Refusal{}
}

func replacesOthers(r *reading) Refusal {
	var keptUntil time.Time
	if at := r.machine().Status.ReadyAt; at != nil {
		keptUntil = at.Add(ReplacementKept)
	}
	for _, other := range read(r, r.Replaced) {
		if !other.Stays {
			return because("it replaces " + other.Name + ", which is still leaving").with(reason.Values{reason.ParamReplaced: other.Name})
		}
		if keptUntil.After(r.Now) {
			refusal := until(keptUntil, "it replaces "+other.Name+" and became Ready a short while ago")
			refusal.Parameters[reason.ParamReplaced] = other.Name
			return refusal
		}
	}
	return Refusal{}
}

func replacementFailed(r *reading) Refusal {
	replacements := read(r, r.Replacements)
	for _, other := range replacements {
		if other.HasFailed {
			return because("its replacement " + other.Name + " failed or is leaving").with(reason.Values{reason.ParamReplacement: other.Name})
		}
	}
	return when(len(replacements) == 0, "no VPSieNode replaces it (spec.replaces)")
}

// replacementLate refuses once a replacement was waited for as long as its launch may take, and it is past its own deadline.
func replacementLate(r *reading) Refusal {
	replacements, machine := read(r, r.Replacements), r.machine()
	wait, retirement := machine.Status.ReplacementWait, machine.Spec.Retirement
	if wait == nil || retirement == nil || wait.DecisionID != retirement.DecisionID {
		return Refusal{}
	}
	for _, other := range replacements {
		if !other.IsReady && !other.DueAt.After(r.Now) && !wait.Since.Add(other.LaunchDeadline).After(r.Now) {
			return because(fmt.Sprintf("its replacement %s was not Ready within its launch deadline of %s", other.Name, other.LaunchDeadline)).
				with(reason.Values{reason.ParamReplacement: other.Name, reason.ParamLaunchDeadline: other.LaunchDeadline.String()})
		}
	}
	return Refusal{}
}

func replacementNotReady(r *reading) Refusal {
	for _, other := range read(r, r.Replacements) {
		if !other.IsReady && !sabotage.ReplacementFirst() {
			return because("its replacement " + other.Name + " is not Ready; no pod is evicted before it is").with(reason.Values{reason.ParamReplacement: other.Name})
		}
	}
	return Refusal{}
}

// isReady reports whether there is a Node that is Ready.
func (r *reading) isReady() bool {
	node := read(r, r.Node)
	return node != nil && read(r, node.IsReady)
}

func nodeNotReady(r *reading) Refusal {
	return when(!r.isReady(), "the node is not Ready, so what runs on it is uncertain")
}

func nodeReady(r *reading) Refusal { return when(r.isReady(), "the Node is Ready") }

func utilized(r *reading) Refusal {
	most, utilization := r.policy().ScaleDown.UtilizationThreshold, read(r, r.Utilization)
	return when(len(read(r, r.Pods)) > 0 && !r.IsEvicting && utilization >= most, "pods request %d%% of the node, and the threshold is %d%%", utilization, most).
		with(reason.Values{reason.ParamUtilization: reason.CountOf(utilization), reason.ParamThreshold: reason.CountOf(most)})
}

func awaited(r *reading) Refusal {
	return when(read(r, r.IsAwaited), "pending pods are expected on this node")
}

func becoming(r *reading) Refusal {
	node := read(r, r.Node)
	return when(node != nil && read(r, node.IsBecoming), "the node is still starting up: a device, a label, or the removal of a startup taint is awaited")
}

func drainFailed(r *reading) Refusal {
	machine := r.machine()
	at := machine.Status.DrainFailedAt
	if at == nil {
		return Refusal{}
	}
	wait := drainFailedWait
	if r.Kind == repair {
		wait = r.policy().ScaleDown.UnreadyFor
	}
	again := at.Add(wait)
	if !again.After(r.Now) {
		return Refusal{}
	}
	return until(again, fmt.Sprintf("%sits last retirement was refused, or its drain aborted (%s); it is tried again %s after that", r.broken(), machine.Status.DrainFailure, wait))
}

func notUnreadyForLong(r *reading) Refusal {
	wait := r.policy().ScaleDown.UnreadyFor
	due := read(r, r.UnreadySince).Add(wait)
	if !due.After(r.Now) {
		return Refusal{}
	}
	return until(due, fmt.Sprintf("%swhat runs on it is uncertain; the machine is repaired after %s", r.broken(), wait))
}

// podProtected refuses for the first pod that a code protects. A code that no guard knows counts as the strictest.
func podProtected(code reason.Code) func(*reading) Refusal {
	return func(r *reading) Refusal {
		for _, pod := range read(r, r.Pods) {
			protection := read(r, pod.Protection)
			known := protection == "" || protection == reason.NoScaleDownPodBare || protection == reason.NoScaleDownPodLocalStorage || protection == reason.NoScaleDownPodKubeSystem
			if protection == code || !known && code == reason.NoScaleDownPodProtected {
				return because(fmt.Sprintf("%s%s must not be evicted (%s)", r.broken(), pod.Name, protection)).with(pod.values())
			}
		}
		return Refusal{}
	}
}

// values name a pod, where that is known.
func (p Pod) values() reason.Values {
	if p.Reference == "" {
		return nil
	}
	return reason.Values{reason.ParamPod: p.Reference}
}

func podUnjudged(r *reading) Refusal {
	for _, pod := range read(r, r.Pods) {
		if why := read(r, pod.Unjudged); why != "" {
			return because(fmt.Sprintf("whether %s fits elsewhere is unknown: %s", pod.Name, why)).with(pod.values())
		}
	}
	return Refusal{}
}

func podBudget(r *reading) Refusal {
	for _, pod := range read(r, r.Pods) {
		budgets := read(r, pod.Budgets)
		if len(budgets) > 1 {
			return because(fmt.Sprintf("several PodDisruptionBudgets (%s) cover %s, and the Eviction API refuses to evict such a pod; keep one of them", strings.Join(budgets, ", "), pod.Name)).
				with(pod.values()).with(reason.Values{reason.ParamBudgets: reason.NamesOf(budgets)})
		}
		for _, budget := range budgets {
			if r.Budgets[budget] <= 0 {
				return because("PodDisruptionBudget " + budget + " allows no disruption now").with(pod.values()).with(reason.Values{reason.ParamBudgets: budget})
			}
		}
	}
	return Refusal{}
}

func minSize(r *reading) Refusal {
	group, staying := read(r, r.Group), read(r, r.Staying)
	if group == nil {
		return Refusal{}
	}
	least := int(group.Spec.MinNodes)
	return when(staying < least, "the group would fall below its minimum of %s", text.Count(least, "node", "nodes")).
		with(reason.Values{reason.ParamMinNodes: reason.CountOf(least)})
}

func noPlace(r *reading) Refusal {
	if ask := read(r, r.NoPlace); ask != nil {
		return because(ask())
	}
	return Refusal{}
}

func notUnneededForLong(r *reading) Refusal {
	wait := r.policy().ScaleDown.UnneededFor
	due := read(r, r.UnneededSince).Add(wait)
	if !due.After(r.Now) {
		return Refusal{}
	}
	return until(due, fmt.Sprintf("the node is unneeded; it is retired after %s", wait))
}

func stepLimit(r *reading) Refusal {
	leaving, most := read(r, r.Leaving), r.policy().ScaleDown.LeavingMax
	return when(leaving >= most, "%s leaving already (scaleDown.maxNodesPerStep)", text.Count(leaving, "node of the group is", "nodes of the group are")).
		with(reason.Values{reason.ParamLeaving: reason.CountOf(leaving), reason.ParamMaxNodesPerStep: reason.CountOf(most)})
}

func together(r *reading) Refusal {
	ask := read(r, r.Together)
	if ask == nil {
		return Refusal{}
	}
	why, ends := ask()
	if why == "" {
		return Refusal{}
	}
	return until(ends, r.broken()+why)
}

func busy(r *reading) Refusal { return because(read(r, r.Busy)) }

func occupied(r *reading) Refusal {
	pods := len(read(r, r.Pods))
	return when(pods > 0, "pods run on the Node again, after its drain or because it joined late; they are evicted before the machine is deleted").
		with(reason.Values{reason.ParamPods: reason.CountOf(pods)})
}

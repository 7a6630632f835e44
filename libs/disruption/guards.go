package disruption

import (
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// The kinds, by short names for the list.
const (
	scaleDown    = v1beta1.RetireScaleDown
	replace      = v1beta1.RetireReplace
	repair       = v1beta1.RetireRepair
	launchFailed = v1beta1.RetireLaunchFailed
	orphan       = v1beta1.RetireOrphan
	manual       = v1beta1.RetireManual
)

// Kinds are all kinds of retirement.
var Kinds = []v1beta1.RetirementKind{scaleDown, replace, repair, launchFailed, orphan, manual}

type holds = map[v1beta1.RetirementKind]Point

// moves holds where pods are moved that work.
var moves = holds{scaleDown: Decide | Act, replace: Decide | Act, orphan: Act}

// Guards is everything that forbids to drain or delete a machine, in the order in which it is asked: of several, the first is told.
// Those come first that do not end by themselves, those last that are costly to ask.
//
// PodDisruptionBudgets are asked where it is decided; when it is acted, the Eviction API holds them, for every kind.
var Guards = []Guard{
	{
		Codes: codes(reason.HoldPaused), Waits: true, check: paused,
		Holds: holds{scaleDown: Act, replace: Act, repair: Decide | Act, launchFailed: Decide | Act, orphan: Act, manual: Act},
		Why:   "a person stopped everything with the pause ConfigMap",
	},
	{
		Codes: codes(reason.NoScaleUpGroupInvalid, reason.NoScaleUpUnauthorized, reason.NoScaleUpAPIUnavailable, reason.NoScaleUpClusterUnknown),
		Holds: holds{scaleDown: Decide, replace: Decide, repair: Decide}, check: closed,
		Why: "the group's settings contradict each other, or VPSie cannot be asked",
	},
	{
		Codes: codes(reason.NoScaleDownGroupGone), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Act}, check: groupGone,
		Why: "the NodeGroup is gone or going; its machines stay until a person retires them",
	},
	{
		Codes: codes(reason.NoScaleDownGroupPaused), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Decide | Act, launchFailed: Decide}, check: groupPaused,
		Why: "the NodeGroup's mode is Paused",
	},
	{
		Codes: codes(reason.NoScaleDownGroupRecommend), Holds: holds{scaleDown: Act, replace: Act, repair: Act}, check: groupRecommends,
		Why: "the NodeGroup's mode is Recommend: it is decided and explained, and not done",
	},
	{
		Codes: codes(reason.NoScaleDownDisabled), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Decide | Act}, check: disabled,
		Why: "scale-down is switched off for the NodeGroup (scaleDown.enabled)",
	},
	{
		Codes: codes(reason.NoScaleDownNodeProtected, reason.NoScaleDownControlPlane), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Decide | Act, orphan: Act}, check: nodeProtected,
		Why: "an annotation or label protects the Node, or the Node runs the control plane",
	},
	{
		Codes: codes(reason.NoScaleDownBeingReplaced), Holds: holds{scaleDown: Decide}, check: beingReplaced,
		Why: "the machine's replacement is on its way, or was Ready a short while ago",
	},
	{
		Codes: codes(reason.NoScaleDownReplacement), Holds: holds{scaleDown: Decide | Act}, check: replacesOthers,
		Why: "the machine was bought in the place of another that still drains",
	},
	{
		Codes: codes(reason.NoReplaceFailed), Holds: holds{replace: Act}, check: replacementFailed,
		Why: "no machine takes the place of this one: its replacement failed, goes itself, or does not exist",
	},
	{
		Codes: codes(reason.NoScaleDownNodeNotReady), Holds: holds{scaleDown: Decide, replace: Decide | Act}, check: nodeNotReady,
		Why: "the Node is not Ready, so what runs on it is not known for certain; it is repaired instead",
	},
	{
		Codes: codes(reason.NoRepairNodeReady), Holds: holds{repair: Act, launchFailed: Act}, check: nodeReady,
		Why: "the Node that was to be Ready is Ready after all",
	},
	{
		Codes: codes(reason.HoldReplacement), Holds: holds{replace: Act}, Waits: true, check: replacementNotReady,
		Why: "the machine that takes the place of this one is not Ready",
	},
	{
		Codes: codes(reason.NoScaleDownUtilization), Holds: holds{scaleDown: Decide | Act}, check: utilized,
		Why: "pods request more of the Node than scaleDown.utilizationThreshold",
	},
	{
		Codes: codes(reason.NoScaleDownPendingPods), Holds: holds{scaleDown: Decide}, check: awaited,
		Why: "pods wait that the Node will take",
	},
	{
		Codes: codes(reason.NoScaleDownNodeNotReady), Holds: holds{scaleDown: Decide, replace: Decide}, check: becoming,
		Why: "the Node still gets what nodes of its kind have",
	},
	{
		Codes: codes(reason.NoScaleDownDrainFailed), Holds: holds{scaleDown: Decide, replace: Decide, repair: Decide}, check: drainFailed,
		Why: "the last drain of the Node was given up a short while ago",
	},
	{
		Codes: codes(reason.NoScaleDownNodeNotReady), Holds: holds{repair: Decide}, check: notUnreadyForLong,
		Why: "the machine does not work, but not yet for scaleDown.unreadyFor",
	},
	{
		Codes: codes(reason.NoScaleDownPodProtected), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Act, orphan: Act}, check: podProtected(reason.NoScaleDownPodProtected),
		Why: "an annotation forbids to move a pod",
	},
	{
		Codes: codes(reason.NoScaleDownPodBare), Holds: moves, check: podProtected(reason.NoScaleDownPodBare),
		Why: "no controller would make a pod again",
	},
	{
		Codes: codes(reason.NoScaleDownPodLocalStorage), Holds: moves, check: podProtected(reason.NoScaleDownPodLocalStorage),
		Why: "a pod would lose what it keeps on the Node",
	},
	{
		Codes: codes(reason.NoScaleDownPodKubeSystem), Holds: moves, check: podProtected(reason.NoScaleDownPodKubeSystem),
		Why: "a pod of kube-system has no PodDisruptionBudget",
	},
	{
		Codes: codes(reason.NoScaleDownPodUnjudged), Holds: moves, check: podUnjudged,
		Why: "where a pod could go is not known",
	},
	{
		Codes: codes(reason.NoScaleDownPodBudget), Holds: holds{scaleDown: Decide, replace: Decide}, check: podBudget,
		Why: "a PodDisruptionBudget allows no disruption now",
	},
	{
		Codes: codes(reason.NoScaleDownMinSize), Holds: holds{scaleDown: Decide | Act, replace: Act}, check: minSize,
		Why: "fewer machines that work than minNodes would stay",
	},
	{
		Codes: codes(reason.NoScaleDownPodNoPlace), Holds: holds{scaleDown: Decide}, check: noPlace,
		Why: "a pod of the Node fits on no other",
	},
	{
		Codes: codes(reason.NoScaleDownUnneededFor), Holds: holds{scaleDown: Decide}, check: notUnneededForLong,
		Why: "the node can go, but not yet for scaleDown.unneededFor",
	},
	{
		Codes: codes(reason.NoScaleDownStepLimit), Holds: holds{scaleDown: Decide}, check: stepLimit,
		Why: "scaleDown.maxNodesPerStep machines of the group leave already",
	},
	{
		Codes: codes(reason.NoRepairFailingTogether), Holds: holds{repair: Decide | Act, launchFailed: Decide}, check: together,
		Why: "many machines fail together, which new ones would not mend",
	},
	{
		Codes: codes(reason.NoRepairOneAtATime), Holds: holds{repair: Decide, launchFailed: Decide}, check: busy,
		Why: "another machine of the group is being replaced",
	},
	{
		Codes: codes(reason.HoldOccupied), Waits: true, check: occupied,
		Holds: holds{scaleDown: Delete, replace: Delete, repair: Delete, launchFailed: Delete, orphan: Delete, manual: Delete},
		Why:   "pods run on the machine that have to move first",
	},
}

func codes(list ...reason.Code) []reason.Code { return list }

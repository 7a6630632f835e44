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
		Why: "the group's settings contradict each other, or VPSie cannot be called",
	},
	{
		Codes: codes(reason.NoScaleDownGroupGone), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Act}, check: groupGone,
		Why: "the NodeGroup is deleted or being deleted; its machines stay until a person retires them",
	},
	{
		Codes: codes(reason.NoScaleDownGroupPaused), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Decide | Act, launchFailed: Decide}, check: groupPaused,
		Why: "the NodeGroup's mode is Paused",
	},
	{
		Codes: codes(reason.NoScaleDownGroupRecommend), Holds: holds{scaleDown: Act, replace: Act, repair: Act}, check: groupRecommends,
		Why: "the NodeGroup's mode is Recommend: retirements are recorded but not made",
	},
	{
		Codes: codes(reason.NoScaleDownDisabled), Holds: holds{scaleDown: Decide | Act, repair: Decide | Act}, check: disabled,
		Why: "scale-down is switched off for the NodeGroup (scaleDown.enabled)",
	},
	{
		Codes: codes(reason.NoScaleDownNodeProtected, reason.NoScaleDownControlPlane), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Decide | Act, orphan: Act}, check: nodeProtected,
		Why: "an annotation or label protects the Node, or the Node runs the control plane",
	},
	{
		Codes: codes(reason.NoScaleDownBeingReplaced), Holds: holds{scaleDown: Decide}, check: beingReplaced,
		Why: "the machine's replacement is being launched, or became Ready a short while ago",
	},
	{
		Codes: codes(reason.NoScaleDownReplacement), Holds: holds{scaleDown: Decide | Act}, check: replacesOthers,
		Why: "the machine replaces another one that is still leaving, or became Ready a short while ago",
	},
	{
		Codes: codes(reason.NoReplaceFailed), Holds: holds{replace: Act}, check: replacementFailed,
		Why: "the machine's replacement failed, is leaving or does not exist",
	},
	{
		Codes: codes(reason.NoScaleDownNodeNotReady), Holds: holds{scaleDown: Decide, replace: Decide | Act}, check: nodeNotReady,
		Why: "the Node is not Ready, so what runs on it is uncertain; it is repaired instead",
	},
	{
		Codes: codes(reason.NoRepairNodeReady), Holds: holds{repair: Act, launchFailed: Act}, check: nodeReady,
		Why: "the Node is Ready again",
	},
	{
		Codes: codes(reason.NoReplaceLate), Holds: holds{replace: Act}, check: replacementLate,
		Why: "the machine's replacement was not Ready by its launch deadline, or for as long after it had been",
	},
	{
		Codes: codes(reason.HoldReplacement), Holds: holds{replace: Act}, Waits: true, check: replacementNotReady,
		Why: "the machine's replacement is not Ready",
	},
	{
		Codes: codes(reason.NoScaleDownUtilization), Holds: holds{scaleDown: Decide | Act}, check: utilized,
		Why: "pods request at least scaleDown.utilizationThreshold of the Node",
	},
	{
		Codes: codes(reason.NoScaleDownPendingPods), Holds: holds{scaleDown: Decide}, check: awaited,
		Why: "pending pods are expected on the Node",
	},
	{
		Codes: codes(reason.NoScaleDownNodeNotReady), Holds: holds{scaleDown: Decide, replace: Decide}, check: becoming,
		Why: "the Node is still starting up: a device, a label or the removal of a startup taint is awaited",
	},
	{
		Codes: codes(reason.NoScaleDownDrainFailed), Holds: holds{scaleDown: Decide, replace: Decide, repair: Decide}, check: drainFailed,
		Why: "the last drain of the Node was aborted a short while ago",
	},
	{
		Codes: codes(reason.NoScaleDownNodeNotReady), Holds: holds{repair: Decide}, check: notUnreadyForLong,
		Why: "the Node is missing or not Ready, but not yet for scaleDown.unreadyFor",
	},
	{
		Codes: codes(reason.NoScaleDownPodProtected), Holds: holds{scaleDown: Decide | Act, replace: Decide | Act, repair: Act, orphan: Act}, check: podProtected(reason.NoScaleDownPodProtected),
		Why: "an annotation forbids the eviction of a pod",
	},
	{
		Codes: codes(reason.NoScaleDownPodBare), Holds: moves, check: podProtected(reason.NoScaleDownPodBare),
		Why: "a pod has no controller that would create it again",
	},
	{
		Codes: codes(reason.NoScaleDownPodLocalStorage), Holds: moves, check: podProtected(reason.NoScaleDownPodLocalStorage),
		Why: "a pod would lose its local storage",
	},
	{
		Codes: codes(reason.NoScaleDownPodKubeSystem), Holds: moves, check: podProtected(reason.NoScaleDownPodKubeSystem),
		Why: "a pod of kube-system has no PodDisruptionBudget",
	},
	{
		Codes: codes(reason.NoScaleDownPodUnjudged), Holds: moves, check: podUnjudged,
		Why: "whether a pod fits elsewhere is unknown",
	},
	{
		Codes: codes(reason.NoScaleDownPodBudget), Holds: holds{scaleDown: Decide, replace: Decide}, check: podBudget,
		Why: "a PodDisruptionBudget allows no disruption now",
	},
	{
		Codes: codes(reason.NoScaleDownMinSize), Holds: holds{scaleDown: Decide | Act, replace: Act}, check: minSize,
		Why: "fewer working machines than minNodes would stay",
	},
	{
		Codes: codes(reason.NoScaleDownPodNoPlace), Holds: holds{scaleDown: Decide}, check: noPlace,
		Why: "a pod of the Node fits on no other Node",
	},
	{
		Codes: codes(reason.NoScaleDownUnneededFor), Holds: holds{scaleDown: Decide}, check: notUnneededForLong,
		Why: "the Node is unneeded, but not yet for scaleDown.unneededFor",
	},
	{
		Codes: codes(reason.NoScaleDownStepLimit), Holds: holds{scaleDown: Decide}, check: stepLimit,
		Why: "scaleDown.maxNodesPerStep machines of the group are leaving already",
	},
	{
		Codes: codes(reason.NoRepairFailingTogether), Holds: holds{repair: Decide | Act, launchFailed: Decide}, check: together,
		Why: "many machines fail together, which new machines would not fix",
	},
	{
		Codes: codes(reason.NoRepairOneAtATime), Holds: holds{repair: Decide, launchFailed: Decide}, check: busy,
		Why: "another machine of the group is being repaired, or terminated after a failed launch",
	},
	{
		Codes: codes(reason.HoldOccupied), Waits: true, check: occupied,
		Holds: holds{scaleDown: Delete, replace: Delete, repair: Delete, launchFailed: Delete, orphan: Delete, manual: Delete},
		Why:   "pods on the machine must be evicted first",
	},
}

func codes(list ...reason.Code) []reason.Code { return list }

// Package reason is the registry of reason codes: the one place where a code, what it means, what to do about it and which
// records may carry it are written down. Codes are append-only and never renamed.
package reason

import "strings"

// Code is a stable, dotted reason code.
type Code string

// Codes of launches.
const (
	ScaleUpPendingPods Code = "scaleup.pending_pods"
	ScaleUpMinNodes    Code = "scaleup.min_nodes"
)

// Codes of launches that were not made.
const (
	NoScaleUpNoGroup          Code = "noscaleup.no_group"
	NoScaleUpGroupMaxSize     Code = "noscaleup.group.max_size"
	NoScaleUpGroupPaused      Code = "noscaleup.group.paused"
	NoScaleUpGroupRecommend   Code = "noscaleup.group.recommend"
	NoScaleUpGroupDisabled    Code = "noscaleup.group.disabled"
	NoScaleUpGroupInvalid     Code = "noscaleup.group.invalid"
	NoScaleUpStepLimit        Code = "noscaleup.group.step_limit"
	NoScaleUpGroupLimit       Code = "noscaleup.group.limit"
	NoScaleUpNoOffering       Code = "noscaleup.offering.none"
	NoScaleUpOfferingUnknown  Code = "noscaleup.offering.unknown"
	NoScaleUpOfferingBackoff  Code = "noscaleup.offering.backoff"
	NoScaleUpResources        Code = "noscaleup.pod.too_large"
	NoScaleUpSelector         Code = "noscaleup.pod.node_affinity"
	NoScaleUpTaint            Code = "noscaleup.pod.taint"
	NoScaleUpClusterUnknown   Code = "noscaleup.cluster.unknown"
	NoScaleUpCatalogueUnknown Code = "noscaleup.catalogue.unknown"
	NoScaleUpUnauthorized     Code = "noscaleup.api.unauthorized"
	NoScaleUpAPIUnavailable   Code = "noscaleup.api.unavailable"
	NoScaleUpTopologySpread   Code = "noscaleup.pod.topology_spread"
	NoScaleUpPodAffinity      Code = "noscaleup.pod.pod_affinity"
	NoScaleUpVolume           Code = "noscaleup.pod.volume"
	NoScaleUpHostPort         Code = "noscaleup.pod.host_port"
	NoScaleUpAttachLimit      Code = "noscaleup.pod.attach_limit"
	NoScaleUpResourceClaim    Code = "noscaleup.pod.resource_claim"
	NoScaleUpForeignScheduler Code = "noscaleup.pod.foreign_scheduler"
	NoScaleUpLowPriority      Code = "noscaleup.pod.low_priority"
	NoScaleUpLaunchFailed     Code = "noscaleup.launch.refused"
	NoScaleUpQuota            Code = "noscaleup.quota.vpsie"
	NoScaleUpOfferingSoldOut  Code = "noscaleup.offering.sold_out"
	NoScaleUpCostlier         Code = "noscaleup.offering.costlier"
	NoScaleUpFailingTogether  Code = "noscaleup.group.failing_together"
	// NoScaleUpFits is what Explain says of pods that no launch is for because they fit.
	NoScaleUpFits Code = "noscaleup.pod.fits"
)

// Codes of what became of launches.
const (
	// LaunchUnconfirmed says that listings showed no machine for a request whose outcome was unclear.
	LaunchUnconfirmed Code = "launch.unconfirmed"
	LaunchNoMachine   Code = "launch.no_machine"
	LaunchDeadline    Code = "launch.deadline"
	LaunchExpired     Code = "launch.expired"
)

// Codes of removals.
const (
	ScaleDownUnneeded Code = "scaledown.unneeded"
	ScaleDownEmpty    Code = "scaledown.empty"
)

// Codes of removals that were not made.
const (
	// NoScaleDownUnchecked says that a guard lacks what it needs; that is a defect of the service that asked.
	NoScaleDownUnchecked       Code = "noscaledown.guard.unchecked"
	NoScaleDownUtilization     Code = "noscaledown.node.utilization"
	NoScaleDownUnneededFor     Code = "noscaledown.node.unneeded_for"
	NoScaleDownMinSize         Code = "noscaledown.group.min_size"
	NoScaleDownDisabled        Code = "noscaledown.group.disabled"
	NoScaleDownGroupPaused     Code = "noscaledown.group.paused"
	NoScaleDownGroupRecommend  Code = "noscaledown.group.recommend"
	NoScaleDownStepLimit       Code = "noscaledown.group.step_limit"
	NoScaleDownNodeProtected   Code = "noscaledown.node.protected"
	NoScaleDownNodeNotReady    Code = "noscaledown.node.not_ready"
	NoScaleDownPodNoPlace      Code = "noscaledown.pod.no_place"
	NoScaleDownPodProtected    Code = "noscaledown.pod.protected"
	NoScaleDownPodBare         Code = "noscaledown.pod.no_controller"
	NoScaleDownPodLocalStorage Code = "noscaledown.pod.local_storage"
	NoScaleDownPodKubeSystem   Code = "noscaledown.pod.kube_system"
	NoScaleDownPodBudget       Code = "noscaledown.pod.pdb"
	NoScaleDownPodUnjudged     Code = "noscaledown.pod.unjudged"
	NoScaleDownDrainFailed     Code = "noscaledown.drain.failed"
	NoScaleDownWithdrawn       Code = "noscaledown.retirement.withdrawn"
	NoScaleDownPendingPods     Code = "noscaledown.pods_pending"
	// NoScaleDownGroupGone keeps machines whose NodeGroup is gone or going.
	NoScaleDownGroupGone Code = "noscaledown.group.gone"
	// NoScaleDownControlPlane keeps Nodes that run the control plane.
	NoScaleDownControlPlane Code = "noscaledown.node.control_plane"
	// NoScaleDownBeingReplaced keeps a machine whose replacement is on its way.
	NoScaleDownBeingReplaced Code = "noscaledown.node.being_replaced"
	// NoScaleDownReplacement keeps a machine that was launched in the place of another which still drains.
	NoScaleDownReplacement Code = "noscaledown.node.replacement"
)

// Codes of replacements that were not made.
const (
	// NoReplaceFailed says that no machine takes the place of the one that is to be replaced.
	NoReplaceFailed Code = "noreplace.replacement.failed"
	// NoReplaceLate says that the replacement was waited for until its launch deadline.
	NoReplaceLate Code = "noreplace.replacement.late"
)

// Codes of repairs: the replacement of machines that do not work.
const (
	RepairNodeNotReady   Code = "repair.node.not_ready"
	RepairNodeMissing    Code = "repair.node.missing"
	RepairMachineMissing Code = "repair.machine.missing"
)

// Codes of repairs that were not made.
const (
	NoRepairFailingTogether Code = "norepair.failing_together"
	NoRepairOneAtATime      Code = "norepair.one_at_a_time"
	NoRepairNodeReady       Code = "norepair.node.ready"
)

// Codes of machines that no VPSieNode claims.
const (
	AdoptNodeProof  Code = "adopt.node_proof"
	AdoptLateAnswer Code = "adopt.late_answer"
	OrphanNoGroup   Code = "orphan.no_group"
	// AdoptAbandoned ends an adoption whose machine was not listed, or not proven ours, in time.
	AdoptAbandoned Code = "adopt.abandoned"
	// AdoptUnproven is of an unclaimed machine that no Node proves ours, AdoptNoGroup of one that is ours and has no NodeGroup.
	AdoptUnproven Code = "adopt.unproven"
	AdoptNoGroup  Code = "adopt.no_group"
	// AdoptReleased says that a VPSieNode went with its namespace or definition, and its machine stays.
	AdoptReleased Code = "adopt.released"
)

// Codes of nothing being decided or done.
const (
	// HoldFeedStale holds everything still while the feed is not current.
	HoldFeedStale Code = "hold.feed.stale"
	// HoldPauseUnreadable holds everything while the pause ConfigMap cannot be read.
	HoldPauseUnreadable Code = "hold.pause.unreadable"
	// HoldObjectsUnreadable holds everything while NodeGroups or VPSieNodes cannot be read.
	HoldObjectsUnreadable Code = "hold.objects.unreadable"
	// HoldSizesUnknown holds launches, and the search for their machines, while VPSie has not said what its sizes are.
	HoldSizesUnknown Code = "hold.sizes_unknown"
	// HoldPaused holds everything still while a person wants it so.
	HoldPaused Code = "hold.paused"
	// HoldListingIncomplete holds launches back while VPSie's listings lack many machines that are ours.
	HoldListingIncomplete Code = "hold.listing_incomplete"
	// HoldReportUnreadable holds launches back while the report of unclaimed machines cannot be read.
	HoldReportUnreadable Code = "hold.report_unreadable"
	// HoldMachinesFilling holds back what is left over of a burst while kube-scheduler fills the machines launched for it.
	HoldMachinesFilling Code = "hold.machines_filling"
	// HoldReplacement holds a drain until the machines that replace the drained one are Ready.
	HoldReplacement Code = "hold.replacement.not_ready"
	// HoldOccupied holds the deletion of a machine while pods run on it that have to move.
	HoldOccupied Code = "hold.node.occupied"
	// HoldAPIUnavailable holds launches and deletions while calls to VPSie fail.
	HoldAPIUnavailable Code = "hold.api.unavailable"
	// HoldUnauthorized holds launches and deletions while VPSie rejects the credentials.
	HoldUnauthorized Code = "hold.api.unauthorized"
	// HoldRefused holds a deletion that VPSie refuses.
	HoldRefused Code = "hold.api.refused"
	// HoldClusterUnknown holds launches and deletions in a cluster that VPSie does not know.
	HoldClusterUnknown Code = "hold.cluster.unknown"
	// HoldContradiction holds the end of a machine that VPSie lists and says not to know.
	HoldContradiction Code = "hold.machine.contradiction"
	// HoldPodTerminating holds a drain that a person wants while a pod does not terminate.
	HoldPodTerminating Code = "hold.pod.terminating"
	// HoldNotLeading holds launches and retirements while a planner is not sure that it leads.
	HoldNotLeading Code = "hold.planner.not_leading"
	// HoldLaunchUnclear holds the next launch request while a listed machine may or may not be the answer to the last one.
	HoldLaunchUnclear Code = "hold.launch.unclear"
	// HoldLaunchOutcome holds the end of a VPSieNode while a machine may still come of its launch request.
	HoldLaunchOutcome Code = "hold.launch.outcome"
	// HoldNodeNotOurs holds a machine whose name a Node has that is not proven to be its own.
	HoldNodeNotOurs Code = "hold.node.not_ours"
	// HoldTemplateInvalid holds the registration of a Node while Kubernetes refuses the template's labels or taints.
	HoldTemplateInvalid Code = "hold.template.invalid"
	// HoldIdentityMismatch holds the deletion of a machine that VPSie lists under another name.
	HoldIdentityMismatch Code = "hold.machine.identity_mismatch"
	// HoldEvictionBlocked holds a drain whose evictions are refused.
	HoldEvictionBlocked Code = "hold.eviction.blocked"
)

// words spell the parts of a code in a condition's reason where capitals alone do not.
var words = map[string]string{
	"noscaleup": "NoScaleUp", "scaleup": "ScaleUp", "noscaledown": "NoScaleDown", "scaledown": "ScaleDown", "norepair": "NoRepair", "noreplace": "NoReplace",
	"api": "API", "pdb": "PDB", "vpsie": "VPSie",
}

// Condition is the code as a condition's or an event's reason, which must be CamelCase.
func (c Code) Condition() string {
	var b strings.Builder
	for _, part := range strings.FieldsFunc(string(c), func(r rune) bool { return r == '.' || r == '_' }) {
		if word, ok := words[part]; ok {
			b.WriteString(word)
			continue
		}
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

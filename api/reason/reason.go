// Package reason is the registry of reason codes: the one place where a code, what it
// means and what to do about it are written down. Codes are append-only and never renamed.
package reason

// Code is a stable, dotted reason code.
type Code string

// Codes of purchases.
const (
	ScaleUpPendingPods Code = "scaleup.pending_pods"
	ScaleUpMinNodes    Code = "scaleup.min_nodes"
)

// Codes of purchases that were not made.
const (
	NoScaleUpNoGroup           Code = "noscaleup.no_group"
	NoScaleUpGroupMaxSize      Code = "noscaleup.group.max_size"
	NoScaleUpGroupPaused       Code = "noscaleup.group.paused"
	NoScaleUpGroupRecommend    Code = "noscaleup.group.recommend"
	NoScaleUpGroupDisabled     Code = "noscaleup.group.disabled"
	NoScaleUpGroupInvalid      Code = "noscaleup.group.invalid"
	NoScaleUpStepLimit         Code = "noscaleup.group.step_limit"
	NoScaleUpNoOffering        Code = "noscaleup.offering.none"
	NoScaleUpOfferingUnknown   Code = "noscaleup.offering.unknown"
	NoScaleUpOfferingBackoff   Code = "noscaleup.offering.backoff"
	NoScaleUpResources         Code = "noscaleup.pod.too_large"
	NoScaleUpSelector          Code = "noscaleup.pod.node_affinity"
	NoScaleUpTaint             Code = "noscaleup.pod.taint"
	NoScaleUpClusterUnknown    Code = "noscaleup.cluster.unknown"
	NoScaleUpCatalogueUnknown  Code = "noscaleup.catalogue.unknown"
	NoScaleUpUnauthorized      Code = "noscaleup.api.unauthorized"
	NoScaleUpAPIUnavailable    Code = "noscaleup.api.unavailable"
	NoScaleUpTopologySpread    Code = "noscaleup.pod.topology_spread"
	NoScaleUpPodAffinity       Code = "noscaleup.pod.pod_affinity"
	NoScaleUpVolume            Code = "noscaleup.pod.volume"
	NoScaleUpHostPort          Code = "noscaleup.pod.host_port"
	NoScaleUpResourceClaim     Code = "noscaleup.pod.resource_claim"
	NoScaleUpForeignScheduler  Code = "noscaleup.pod.foreign_scheduler"
	NoScaleUpLowPriority       Code = "noscaleup.pod.low_priority"
	NoScaleUpLaunchFailed      Code = "noscaleup.launch.refused"
	NoScaleUpQuota             Code = "noscaleup.quota.vpsie"
	NoScaleUpOfferingSoldOut   Code = "noscaleup.offering.sold_out"
	NoScaleUpLaunchingCapacity Code = "noscaleup.launching"
)

// Codes of removals.
const (
	ScaleDownUnneeded Code = "scaledown.unneeded"
	ScaleDownEmpty    Code = "scaledown.empty"
	ScaleDownDeleted  Code = "scaledown.deleted_by_user"
)

// Codes of removals that were not made.
const (
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
	NoScaleDownPendingPods     Code = "noscaledown.pods_pending"
)

// Codes for holding still.
const (
	HoldFeedStale Code = "hold.feed.stale"
	HoldStartup   Code = "hold.startup"
)

package reason

import "slices"

// Kind is what a record that carries a code is about.
type Kind string

// Kinds of records.
const (
	ScaleUp     Kind = "ScaleUp"
	NoScaleUp   Kind = "NoScaleUp"
	ScaleDown   Kind = "ScaleDown"
	NoScaleDown Kind = "NoScaleDown"
	Repair      Kind = "Repair"
	Launch      Kind = "Launch"
	Adoption    Kind = "Adoption"
	Hold        Kind = "Hold"
)

// Names of parameters.
const (
	ParamShape     = "shape"     // of the pods, as in the feed
	ParamNode      = "node"      // name of the Node
	ParamNodes     = "nodes"     // how many machines
	ParamOfferings = "offerings" // names of sizes, separated by commas
	ParamPods      = "pods"      // how many pods have to move
	ParamMachine   = "machine"   // VPSie's identifier, empty while there is none
	ParamOffering  = "offering"  // name of the size
)

// Parameters are what every record of a kind carries besides its code; records of other kinds carry none. That a group only recommends
// is a record with the parameters of the act.
var Parameters = map[Kind][]string{
	ScaleUp: {ParamNodes, ParamOfferings}, NoScaleUp: {ParamShape}, ScaleDown: {ParamNode, ParamPods}, Repair: {ParamNode, ParamPods},
	NoScaleDown: {ParamNode}, Launch: {ParamMachine, ParamOffering}, Adoption: {ParamMachine, ParamNode},
}

// Entry is what is to be known of a code.
type Entry struct {
	Code Code
	// Kinds are those of the records that may carry the code.
	Kinds []Kind
	// Meaning says what is the case, Remedy what an operator can do about it; both are sentences.
	Meaning, Remedy string
}

// nothing is the remedy for what passes by itself or is as wanted.
const nothing = "Nothing needs to be done."

// Entries are all codes there are, by kind.
var Entries = []Entry{
	{ScaleUpPendingPods, []Kind{ScaleUp, NoScaleUp}, "Machines are bought because pods do not fit on the Nodes that are there.", nothing},
	{ScaleUpMinNodes, []Kind{ScaleUp}, "Machines are bought because the NodeGroup has fewer Nodes than minNodes.", nothing},

	{NoScaleUpNoGroup, []Kind{NoScaleUp, Launch}, "There is no NodeGroup.", "Create a NodeGroup."},
	{NoScaleUpGroupMaxSize, []Kind{NoScaleUp, Launch}, "The NodeGroup has as many Nodes as maxNodes allows.", "Raise spec.maxNodes, or make room in the group."},
	{NoScaleUpGroupPaused, []Kind{NoScaleUp}, "The NodeGroup is paused.", "Set spec.mode to Enforce."},
	{NoScaleUpGroupRecommend, []Kind{NoScaleUp}, "The NodeGroup only recommends; what it would buy is on record.", "Set spec.mode to Enforce to let it act."},
	{NoScaleUpGroupDisabled, []Kind{NoScaleUp}, "Scale-up is switched off for the NodeGroup.", "Set spec.scaleUp.enabled to true."},
	{NoScaleUpGroupInvalid, []Kind{NoScaleUp, NoScaleDown}, "The NodeGroup's spec contradicts itself, or names what does not exist.", "Mend the field that the message names."},
	{NoScaleUpStepLimit, []Kind{NoScaleUp}, "One decision may add no more machines to the NodeGroup.", "Wait for the next decision, or raise spec.scaleUp.maxNodesPerStep."},
	{NoScaleUpGroupLimit, []Kind{NoScaleUp, Launch}, "A purchase would exceed a limit of the NodeGroup: CPU, memory or money.", "Raise the limit in spec.limits that the message names."},
	{NoScaleUpNoOffering, []Kind{NoScaleUp}, "VPSie sells no size that the NodeGroup's offerings allow.", "Name sizes that VPSie sells in this datacenter, or loosen the offering selector."},
	{NoScaleUpOfferingUnknown, []Kind{NoScaleUp}, "A size that the NodeGroup names does not exist at VPSie.", "Correct the size in spec.offerings."},
	{NoScaleUpOfferingBackoff, []Kind{NoScaleUp}, "A size pauses after VPSie refused it or its machines did not join.", "Wait until the time in the message, or allow further sizes."},
	{NoScaleUpResources, []Kind{NoScaleUp}, "No size is large enough for the pod.", "Allow a larger size, or lower the pod's requests."},
	{NoScaleUpSelector, []Kind{NoScaleUp}, "No Node that the NodeGroup could make matches the pod's node selector or node affinity.", "Add the label to spec.template.labels, or correct the pod's selector."},
	{NoScaleUpTaint, []Kind{NoScaleUp}, "The pod does not tolerate a taint of the NodeGroup's Nodes.", "Add the toleration to the pod, or take the taint out of spec.template.taints."},
	{NoScaleUpClusterUnknown, []Kind{NoScaleUp, NoScaleDown}, "VPSie does not know the cluster that the NodeGroup names.", "Correct spec.cluster."},
	{NoScaleUpCatalogueUnknown, []Kind{NoScaleUp, NoScaleDown}, "Which sizes VPSie sells is not known yet.", "Wait a minute after a start; then look at the provisioner's log and VPSie's status page."},
	{NoScaleUpUnauthorized, []Kind{NoScaleUp, NoScaleDown}, "VPSie rejects the credentials.", "Renew the token in the provisioner's Secret."},
	{NoScaleUpAPIUnavailable, []Kind{NoScaleUp, NoScaleDown}, "VPSie's API does not answer, or asked for fewer requests.", "Wait; look at VPSie's status page where it lasts."},
	{NoScaleUpTopologySpread, []Kind{NoScaleUp}, "A topology spread constraint of the pod forbids every Node that could be bought.", "Allow a size or group in the domain that lacks pods, or loosen maxSkew."},
	{NoScaleUpPodAffinity, []Kind{NoScaleUp}, "Pod affinity or anti-affinity forbids every Node that could be bought.", "Look at the terms that the message names."},
	{NoScaleUpVolume, []Kind{NoScaleUp}, "A volume of the pod cannot be reached from any Node that could be bought.", "Look at the claim, its storage class and the volume's node affinity."},
	{NoScaleUpHostPort, []Kind{NoScaleUp}, "A host port of the pod is taken on every Node that could be bought.", "Use a Service instead of a host port, or free the port."},
	{NoScaleUpAttachLimit, []Kind{NoScaleUp}, "The pod has more volumes than a Node can attach.", "Give the pod fewer volumes."},
	{NoScaleUpResourceClaim, []Kind{NoScaleUp}, "The pod uses dynamic resource allocation, which is not evaluated.", "Ask for the device as an extended resource."},
	{NoScaleUpForeignScheduler, []Kind{NoScaleUp}, "Another scheduler than the one that is simulated places the pod.", "Set spec.schedulerName of the pod to default-scheduler, or provide Nodes for the other scheduler."},
	{NoScaleUpLowPriority, []Kind{NoScaleUp}, "The pod's priority is below the cut-off, so nothing is bought for it.", "Raise the pod's priority, or lower the planner's --priority-cutoff."},
	{NoScaleUpLaunchFailed, []Kind{NoScaleUp, Launch}, "VPSie refused a launch request.", "Read VPSie's answer in the message; the size is tried again after its backoff."},
	{NoScaleUpQuota, []Kind{NoScaleUp, Launch}, "The VPSie account has reached its quota.", "Have VPSie raise the quota, or delete machines that are not needed."},
	{NoScaleUpOfferingSoldOut, []Kind{NoScaleUp, Launch}, "VPSie has sold the size out in this datacenter.", "Allow further sizes or datacenters; it is tried again by itself."},
	{NoScaleUpCostlier, []Kind{NoScaleUp, ScaleUp}, "Another alternative serves the pods for less.", nothing},
	{NoScaleUpFailingTogether, []Kind{NoScaleUp}, "Several machines of the NodeGroup did not join, so one at a time is bought until one does.", "Look at what the machines have in common: image, network, bootstrap."},

	{NoScaleUpFits, []Kind{NoScaleUp}, "The pods fit on Nodes that are there or on their way.", "Wait until kube-scheduler binds them; look at its events where that takes long."},

	{LaunchUnconfirmed, []Kind{Launch}, "The answer to a launch request was unclear, and no listing since shows a machine; it is asked for again.", nothing},
	{LaunchNoMachine, []Kind{Launch}, "VPSie accepted a launch request, and listed no machine for it until the launch deadline.", "Look for the machine in VPSie's console."},
	{LaunchDeadline, []Kind{Launch}, "A machine's Node was not Ready when the launch deadline had passed, so the machine is deleted.", "Look at the machine's console and kubelet, or raise the planner's --launch-deadline."},
	{LaunchExpired, []Kind{Launch}, "A launch request could not be carried out until the launch deadline, or must not be any more.", "Read the message; the planner asks again where pods still need the machine."},

	{ScaleDownUnneeded, []Kind{ScaleDown, NoScaleDown}, "The pods of a Node fit elsewhere, and did so for long enough.", nothing},
	{ScaleDownEmpty, []Kind{ScaleDown, NoScaleDown}, "No pod has needed a Node for long enough.", nothing},

	{NoScaleDownUtilization, []Kind{NoScaleDown}, "Pods request more of the Node than the threshold of utilization.", "Raise spec.scaleDown.utilizationThreshold to remove fuller Nodes."},
	{NoScaleDownUnneededFor, []Kind{NoScaleDown}, "The Node can go, and does once that has been so for long enough.", "Wait, or lower spec.scaleDown.unneededFor."},
	{NoScaleDownMinSize, []Kind{NoScaleDown}, "The NodeGroup would fall below minNodes.", "Lower spec.minNodes."},
	{NoScaleDownDisabled, []Kind{NoScaleDown}, "Scale-down is switched off for the NodeGroup, or the group does not exist any more.", "Set spec.scaleDown.enabled to true, or delete the VPSieNode."},
	{NoScaleDownGroupGone, []Kind{NoScaleDown}, "The NodeGroup of the Node is gone or being deleted; its machines stay.", "Create the NodeGroup again, or delete the VPSieNode to retire the machine."},
	{NoScaleDownGroupPaused, []Kind{NoScaleDown}, "The NodeGroup is paused.", "Set spec.mode to Enforce."},
	{NoScaleDownGroupRecommend, []Kind{NoScaleDown}, "The NodeGroup only recommends; what it would remove is on record.", "Set spec.mode to Enforce to let it act."},
	{NoScaleDownStepLimit, []Kind{NoScaleDown}, "As many Nodes of the NodeGroup are leaving as may do so at a time.", "Wait, or raise spec.scaleDown.maxNodesPerStep."},
	{NoScaleDownNodeProtected, []Kind{NoScaleDown}, "An annotation or label of the Node forbids its removal.", "Take the annotation off the Node."},
	{NoScaleDownControlPlane, []Kind{NoScaleDown}, "The Node runs the control plane.", nothing},
	{NoScaleDownBeingReplaced, []Kind{NoScaleDown}, "The machine's replacement is on its way, or was Ready a short while ago.", "Wait; the replacement decides what becomes of the Node."},
	{NoScaleDownReplacement, []Kind{NoScaleDown}, "The machine was launched in the place of another one that still drains.", "Wait until that drain has ended."},
	{NoScaleDownNodeNotReady, []Kind{NoScaleDown}, "The Node is not Ready, or still gets what Nodes of its kind have.", "Look at the Node's conditions; it is repaired when that lasts."},
	{NoScaleDownPodNoPlace, []Kind{NoScaleDown}, "A pod of the Node fits nowhere else.", "Look at the pod's requests and constraints."},
	{NoScaleDownPodProtected, []Kind{NoScaleDown}, "An annotation of a pod on the Node forbids its eviction.", "Take the annotation off the pod, or move the pod."},
	{NoScaleDownPodBare, []Kind{NoScaleDown}, "A pod on the Node has no controller, and would not come back.", "Give the pod a controller, or mark it safe to evict."},
	{NoScaleDownPodLocalStorage, []Kind{NoScaleDown}, "A pod on the Node keeps data in local storage.", "Mark the pod safe to evict where the data may be lost."},
	{NoScaleDownPodKubeSystem, []Kind{NoScaleDown}, "A pod of kube-system on the Node has no PodDisruptionBudget.", "Give it a PodDisruptionBudget."},
	{NoScaleDownPodBudget, []Kind{NoScaleDown}, "A PodDisruptionBudget allows no eviction of a pod on the Node, or several cover it.", "Look at the budget that the message names."},
	{NoScaleDownPodUnjudged, []Kind{NoScaleDown}, "Where a pod on the Node could go is not known.", "Look at the constraint that the message names."},
	{NoScaleDownDrainFailed, []Kind{NoScaleDown}, "The last drain of the Node was given up a short while ago.", "Read the VPSieNode's Drained condition; it is tried again by itself."},
	{NoScaleDownWithdrawn, []Kind{NoScaleDown}, "The retirement of a machine was withdrawn while its Node was being drained.", nothing},
	{NoScaleDownPendingPods, []Kind{NoScaleDown}, "Pods are waiting that the Node will take.", nothing},

	{RepairNodeNotReady, []Kind{Repair}, "A Node was not Ready for longer than spec.scaleDown.unreadyFor, so its machine is replaced.", "Look at why the Node failed where that happens often."},
	{RepairNodeMissing, []Kind{Repair}, "A machine's Node was deleted, so the machine is replaced.", "Delete VPSieNodes instead of Nodes."},
	{RepairMachineMissing, []Kind{Repair}, "VPSie does not know a machine any more, so its remains are removed.", "Delete VPSieNodes instead of machines in the console."},

	{NoRepairFailingTogether, []Kind{NoScaleDown}, "So many Nodes fail together that the cause is elsewhere, so none is replaced.", "Look at what they have in common: network, control plane, datacenter."},
	{NoRepairOneAtATime, []Kind{NoScaleDown}, "Another machine of the NodeGroup is being replaced.", "Wait; this one follows."},
	{NoRepairNodeReady, []Kind{NoScaleDown}, "The Node is Ready again, so it is not replaced.", nothing},

	{NoReplaceFailed, []Kind{NoScaleDown}, "No machine takes the place of the one that was to be replaced: its replacement failed, is leaving or does not exist.", "Look at the VPSieNode whose spec.replaces names the machine."},

	{AdoptNodeProof, []Kind{Adoption}, "A machine that no VPSieNode claimed is ours by its Node, and gets a VPSieNode.", "Find out who deleted its VPSieNode."},
	{AdoptLateAnswer, []Kind{Adoption}, "A machine answers a launch request that was given up, and gets a VPSieNode.", nothing},
	{AdoptReleased, []Kind{Adoption}, "A VPSieNode was deleted with its namespace or its definition, so its machine stays without one.", "Create the NodeGroup again to have the machine adopted."},
	{OrphanNoGroup, []Kind{Adoption, ScaleDown}, "The NodeGroup of a machine does not exist, so the machine is drained and deleted.", "Create the NodeGroup again to keep its machines, or set --orphan-policy=Report."},

	{HoldFeedStale, []Kind{Hold}, "The observer's feed is not current, so nothing is decided.", "Look at the observer's log and at its connection to the API server."},
	{HoldListingIncomplete, []Kind{Hold, Launch}, "VPSie's listings lack more than a fifth of the machines that are ours, so they are not believed and nothing is launched.", "Look at VPSie's console and status page; it ends with a complete listing, or after an hour."},
	{HoldReportUnreadable, []Kind{Hold, Launch}, "The report of unclaimed machines cannot be read, so it is unknown which machines are foreign and nothing is launched.", "Look at the ConfigMap vpsie-autoscaler-orphans and at the API server."},
	{HoldReplacement, []Kind{Hold}, "The drain of a machine waits until its replacement is Ready.", "Look at the VPSieNode whose spec.replaces names the machine."},
	{HoldOccupied, []Kind{Hold}, "The deletion of a machine waits because pods run on it that have to move first.", "Look at the pods that the VPSieNode's condition names."},
	{HoldMachinesFilling, []Kind{NoScaleUp}, "Machines that opened a moment ago may still take the pod, so none is launched for it yet.", "Wait: two minutes at most."},
	{HoldPaused, []Kind{Hold, NoScaleUp, NoScaleDown, Launch}, "A person has paused everything.", "Delete the ConfigMap vpsie-autoscaler-pause, or wait for the time in it."},
}

// Lookup returns what is to be known of a code; false for one that does not exist.
func Lookup(c Code) (Entry, bool) {
	i := slices.IndexFunc(Entries, func(e Entry) bool { return e.Code == c })
	if i < 0 {
		return Entry{}, false
	}
	return Entries[i], true
}

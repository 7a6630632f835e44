package reason

import (
	"fmt"
	"strings"
	"sync"
)

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

// Entry is what is to be known of a code.
type Entry struct {
	Code Code
	// Kinds are those of the records that may carry the code.
	Kinds []Kind
	// Meaning says what is the case, Remedy what an operator can do about it; both are sentences.
	Meaning, Remedy string
}

// nothing is the remedy for what ends without a person or is as intended.
const nothing = "Nothing needs to be done."

// Entries are all codes there are, by kind.
var Entries = []Entry{
	{ScaleUpPendingPods, []Kind{ScaleUp, NoScaleUp}, "Machines are launched because pods do not fit on existing Nodes.", nothing},
	{ScaleUpMinNodes, []Kind{ScaleUp}, "Machines are launched because the NodeGroup has fewer Nodes than minNodes.", nothing},

	{NoScaleUpNoGroup, []Kind{NoScaleUp, Launch}, "There is no NodeGroup.", "Create a NodeGroup."},
	{NoScaleUpGroupMaxSize, []Kind{NoScaleUp, Launch}, "The NodeGroup has as many Nodes as maxNodes allows.", "Raise spec.maxNodes, or free capacity in the group."},
	{NoScaleUpGroupPaused, []Kind{NoScaleUp, Hold}, "The NodeGroup is paused.", "Set spec.mode to Enforce."},
	{NoScaleUpGroupRecommend, []Kind{NoScaleUp, Hold}, "The NodeGroup's mode is Recommend, so its launches are recorded but not made.", "Set spec.mode to Enforce to act."},
	{NoScaleUpGroupDisabled, []Kind{NoScaleUp, Hold}, "Scale-up is switched off for the NodeGroup.", "Set spec.scaleUp.enabled to true."},
	{NoScaleUpGroupInvalid, []Kind{NoScaleUp, NoScaleDown, Hold}, "The NodeGroup's spec contradicts itself, or names an object that does not exist.", "Correct the field that the message names."},
	{NoScaleUpStepLimit, []Kind{NoScaleUp}, "One decision may launch no more machines for the NodeGroup.", "Wait for the next decision, or raise spec.scaleUp.maxNodesPerStep."},
	{NoScaleUpGroupLimit, []Kind{NoScaleUp, Launch}, "A launch would exceed a limit of the NodeGroup: CPU, memory or monthly cost.", "Raise the limit in spec.limits that the message names."},
	{NoScaleUpNoOffering, []Kind{NoScaleUp}, "VPSie sells no size that the NodeGroup's offerings allow.", "Name sizes that VPSie sells in this datacenter, or relax the offering selector."},
	{NoScaleUpOfferingUnknown, []Kind{NoScaleUp}, "A size that the NodeGroup names does not exist at VPSie.", "Correct the size in spec.offerings."},
	{NoScaleUpOfferingBackoff, []Kind{NoScaleUp}, "A size is in backoff because VPSie refused it or its machines did not join.", "Wait until the time in the message, or allow further sizes."},
	{NoScaleUpResources, []Kind{NoScaleUp}, "No size is large enough for the pod.", "Allow a larger size, or lower the pod's requests."},
	{NoScaleUpSelector, []Kind{NoScaleUp}, "No Node that the NodeGroup could launch matches the pod's node selector or node affinity.", "Add the label to spec.template.labels, or correct the pod's selector."},
	{NoScaleUpTaint, []Kind{NoScaleUp}, "The pod does not tolerate a taint of the NodeGroup's Nodes.", "Add the toleration to the pod, or remove the taint from spec.template.taints."},
	{NoScaleUpClusterUnknown, []Kind{NoScaleUp, NoScaleDown}, "VPSie does not know the cluster that the NodeGroup names.", "Correct spec.cluster."},
	{NoScaleUpCatalogueUnknown, []Kind{NoScaleUp, NoScaleDown}, "The catalogue of VPSie's sizes is not known yet.", "Wait a minute after a start; then check the provisioner's log and VPSie's status page."},
	{NoScaleUpUnauthorized, []Kind{NoScaleUp, NoScaleDown}, "VPSie rejects the credentials.", "Renew the token in the provisioner's Secret."},
	{NoScaleUpAPIUnavailable, []Kind{NoScaleUp, NoScaleDown}, "VPSie's API does not answer, or limits the rate of requests.", "Wait; check VPSie's status page if this lasts."},
	{NoScaleUpTopologySpread, []Kind{NoScaleUp}, "A topology spread constraint of the pod forbids every Node that could be launched.", "Allow a size or group in the domain that lacks pods, or raise maxSkew."},
	{NoScaleUpPodAffinity, []Kind{NoScaleUp}, "Pod affinity or anti-affinity forbids every Node that could be launched.", "Check the terms that the message names."},
	{NoScaleUpVolume, []Kind{NoScaleUp}, "A volume of the pod cannot be used on any Node that could be launched.", "Check the PersistentVolumeClaim, its StorageClass and the volume's node affinity."},
	{NoScaleUpHostPort, []Kind{NoScaleUp}, "A host port of the pod is in use on every Node that could be launched.", "Use a Service instead of a host port, or free the port."},
	{NoScaleUpAttachLimit, []Kind{NoScaleUp}, "The pod has more volumes than a Node can attach.", "Give the pod fewer volumes."},
	{NoScaleUpResourceClaim, []Kind{NoScaleUp}, "The pod uses dynamic resource allocation, which is not evaluated.", "Request the device as an extended resource."},
	{NoScaleUpForeignScheduler, []Kind{NoScaleUp}, "The pod names a scheduler whose rules are not simulated.", "Set spec.schedulerName of the pod to default-scheduler, or provide Nodes for the other scheduler."},
	{NoScaleUpLowPriority, []Kind{NoScaleUp}, "The pod's priority is below the cut-off, so nothing is launched for it.", "Raise the pod's priority, or lower the planner's --priority-cutoff."},
	{NoScaleUpLaunchFailed, []Kind{NoScaleUp, Launch}, "VPSie refused a launch request.", "Read VPSie's answer in the message; the size is requested again after its backoff."},
	{NoScaleUpQuota, []Kind{NoScaleUp, Launch}, "The VPSie account has reached its quota.", "Have VPSie raise the quota, or delete machines that are not needed."},
	{NoScaleUpOfferingSoldOut, []Kind{NoScaleUp, Launch}, "VPSie has sold the size out in this datacenter.", "Allow further sizes or datacenters; the size is requested again automatically."},
	{NoScaleUpCostlier, []Kind{NoScaleUp, ScaleUp}, "Another offering serves the pods for less.", nothing},
	{NoScaleUpFailingTogether, []Kind{NoScaleUp}, "Several machines of the NodeGroup did not join, so it launches one machine at a time until one joins.", "Check what the machines have in common: image, network, bootstrap."},

	{NoScaleUpFits, []Kind{NoScaleUp}, "The pods fit on existing Nodes or on Nodes of machines being launched.", "Wait until kube-scheduler binds them; check its events if that takes long."},

	{LaunchUnconfirmed, []Kind{Launch}, "The answer to a launch request was unclear and no listing since shows a machine, so the launch is requested again.", nothing},
	{LaunchNoMachine, []Kind{Launch, NoScaleUp}, "VPSie accepted a launch request but listed no machine for it until the launch deadline.", "Look for the machine in VPSie's console."},
	{LaunchDeadline, []Kind{Launch, NoScaleUp}, "A machine's Node was not Ready at the launch deadline, so the machine is terminated.", "Check the machine's console and kubelet, or raise the planner's --launch-deadline."},
	{LaunchExpired, []Kind{Launch}, "A launch was not possible until the launch deadline, or is no longer allowed.", "Read the message; the planner decides again if pods still need the machine."},

	{ScaleDownUnneeded, []Kind{ScaleDown, NoScaleDown}, "A Node was unneeded for spec.scaleDown.unneededFor: its pods fit elsewhere.", nothing},
	{ScaleDownEmpty, []Kind{ScaleDown, NoScaleDown}, "No pod has needed a Node for spec.scaleDown.unneededFor.", nothing},

	{NoScaleDownUnchecked, []Kind{NoScaleDown, Hold}, "A guard could not be checked, because the service did not look at what it needs; the machine stays.", "Report the message as a defect, with the version of the service."},
	{NoScaleDownUtilization, []Kind{NoScaleDown}, "Pods request as much of the Node as the utilization threshold or more.", "Raise spec.scaleDown.utilizationThreshold to retire fuller Nodes."},
	{NoScaleDownUnneededFor, []Kind{NoScaleDown}, "The Node is unneeded, but not yet for spec.scaleDown.unneededFor.", "Wait, or lower spec.scaleDown.unneededFor."},
	{NoScaleDownMinSize, []Kind{NoScaleDown}, "The NodeGroup would fall below minNodes.", "Lower spec.minNodes."},
	{NoScaleDownDisabled, []Kind{NoScaleDown}, "Scale-down is switched off for the NodeGroup.", "Set spec.scaleDown.enabled to true, or delete the VPSieNode."},
	{NoScaleDownGroupGone, []Kind{NoScaleDown}, "The NodeGroup of the Node is deleted or being deleted; its machines stay.", "Create the NodeGroup again, or delete the VPSieNode to retire the machine."},
	{NoScaleDownGroupPaused, []Kind{NoScaleDown, Hold}, "The NodeGroup is paused.", "Set spec.mode to Enforce."},
	{NoScaleDownGroupRecommend, []Kind{NoScaleDown}, "The NodeGroup's mode is Recommend, so its retirements are recorded but not made.", "Set spec.mode to Enforce to act."},
	{NoScaleDownStepLimit, []Kind{NoScaleDown}, "As many Nodes of the NodeGroup are leaving as spec.scaleDown.maxNodesPerStep allows.", "Wait, or raise spec.scaleDown.maxNodesPerStep."},
	{NoScaleDownNodeProtected, []Kind{NoScaleDown}, "An annotation or label protects the Node.", "Remove the annotation or label from the Node."},
	{NoScaleDownControlPlane, []Kind{NoScaleDown}, "The Node runs the control plane.", nothing},
	{NoScaleDownBeingReplaced, []Kind{NoScaleDown}, "The machine's replacement is being launched, or became Ready a short while ago.", "Wait; the service that launched the replacement retires the machine."},
	{NoScaleDownReplacement, []Kind{NoScaleDown}, "The machine replaces another one that is still leaving, or became Ready a short while ago.", "Wait until that machine is terminated."},
	{NoScaleDownNodeNotReady, []Kind{NoScaleDown}, "The Node is not Ready, or is still starting up.", "Check the Node's conditions; it is repaired if this lasts."},
	{NoScaleDownPodNoPlace, []Kind{NoScaleDown}, "A pod of the Node fits on no other Node.", "Check the pod's requests and constraints."},
	{NoScaleDownPodProtected, []Kind{NoScaleDown}, "An annotation of a pod on the Node forbids its eviction.", "Remove the annotation from the pod, or delete the pod."},
	{NoScaleDownPodBare, []Kind{NoScaleDown}, "A pod on the Node has no controller that would create it again.", "Give the pod a controller, or mark it safe to evict."},
	{NoScaleDownPodLocalStorage, []Kind{NoScaleDown}, "A pod on the Node keeps data in local storage.", "Mark the pod safe to evict where the data may be lost."},
	{NoScaleDownPodKubeSystem, []Kind{NoScaleDown}, "A pod of kube-system on the Node has no PodDisruptionBudget.", "Give it a PodDisruptionBudget."},
	{NoScaleDownPodBudget, []Kind{NoScaleDown}, "A PodDisruptionBudget allows no eviction of a pod on the Node, or several budgets cover the pod.", "Check the budget that the message names."},
	{NoScaleDownPodUnjudged, []Kind{NoScaleDown}, "Whether a pod on the Node fits elsewhere is unknown.", "Check the constraint that the message names."},
	{NoScaleDownDrainFailed, []Kind{NoScaleDown}, "The last drain of the Node was aborted a short while ago.", "Read the VPSieNode's Drained condition; the drain is tried again automatically."},
	{NoScaleDownWithdrawn, []Kind{NoScaleDown}, "The retirement of a machine was withdrawn while its Node was being drained.", nothing},
	{NoScaleDownPendingPods, []Kind{NoScaleDown}, "Pending pods are expected on the Node.", nothing},

	{RepairNodeNotReady, []Kind{Repair}, "A Node was not Ready for spec.scaleDown.unreadyFor, so its machine is retired for repair.", "Find out why the Node failed if this happens often."},
	{RepairNodeMissing, []Kind{Repair}, "A machine's Node was deleted, so the machine is retired for repair.", "Delete VPSieNodes instead of Nodes."},
	{RepairMachineMissing, []Kind{Repair}, "VPSie no longer lists a machine, so its VPSieNode and Node are removed.", "Delete VPSieNodes instead of machines in the console."},

	{NoRepairFailingTogether, []Kind{NoScaleDown, Hold}, "So many Nodes fail together that new machines would not fix the cause, so none is repaired.", "Check what they have in common: network, control plane, datacenter."},
	{NoRepairOneAtATime, []Kind{NoScaleDown, Hold}, "Another machine of the NodeGroup is being repaired, or terminated after a failed launch.", "Wait; this one follows."},
	{NoRepairNodeReady, []Kind{NoScaleDown}, "The Node is Ready again, so it is not repaired.", nothing},

	{NoReplaceLate, []Kind{NoScaleDown}, "A replacement was requested, but the machine's replacement was not Ready by its launch deadline, or for as long after it had been.", "Check the Node of the VPSieNode whose spec.replaces names the machine."},
	{NoReplaceFailed, []Kind{NoScaleDown}, "A replacement was requested, but the machine's replacement failed, is leaving or does not exist.", "Check the VPSieNode whose spec.replaces names the machine."},

	{AdoptNodeProof, []Kind{Adoption}, "The Node of an unclaimed machine proves that the machine is ours, so it is adopted.", "Find out who deleted its VPSieNode."},
	{AdoptLateAnswer, []Kind{Adoption}, "A machine is the late answer to a launch request, so it is adopted.", nothing},
	{AdoptAbandoned, []Kind{Adoption}, "The VPSieNode of an adoption was deleted, at its launch deadline or by a person, before VPSie listed the machine and its Node proved it ours, so the machine stays unclaimed.", "Check the machine in VPSie's console, and the labels and providerID of its Node."},
	{AdoptUnproven, []Kind{Adoption}, "A machine came after the autoscaler, no VPSieNode claims it, and no Node proves that the autoscaler launched it, so it is not touched.", "Delete the machine in VPSie's console if nobody needs it, or restore the label of its Node that the message names."},
	{AdoptNoGroup, []Kind{Adoption}, "The Node of an unclaimed machine proves that the machine is ours, but its NodeGroup does not exist or is not named, so it is not touched.", "Create the NodeGroup again to have the machine adopted, or delete it in VPSie's console."},
	{AdoptReleased, []Kind{Adoption}, "A VPSieNode was deleted with its namespace or its definition, so its machine stays without one.", "Create the NodeGroup again to have the machine adopted."},
	{OrphanNoGroup, []Kind{Adoption, ScaleDown}, "The NodeGroup of a machine does not exist, so the machine is drained and terminated.", "Create the NodeGroup again to keep its machines, or set --orphan-policy=Report."},

	{HoldFeedStale, []Kind{Hold}, "The observer's feed is stale, so planning is on hold.", "Check the observer's log and its connection to the API server."},
	{HoldListingIncomplete, []Kind{Hold, Launch}, "VPSie's listings lack more than a fifth of our machines, so they are not trusted and nothing is launched.", "Check VPSie's console and status page; the hold ends with a complete listing, or after an hour."},
	{HoldReportUnreadable, []Kind{Hold, Launch}, "The report of unclaimed machines cannot be read, so foreign machines are unknown and nothing is launched.", "Check the ConfigMap vpsie-autoscaler-orphans and the API server."},
	{HoldReplacement, []Kind{Hold}, "The drain of a machine waits until its replacement is Ready.", "Check the VPSieNode whose spec.replaces names the machine."},
	{HoldOccupied, []Kind{Hold}, "The deletion of a machine waits because pods on it must be evicted first.", "Check the pods on the VPSieNode's Node."},
	{HoldRefused, []Kind{Hold}, "VPSie refuses to delete the machine; the request is repeated.", "Read VPSie's answer in the message; delete the machine in the console if this lasts."},
	{HoldClusterUnknown, []Kind{Hold}, "VPSie does not know the cluster or machine of a call, so launches and deletions wait.", "Check spec.cluster.identifier and what the credentials give access to."},
	{HoldContradiction, []Kind{Hold}, "VPSie lists the machine and answers its deletion with 'not found', so the machine counts as existing and the request is repeated.", "Check the machine in the console if this lasts."},
	{HoldPodTerminating, []Kind{Hold}, "A pod was evicted and has not terminated, so the drain of a machine that a person deleted waits.", "Check why the pod does not terminate, or delete it by force."},
	{HoldNotLeading, []Kind{Hold}, "The planner is not sure that it leads, so its plan is dropped and made again.", "Wait; check the API server and the Lease vpsie-planner if this lasts."},
	{HoldAPIUnavailable, []Kind{Hold}, "Calls to VPSie fail or are answered unclearly, so launches and deletions that need them wait.", "Wait; check VPSie's status page if this lasts."},
	{HoldUnauthorized, []Kind{Hold}, "VPSie rejects the credentials, so launches and deletions wait.", "Renew the token in the provisioner's Secret."},
	{HoldLaunchUnclear, []Kind{Hold}, "VPSie lists unclaimed machines, any of which may be the result of the launch request, so the request is not repeated before the launch deadline.", "Delete the machines that the message names in the console if nobody needs them."},
	{HoldLaunchOutcome, []Kind{Hold}, "A launch request may still bring a machine, so the request is not repeated and its VPSieNode is kept until listings show the outcome.", nothing},
	{HoldNodeNotOurs, []Kind{Hold}, "A Node has the machine's name, but it is not proven to be the machine's, so neither is touched.", "Delete the Node if it is a remnant."},
	{HoldTemplateInvalid, []Kind{Hold}, "Kubernetes refuses the labels or taints of the NodeGroup's template, so the Node is not registered; the machine is terminated at the launch deadline.", "Correct spec.template."},
	{HoldIdentityMismatch, []Kind{Hold}, "VPSie lists the machine under another name than at its launch, so it is not deleted.", "Delete the machine in the console if it is not needed."},
	{HoldEvictionBlocked, []Kind{Hold}, "Evictions of pods are refused, so the drain waits until spec.scaleDown.drainTimeout.", "Make room in the PodDisruptionBudget that the message names, or protect the Node."},
	{HoldMachinesFilling, []Kind{NoScaleUp}, "Nodes that opened a moment ago may still take the pod, so no machine is launched for it yet.", "Wait, two minutes at most."},
	{HoldSizesUnknown, []Kind{Hold}, "VPSie has not said what its sizes are, so launches that a limit bounds wait, and machines cannot be told apart by size.", "Wait a minute after a start; then check the provisioner's log and VPSie's status page."},
	{HoldPauseUnreadable, []Kind{Hold, NoScaleUp, NoScaleDown, Launch}, "Whether a person has paused everything cannot be read, so nothing is done.", "Give the service the right to read the ConfigMap vpsie-autoscaler-pause, and check the API server."},
	{HoldObjectsUnreadable, []Kind{Hold}, "NodeGroups or VPSieNodes cannot be read, so planning is on hold.", "Give the planner the right to read them, and check the API server."},
	{HoldPaused, []Kind{Hold, NoScaleUp, NoScaleDown, Launch}, "A person has paused everything.", "Delete the ConfigMap vpsie-autoscaler-pause, or wait for the time in it."},
}

// KindNames are the kinds of records that carry the code, for people.
func (e Entry) KindNames() string {
	names := make([]string, len(e.Kinds))
	for i, k := range e.Kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// Help is what a command line says of a code.
func (e Entry) Help() string {
	text := fmt.Sprintf("%s (%s)\n  Meaning:    %s\n  What to do: %s\n  Records:    %s\n", e.Code, e.Code.Condition(), e.Meaning, e.Remedy, e.KindNames())
	heading := "Parameters:"
	for _, p := range e.Parameters() {
		text += fmt.Sprintf("  %-11s %s\n", heading, p)
		heading = ""
	}
	return text
}

// byText are the entries by their code, and by the code in CamelCase.
var byText = sync.OnceValue(func() map[string]Entry {
	all := make(map[string]Entry, 2*len(Entries))
	for _, e := range Entries {
		all[string(e.Code)], all[e.Code.Condition()] = e, e
	}
	return all
})

// Find returns the entry of a code as records carry it, or in CamelCase as conditions and events do; false for one that does not exist.
func Find(text string) (Entry, bool) {
	e, is := byText()[text]
	return e, is
}

// Lookup returns what is to be known of a code; false for one that does not exist.
func Lookup(c Code) (Entry, bool) {
	e, is := byText()[string(c)]
	return e, is && e.Code == c
}

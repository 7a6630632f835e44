package reason

var (
	// untilUnsure is of what ends by itself only sometimes.
	untilUnsure = Parameter{Name: ParamUntil, Type: Time, Meaning: "when this ends by itself.", Optional: true}
	// backoff is of pods and groups that a size in backoff keeps waiting.
	backoff = []Parameter{
		{Name: ParamOffering, Type: Name, Meaning: "the size that is requested again first.", Kinds: []Kind{NoScaleUp}},
		{Name: ParamUntil, Type: Time, Meaning: "when it is requested again.", Kinds: []Kind{NoScaleUp}},
	}
	launchDeadline = Parameter{Name: ParamLaunchDeadline, Type: Duration, Meaning: "how long the launch could take.", Kinds: []Kind{Launch}}
	cluster        = Parameter{Name: ParamCluster, Type: Name, Meaning: "VPSie's identifier of the cluster."}
	datacenter     = Parameter{Name: ParamDatacenter, Type: Name, Meaning: "the datacenter."}
	replacement    = Parameter{Name: ParamReplacement, Type: Name, Meaning: "the VPSieNode of the replacement."}
	// keptBy is of a Node that a pod keeps. The planner knows shapes of pods and no names.
	keptBy = []Parameter{{Name: ParamPod, Type: NamespacedName, Meaning: "the pod.", Optional: true}}
)

// carried are the parameters of the codes that have some.
var carried = map[Code][]Parameter{
	ScaleUpMinNodes: {{Name: ParamMinNodes, Type: Count, Meaning: "the NodeGroup's minNodes."}},

	NoScaleUpGroupMaxSize:   {{Name: ParamMaxNodes, Type: Count, Meaning: "the NodeGroup's maxNodes."}},
	NoScaleUpStepLimit:      {{Name: ParamMaxNodesPerStep, Type: Count, Meaning: "how many machines one decision may launch for the NodeGroup."}},
	NoScaleUpGroupRecommend: {{Name: ParamOfferings, Type: NameList, Meaning: "the sizes that would be launched.", Optional: true}},
	NoScaleUpGroupLimit: {
		{Name: ParamLimitMilliCPU, Type: Count, Meaning: "the limit on CPU, where there is one.", Optional: true},
		{Name: ParamLimitMemoryBytes, Type: Count, Meaning: "the limit on memory, where there is one.", Optional: true},
		{Name: ParamLimitMonthlyPriceMicros, Type: Micros, Meaning: "the limit on cost, where there is one.", Optional: true},
		{Name: ParamUsedMilliCPU, Type: Count, Meaning: "CPU of the NodeGroup's machines.", Optional: true},
		{Name: ParamUsedMemoryBytes, Type: Count, Meaning: "memory of the machines.", Optional: true},
		{Name: ParamUsedMonthlyPriceMicros, Type: Micros, Meaning: "their price.", Optional: true},
	},
	NoScaleUpNoOffering:      {datacenter},
	NoScaleUpOfferingUnknown: {datacenter, {Name: ParamOfferings, Type: NameList, Meaning: "VPSie's identifiers of the sizes that the NodeGroup names."}},
	NoScaleUpOfferingBackoff: backoff,
	NoScaleUpLaunchFailed:    backoff,
	NoScaleUpQuota:           backoff,
	NoScaleUpOfferingSoldOut: backoff,
	NoScaleUpClusterUnknown:  {cluster},
	NoScaleUpLowPriority: {
		{Name: ParamPriority, Type: Integer, Meaning: "the pod's priority."},
		{Name: ParamCutoff, Type: Integer, Meaning: "the planner's --priority-cutoff."},
	},

	LaunchNoMachine: append([]Parameter{launchDeadline}, backoff...),
	LaunchDeadline:  append([]Parameter{launchDeadline}, backoff...),
	LaunchExpired:   {launchDeadline},

	NoScaleDownUtilization: {
		{Name: ParamUtilization, Type: Percent, Meaning: "what pods request of the Node."},
		{Name: ParamThreshold, Type: Percent, Meaning: "the NodeGroup's utilization threshold."},
	},
	NoScaleDownUnneededFor: {{Name: ParamUntil, Type: Time, Meaning: "when the Node will have been unneeded for long enough."}},
	NoScaleDownMinSize:     {{Name: ParamMinNodes, Type: Count, Meaning: "the NodeGroup's minNodes."}},
	NoScaleDownStepLimit: {
		{Name: ParamLeaving, Type: Count, Meaning: "how many Nodes of the NodeGroup are leaving."},
		{Name: ParamMaxNodesPerStep, Type: Count, Meaning: "how many may."},
	},
	NoScaleDownGroupRecommend: {{Name: ParamPods, Type: Count, Meaning: "how many pods would have to move.", Optional: true}},
	NoScaleDownBeingReplaced:  {replacement, untilUnsure},
	NoScaleDownReplacement:    {{Name: ParamReplaced, Type: Name, Meaning: "the VPSieNode of the replaced machine."}, untilUnsure},
	NoScaleDownNodeNotReady:   {untilUnsure},
	NoScaleDownDrainFailed:    {untilUnsure},
	NoScaleDownPodProtected:   keptBy, NoScaleDownPodBare: keptBy, NoScaleDownPodLocalStorage: keptBy, NoScaleDownPodKubeSystem: keptBy, NoScaleDownPodUnjudged: keptBy,
	NoScaleDownPodBudget: {keptBy[0], {Name: ParamBudgets, Type: NameList, Meaning: "the PodDisruptionBudgets, as namespace/name."}},

	NoRepairFailingTogether: {untilUnsure},
	NoReplaceFailed:         {{Name: ParamReplacement, Type: Name, Meaning: "the VPSieNode of the replacement that failed or is leaving.", Optional: true}},
	NoReplaceLate:           {replacement, {Name: ParamLaunchDeadline, Type: Duration, Meaning: "how long the replacement's launch could take."}},

	AdoptNodeProof: {ofNode}, OrphanNoGroup: {ofNode},
	AdoptUnproven: {cluster}, AdoptNoGroup: {cluster},
	AdoptLateAnswer: {{Name: ParamNode, Type: Name, Meaning: "the Node that the machine will have."}},

	HoldPaused:      {untilUnsure},
	HoldReplacement: {replacement},
	HoldOccupied:    {{Name: ParamPods, Type: Count, Meaning: "how many pods run on the Node."}},
	HoldListingIncomplete: {
		{Name: ParamMissing, Type: Count, Meaning: "how many machines the last listing lacks.", Kinds: []Kind{Hold}},
		{Name: ParamKnown, Type: Count, Meaning: "how many it should have.", Kinds: []Kind{Hold}},
	},
	HoldClusterUnknown:   {cluster},
	HoldPodTerminating:   {{Name: ParamPod, Type: NamespacedName, Meaning: "the pod."}},
	HoldLaunchUnclear:    {{Name: ParamMachines, Type: NameList, Meaning: "VPSie's identifiers of the unclaimed machines."}},
	HoldIdentityMismatch: {{Name: ParamHostname, Type: Name, Meaning: "the name under which VPSie lists the machine."}},
	HoldEvictionBlocked: {
		{Name: ParamPod, Type: NamespacedName, Meaning: "the first pod whose eviction is refused."},
		{Name: ParamPods, Type: Count, Meaning: "how many evictions are refused."},
	},
}

// Parameters are those that records carry because of the code.
func (e Entry) Parameters() []Parameter { return carried[e.Code] }

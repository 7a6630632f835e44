package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Mode says how far the autoscaler may go with a NodeGroup.
// +kubebuilder:validation:Enum=Enforce;Recommend;Paused
type Mode string

const (
	// ModeEnforce lets the autoscaler decide and act.
	ModeEnforce Mode = "Enforce"
	// ModeRecommend lets it decide and explain, but not act.
	ModeRecommend Mode = "Recommend"
	// ModePaused stops both: nothing is launched, drained or deleted for the group.
	ModePaused Mode = "Paused"
)

// Condition types of a NodeGroup.
const (
	// ConditionReady is True while the group's specification is valid and can be acted on.
	ConditionReady = "Ready"
	// ConditionScalingActive is True while nodes are being added or removed.
	ConditionScalingActive = "ScalingActive"
	// ConditionCapacityAvailable is False when pods wait that this group cannot serve, or when the group stays below minNodes.
	ConditionCapacityAvailable = "CapacityAvailable"
	// ConditionAPIHealthy is False while VPSie does not answer or refuses the credentials.
	ConditionAPIHealthy = "APIHealthy"
	// ConditionNodesHealthy is False while machines that were in use have no Ready Node.
	ConditionNodesHealthy = "NodesHealthy"
	// ConditionAtMinimum is True while the group has no more than minNodes.
	ConditionAtMinimum = "AtMinimum"
	// ConditionAtMaximum is True while the group has maxNodes or more.
	ConditionAtMaximum = "AtMaximum"
)

// ClusterReference names a managed Kubernetes cluster at VPSie.
type ClusterReference struct {
	// Identifier is the UUID of the managed cluster at VPSie.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Identifier string `json:"identifier"`
	// Datacenter is the UUID of the datacenter whose offerings the cluster can use.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Datacenter string `json:"datacenter"`
}

// OfferingSelector chooses VPSie sizes by property. An unset bound does not restrict.
type OfferingSelector struct {
	// MinCPU is the fewest vCPUs a machine may have.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	MinCPU *resource.Quantity `json:"minCPU,omitempty"`
	// MaxCPU is the most vCPUs a machine may have.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	MaxCPU *resource.Quantity `json:"maxCPU,omitempty"`
	// MinMemory is the least memory a machine may have.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	MinMemory *resource.Quantity `json:"minMemory,omitempty"`
	// MaxMemory is the most memory a machine may have.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	MaxMemory *resource.Quantity `json:"maxMemory,omitempty"`
	// MaxMonthlyPrice is the highest price of one machine in US dollars a month.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	MaxMonthlyPrice *resource.Quantity `json:"maxMonthlyPrice,omitempty"`
}

// NodeTemplate is what every Node of the group will carry.
type NodeTemplate struct {
	// Labels are put on each Node after it registered.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are put on each Node after it registered.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
	// Taints are put on each Node after it registered.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Taints []corev1.Taint `json:"taints,omitempty"`
	// StartupTaints are put on each Node after it registered, and taken off by somebody else, such as an agent, once
	// the Node is ready for pods. Pods need not tolerate them; a Node that keeps one for ten minutes counts as it is.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	StartupTaints []corev1.Taint `json:"startupTaints,omitempty"`
	// Resources are the extended resources, such as nvidia.com/gpu, that each Node of the group will have. They are
	// needed as long as no Node of the group has been seen; what Nodes turn out to have counts more.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$') && !name.contains('kubernetes.io/'))",message="resources are extended resources, whose names have a domain other than kubernetes.io, such as nvidia.com/gpu; cpu, memory and disk follow from the offering"
	Resources corev1.ResourceList `json:"resources,omitempty"`
}

// ScaleUpPolicy bounds growth.
type ScaleUpPolicy struct {
	// Enabled set to false stops all launches for the group.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// MaxNodesPerStep bounds the machines one decision may add; unset means up to maxNodes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxNodesPerStep *int32 `json:"maxNodesPerStep,omitempty"`
	// MaxPodsPerNode bounds the waiting pods that a plan puts on one new machine, so that the loss of one
	// machine takes no more of them down; unset means as many as fit. kube-scheduler does not know of it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxPodsPerNode *int32 `json:"maxPodsPerNode,omitempty"`
}

// GroupLimits bound all machines of a group together, those that leave included.
type GroupLimits struct {
	// CPU bounds the processors of the group's machines.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// Memory bounds the memory of the group's machines.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	Memory *resource.Quantity `json:"memory,omitempty"`
	// MonthlyCost bounds the price of the group's machines in US dollars a month.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!string(self).startsWith('-')",message="must not be negative"
	MonthlyCost *resource.Quantity `json:"monthlyCost,omitempty"`
}

// ScaleDownPolicy bounds shrinking.
type ScaleDownPolicy struct {
	// Enabled set to false stops scale-down and repair: no node goes because it is unneeded or broken. Nodes that a person
	// deletes, and those that another service replaces, still go.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// UtilizationThreshold is the share of allocatable cpu and of memory, in percent, that pods
	// may request on a node that is considered for removal. Both must be below it.
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	UtilizationThreshold *int32 `json:"utilizationThreshold,omitempty"`
	// UnneededFor is how long a node must stay removable without a break before it goes.
	// +kubebuilder:default="10m"
	// +optional
	UnneededFor *metav1.Duration `json:"unneededFor,omitempty"`
	// UnreadyFor is how long a machine must be without a Ready Node, without a break, before it is replaced.
	// Machines that fail together are not.
	// +kubebuilder:default="20m"
	// +optional
	UnreadyFor *metav1.Duration `json:"unreadyFor,omitempty"`
	// MaxNodesPerStep bounds the nodes of the group that are leaving at any one time.
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +optional
	MaxNodesPerStep *int32 `json:"maxNodesPerStep,omitempty"`
	// DrainTimeout is how long a drain may wait for evictions before it is aborted.
	// +kubebuilder:default="15m"
	// +optional
	DrainTimeout *metav1.Duration `json:"drainTimeout,omitempty"`
}

// NodeGroupSpec says what may be launched, how much of it, and under which policy.
//
// +kubebuilder:validation:XValidation:rule="self.minNodes <= self.maxNodes",message="minNodes is above maxNodes, so no number of nodes satisfies both; the change was refused and nothing is launched for it; lower minNodes or raise maxNodes"
// +kubebuilder:validation:XValidation:rule="!(has(self.offerings) && has(self.offeringSelector))",message="offerings and offeringSelector exclude each other: name sizes by id or choose them by property, not both"
type NodeGroupSpec struct {
	// Mode says how far the autoscaler may go: Enforce, Recommend or Paused.
	// +kubebuilder:default=Enforce
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// MinNodes is the number of nodes kept even when nothing needs them.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5000
	// +optional
	MinNodes int32 `json:"minNodes"`
	// MaxNodes is the number of machines that is never exceeded, counting those being launched.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5000
	MaxNodes int32 `json:"maxNodes"`
	// Weight prefers this group over groups of lower weight, before price.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Weight int32 `json:"weight,omitempty"`
	// Cluster is the managed cluster at VPSie that the machines join.
	Cluster ClusterReference `json:"cluster"`
	// Offerings are the VPSie size ids that may be launched. Unset together with
	// offeringSelector means every size that the datacenter offers.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=400
	Offerings []int64 `json:"offerings,omitempty"`
	// OfferingSelector chooses the sizes that may be launched by property.
	// +optional
	OfferingSelector *OfferingSelector `json:"offeringSelector,omitempty"`
	// Template is what every Node of the group will carry.
	// +optional
	Template NodeTemplate `json:"template,omitempty,omitzero"`
	// ScaleUp bounds growth.
	// +kubebuilder:default={}
	// +optional
	ScaleUp ScaleUpPolicy `json:"scaleUp,omitempty"`
	// ScaleDown bounds shrinking.
	// +kubebuilder:default={}
	// +optional
	ScaleDown ScaleDownPolicy `json:"scaleDown,omitempty"`
	// Limits bound what the group's machines have and cost together; maxNodes bounds how many they are.
	// +optional
	Limits GroupLimits `json:"limits,omitempty,omitzero"`
}

// DecisionSummary is the short form of a decision record kept on the NodeGroup.
type DecisionSummary struct {
	// ID is the ULID of the decision record.
	ID string `json:"id"`
	// Time is when the decision was made.
	Time metav1.Time `json:"time"`
	// Kind is ScaleUp, NoScaleUp, ScaleDown, NoScaleDown, Repair or Hold.
	Kind string `json:"kind"`
	// Reason is the stable reason code.
	Reason string `json:"reason"`
	// Message explains the decision to a person.
	Message string `json:"message"`
}

// NodeGroupStatus is what the planner last saw and decided.
type NodeGroupStatus struct {
	// ObservedGeneration is the generation of the specification this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Nodes is the number of machines that exist or are being launched, without failed ones.
	Nodes int32 `json:"nodes"`
	// ReadyNodes is the number of machines whose Node is Ready and not leaving.
	ReadyNodes int32 `json:"readyNodes"`
	// LaunchingNodes is the number of requested machines whose Node is not Ready yet.
	LaunchingNodes int32 `json:"launchingNodes"`
	// LeavingNodes is the number of machines being drained or deleted.
	LeavingNodes int32 `json:"leavingNodes"`
	// DesiredNodes is the number of machines the last decision wants.
	DesiredNodes int32 `json:"desiredNodes"`
	// PendingPods is the number of waiting pods that nodes of this group are about to serve, or that it was considered for
	// and nothing serves.
	PendingPods int32 `json:"pendingPods"`
	// MonthlyCost is the price of the group's machines in US dollars a month, such as 233.60; empty while the price of one
	// is not known. It is a text, since a quantity would be shown in thousandths: 233600m.
	// +optional
	MonthlyCost string `json:"monthlyCost,omitempty"`
	// LastScaleUpTime is when machines were last requested.
	// +optional
	LastScaleUpTime *metav1.Time `json:"lastScaleUpTime,omitempty"`
	// LastScaleDownTime is when a machine was last asked to leave.
	// +optional
	LastScaleDownTime *metav1.Time `json:"lastScaleDownTime,omitempty"`
	// RecentDecisions are the newest decisions about the group, newest first, at most ten.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	RecentDecisions []DecisionSummary `json:"recentDecisions,omitempty"`
	// Conditions are Ready, ScalingActive, CapacityAvailable, APIHealthy, NodesHealthy, AtMinimum and AtMaximum.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NodeGroup is a policy boundary: what may be launched, how much of it, and what the Nodes carry.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ng;vng,categories=vpsie
// +kubebuilder:printcolumn:name="Min",type=integer,JSONPath=`.spec.minNodes`
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.maxNodes`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredNodes`
// +kubebuilder:printcolumn:name="Ready-Nodes",type=integer,JSONPath=`.status.readyNodes`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.pendingPods`
// +kubebuilder:printcolumn:name="$/Month",type=string,JSONPath=`.status.monthlyCost`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Cluster",type=string,priority=1,JSONPath=`.spec.cluster.identifier`
// +kubebuilder:printcolumn:name="Last-Decision",type=string,priority=1,JSONPath=`.status.recentDecisions[0].reason`
type NodeGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   NodeGroupSpec   `json:"spec"`
	Status NodeGroupStatus `json:"status,omitempty,omitzero"`
}

// NodeGroupList is a list of NodeGroups.
//
// +kubebuilder:object:root=true
type NodeGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeGroup `json:"items"`
}

package v1beta1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase is where a machine is in its life. It shows what the rest of the status says; which phase follows which is in the
// table of the provisioner's README.
//
// +kubebuilder:validation:Enum=Pending;Launching;Joining;Ready;Draining;Deleting;Failed
type Phase string

const (
	// PhasePending means that nothing was asked of VPSie yet, or that it is asked again.
	PhasePending Phase = "Pending"
	// PhaseLaunching means that a machine was or may have been requested; its identifier is unknown.
	PhaseLaunching Phase = "Launching"
	// PhaseJoining means that VPSie lists the machine and its Node is awaited.
	PhaseJoining Phase = "Joining"
	// PhaseReady means that the Node is Ready and carries the group's labels and taints.
	PhaseReady Phase = "Ready"
	// PhaseDraining means that the Node is cordoned and its pods are being evicted.
	PhaseDraining Phase = "Draining"
	// PhaseDeleting means that VPSie was or is about to be asked to delete the machine.
	PhaseDeleting Phase = "Deleting"
	// PhaseFailed means that no machine came of the intent; it never counts as capacity.
	PhaseFailed Phase = "Failed"
)

// Condition types of a VPSieNode; Ready rolls them up.
const (
	// ConditionLaunched is True once VPSie lists the machine.
	ConditionLaunched = "Launched"
	// ConditionRegistered is True once the Node exists and carries our labels, taints and providerID.
	ConditionRegistered = "Registered"
	// ConditionDrained tells how far the drain is, and what blocks it.
	ConditionDrained = "Drained"
	// ConditionDeleted tells how far the deletion at VPSie is.
	ConditionDeleted = "Deleted"
)

// RefusalScope is what the refusal of one request to VPSie is about.
// +kubebuilder:validation:Enum=Size;Cluster
type RefusalScope string

const (
	// RefusedSize means that VPSie has no machine of the size; it may have others.
	RefusedSize RefusalScope = "Size"
	// RefusedCluster means that the cluster gets no machine of any size, as when a quota is used up.
	RefusedCluster RefusalScope = "Cluster"
)

// LaunchOutcome is what is known about one request to VPSie for a machine.
// +kubebuilder:validation:Enum=Requested;Accepted;Unknown;Answered;NotJoined;Unconfirmed;Expired;Refused;NotMade;Abandoned
type LaunchOutcome string

// The request is open: its machine is looked for in listings.
const (
	// LaunchRequested is written before the call: the machine may or may not have been launched.
	LaunchRequested LaunchOutcome = "Requested"
	// LaunchAccepted means that VPSie answered yes.
	LaunchAccepted LaunchOutcome = "Accepted"
	// LaunchUnknown means that the answer was lost or unclear; only listing can tell.
	LaunchUnknown LaunchOutcome = "Unknown"
)

// The request brought a machine.
const (
	// LaunchAnswered means that the machine of the entry came of the request.
	LaunchAnswered LaunchOutcome = "Answered"
	// LaunchNotJoined means that the machine of the entry came, that its Node was not Ready by the launch deadline,
	// and that it was deleted.
	LaunchNotJoined LaunchOutcome = "NotJoined"
)

// The request was given up, and its machine may come late all the same.
const (
	// LaunchUnconfirmed means that the answer was unclear and that listing showed for longer than the settle time that
	// nothing came of it; the machine is requested again.
	LaunchUnconfirmed LaunchOutcome = "Unconfirmed"
	// LaunchExpired means that no listing showed a machine until the launch deadline, though VPSie accepted the request
	// or listed machines that may have been the answer.
	LaunchExpired LaunchOutcome = "Expired"
)

// Nothing was launched, and nothing will come.
const (
	// LaunchRefused means that VPSie answered no.
	LaunchRefused LaunchOutcome = "Refused"
	// LaunchNotMade means that the call provably never reached VPSie; it is made again.
	LaunchNotMade LaunchOutcome = "NotMade"
	// LaunchAbandoned means that no call was made and none will be: the intent must not be carried out any more.
	LaunchAbandoned LaunchOutcome = "Abandoned"
)

// Origin is how the object of a machine came to be.
// +kubebuilder:validation:Enum=ScaleUp;Replacement;Adoption;LateAnswer
type Origin string

const (
	// OriginScaleUp means that the machine is launched for pods that wait or for the group's minimum.
	OriginScaleUp Origin = "ScaleUp"
	// OriginReplacement means that the machine is launched in the place of those that replaces names.
	OriginReplacement Origin = "Replacement"
	// OriginAdoption means that the machine was there before its object: its Node proves it ours.
	OriginAdoption Origin = "Adoption"
	// OriginLateAnswer means that the machine was there before its object: it answers a request that was given up.
	OriginLateAnswer Origin = "LateAnswer"
)

// RetirementKind is what a machine is retired for. Which guards hold for a retirement follows from its kind; its reason
// explains it to people.
// +kubebuilder:validation:Enum=ScaleDown;Replace;Repair;LaunchFailed;Orphan;Manual
type RetirementKind string

const (
	// RetireScaleDown takes a machine away that nothing needs.
	RetireScaleDown RetirementKind = "ScaleDown"
	// RetireReplace takes a machine away, pods and all, whose replacement is Ready.
	RetireReplace RetirementKind = "Replace"
	// RetireRepair takes a machine away that does not work.
	RetireRepair RetirementKind = "Repair"
	// RetireLaunchFailed takes a machine away whose Node was never Ready.
	RetireLaunchFailed RetirementKind = "LaunchFailed"
	// RetireOrphan takes a machine away whose NodeGroup is gone.
	RetireOrphan RetirementKind = "Orphan"
	// RetireManual takes a machine away because a person wants it; so does a deletion of the object.
	RetireManual RetirementKind = "Manual"
)

// Retirement asks the provisioner to drain and delete the machine. Until the drain is
// complete it can be withdrawn by removing the field, which uncordons the Node.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a retirement may be withdrawn, but not changed"
type Retirement struct {
	// Kind is what the machine is retired for.
	Kind RetirementKind `json:"kind"`
	// DecisionID is the ULID of the decision record.
	// +kubebuilder:validation:MaxLength=64
	DecisionID string `json:"decisionID"`
	// Reason is the stable reason code.
	// +kubebuilder:validation:MaxLength=128
	Reason string `json:"reason"`
	// Message explains the decision to a person.
	// +optional
	// +kubebuilder:validation:MaxLength=32768
	Message string `json:"message,omitempty"`
	// PriorityCutoff is the priority below which pods did not count for the decision, so that they do not block the drain; -10 if unset.
	// +optional
	PriorityCutoff *int32 `json:"priorityCutoff,omitempty"`
}

// VPSieNodeSpec is the durable intent "one machine". Everything but retirement is immutable.
//
// +kubebuilder:validation:XValidation:rule="self.nodeGroup == oldSelf.nodeGroup && self.offering == oldSelf.offering && self.offeringName == oldSelf.offeringName && self.cluster == oldSelf.cluster && self.origin == oldSelf.origin && self.reason == oldSelf.reason && self.decisionID == oldSelf.decisionID && self.launchDeadline == oldSelf.launchDeadline",message="only retirement may change: a VPSieNode is the record of one launch; delete it to retire the machine, and the planner launches another if one is needed"
// +kubebuilder:validation:XValidation:rule="has(self.replaces) == has(oldSelf.replaces) && (!has(self.replaces) || self.replaces == oldSelf.replaces)",message="what a machine replaces may not change"
type VPSieNodeSpec struct {
	// NodeGroup is the name of the NodeGroup, in the same namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	NodeGroup string `json:"nodeGroup"`
	// Offering is the VPSie size id to launch.
	Offering int64 `json:"offering"`
	// OfferingName is the size's name, as the Node's instance type shows it.
	// +kubebuilder:validation:MaxLength=63
	OfferingName string `json:"offeringName"`
	// Cluster is the managed cluster at VPSie that the machine joins.
	Cluster ClusterReference `json:"cluster"`
	// Origin is how the object came to be.
	// +optional
	// +kubebuilder:default=ScaleUp
	Origin Origin `json:"origin,omitempty"`
	// Reason is the stable reason code of the launch.
	Reason string `json:"reason"`
	// DecisionID is the ULID of the decision record.
	// +kubebuilder:validation:MaxLength=64
	DecisionID string `json:"decisionID"`
	// LaunchDeadline is how long after the launch request the Node may take to become Ready.
	LaunchDeadline metav1.Duration `json:"launchDeadline"`
	// Replaces are the names of the VPSieNodes, in the same namespace, whose place the machine takes. A retirement of
	// one of them of kind Replace waits until every machine that replaces it is Ready.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Replaces []string `json:"replaces,omitempty"`
	// Retirement asks for the machine to be drained and deleted.
	// +optional
	Retirement *Retirement `json:"retirement,omitempty"`
}

// LaunchAttempt is one entry of the launch ledger: written before the paid call, completed after it. An intent for which
// nothing is asked any more ends with an entry that says so, without a VPSie group.
type LaunchAttempt struct {
	// Number counts attempts from 1.
	Number int32 `json:"number"`
	// VPSieGroup is the numeric id of the VPSie node group the machine was asked of.
	VPSieGroup int64 `json:"vpsieGroup"`
	// RequestedAt is when the intent to call was written, or when it was given up without a call.
	RequestedAt metav1.Time `json:"requestedAt"`
	// CPU are the cores of the size when it was requested, by which its machine is told from others. CPU and
	// memory are empty where VPSie had not said yet what it sells.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// Memory is that of the size when it was requested, in whole MiB.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
	// Foreign are the identifiers of machines that were in the cluster before the call and belong to
	// nobody we know, are leaving, or left not long before; none of them can be the answer to it.
	// +optional
	// +listType=atomic
	Foreign []string `json:"foreign,omitempty"`
	// Outcome is what is known about the call.
	Outcome LaunchOutcome `json:"outcome"`
	// Machine is the identifier at VPSie of the machine that came of the request.
	// +optional
	Machine string `json:"machine,omitempty"`
	// Reason is the stable reason code when no machine came of the request.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Scope is what VPSie refused, which is requested again after a backoff: machines of the size where it is empty.
	// +optional
	Scope RefusalScope `json:"scope,omitempty"`
	// Message is VPSie's answer when it was not yes.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// Traceparent is the W3C trace context of the request.
	// +optional
	Traceparent string `json:"traceparent,omitempty"`
}

// PhaseChange says that the machine entered another phase of its life.
type PhaseChange struct {
	// ID is that of the message on the bus.
	ID string `json:"id"`
	// From is the phase before.
	From Phase `json:"from"`
	// To is the phase after.
	To Phase `json:"to"`
	// Message says why.
	// +optional
	Message string `json:"message,omitempty"`
	// DecisionID is that of the decision whose outcome the change is: of the retirement while there is one, of the launch otherwise.
	DecisionID string `json:"decisionID"`
	// Time is when it was written.
	Time metav1.Time `json:"time"`
	// Identifier is the machine's at VPSie, empty while unknown.
	// +optional
	Identifier string `json:"identifier,omitempty"`
	// NodeName is the name of the Kubernetes Node, empty while unknown.
	// +optional
	NodeName string `json:"nodeName,omitempty"`
	// Traceparent is the W3C trace context of the change.
	// +optional
	Traceparent string `json:"traceparent,omitempty"`
}

// ReplacementWait is since when a retirement of kind Replace has waited for the machine's replacement before its Node is tainted.
type ReplacementWait struct {
	// DecisionID is that of the retirement which waits.
	DecisionID string `json:"decisionID"`
	// Since is when the wait began, or went on after a pause.
	Since metav1.Time `json:"since"`
}

// VPSieNodeStatus is what the provisioner knows about the machine.
type VPSieNodeStatus struct {
	// Phase is where the machine is in its life.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Untold are changes of the phase that are not on the bus yet, oldest first. They are written with the change and taken out
	// once the bus has them.
	// +optional
	// +listType=atomic
	Untold []PhaseChange `json:"untold,omitempty"`
	// UntoldDecisions are records of what the provisioner decided about the machine that are not on the bus yet, oldest first. They are
	// written with what was decided and taken out once the bus has them.
	// +optional
	// +listType=atomic
	UntoldDecisions []string `json:"untoldDecisions,omitempty"`
	// Holds are the codes of the holds that are on record since the machine last got further. Each is recorded once until then.
	// +optional
	// +listType=set
	Holds []string `json:"holds,omitempty"`
	// Launches is the launch ledger, oldest first.
	// +optional
	// +listType=map
	// +listMapKey=number
	// +kubebuilder:validation:MaxItems=20
	Launches []LaunchAttempt `json:"launches,omitempty"`
	// Identifier is the machine's UUID at VPSie.
	// +optional
	Identifier string `json:"identifier,omitempty"`
	// Hostname is the machine's name at VPSie, in VPSie's spelling.
	// +optional
	Hostname string `json:"hostname,omitempty"`
	// NodeName is the name of the Kubernetes Node.
	// +optional
	NodeName string `json:"nodeName,omitempty"`
	// MonthlyPrice is what the machine cost when it was launched, in US dollars a month, such as 58.40; empty while that is unknown.
	// +optional
	MonthlyPrice string `json:"monthlyPrice,omitempty"`
	// EarliestRequestAt is when the first machine was wanted that may have turned out to be this one, since requests
	// for a size are interchangeable. A Node that is older is not the machine's.
	// +optional
	EarliestRequestAt *metav1.Time `json:"earliestRequestAt,omitempty"`
	// LaunchedAt is when VPSie first listed the machine.
	// +optional
	LaunchedAt *metav1.Time `json:"launchedAt,omitempty"`
	// ReadyAt is when the Node first became Ready.
	// +optional
	ReadyAt *metav1.Time `json:"readyAt,omitempty"`
	// ReadySince is since when the provisioner has seen the Node Ready, while it does and the machine stays.
	// +optional
	ReadySince *metav1.Time `json:"readySince,omitempty"`
	// OverdueSince is since when the Node should have been Ready, while something keeps the machine from being deleted.
	// +optional
	OverdueSince *metav1.Time `json:"overdueSince,omitempty"`
	// ReplacementWait is the wait for the machine's replacement. It ends with the replacement's launch deadline.
	// +optional
	ReplacementWait *ReplacementWait `json:"replacementWait,omitempty"`
	// DrainStartedAt is when the Node was cordoned for its retirement.
	// +optional
	DrainStartedAt *metav1.Time `json:"drainStartedAt,omitempty"`
	// DrainHeldAt is since when the retirement or its drain stands still because everything is paused. When it goes on,
	// drainStartedAt moves by the time that was waited, so that a pause takes nothing off the drain timeout.
	// +optional
	DrainHeldAt *metav1.Time `json:"drainHeldAt,omitempty"`
	// DrainFailedAt is when a retirement was last refused, or its drain aborted. The machine is left alone for a while then.
	// +optional
	DrainFailedAt *metav1.Time `json:"drainFailedAt,omitempty"`
	// DrainFailure says why that was.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	DrainFailure string `json:"drainFailure,omitempty"`
	// RefusedGeneration is the generation of the object whose retirement was last refused, or whose drain was aborted. While the object
	// has that generation, the retirement is withdrawn without another decision.
	// +optional
	RefusedGeneration int64 `json:"refusedGeneration,omitempty"`
	// MissingSince is since when VPSie's listings have lacked the machine for so long that it counts as missing. It is
	// forgotten when VPSie lists the machine again.
	// +optional
	MissingSince *metav1.Time `json:"missingSince,omitempty"`
	// DeleteRequestedAt is when the deletion of the machine was first about to be asked of VPSie.
	// +optional
	DeleteRequestedAt *metav1.Time `json:"deleteRequestedAt,omitempty"`
	// AbsentSightings counts the looks in a row that did not find the machine after its deletion was asked
	// for: listings without it, and VPSie's word that it does not know it.
	// +optional
	AbsentSightings int32 `json:"absentSightings,omitempty"`
	// LastAbsentAt is when such a look was last made.
	// +optional
	LastAbsentAt *metav1.Time `json:"lastAbsentAt,omitempty"`
	// Conditions are Launched, Registered, Ready, Drained and Deleted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// VPSieNode is one machine, from the intent to launch it until its absence is confirmed.
// Deleting the object means "retire this machine".
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vn,categories=vpsie
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.spec.nodeGroup`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.offeringName`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.nodeName`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Machine",type=string,priority=1,JSONPath=`.status.identifier`
// +kubebuilder:printcolumn:name="$/Month",type=string,priority=1,JSONPath=`.status.monthlyPrice`
// +kubebuilder:printcolumn:name="Decision",type=string,priority=1,JSONPath=`.spec.decisionID`
type VPSieNode struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VPSieNodeSpec   `json:"spec"`
	Status VPSieNodeStatus `json:"status,omitempty,omitzero"`
}

// VPSieNodeList is a list of VPSieNodes.
//
// +kubebuilder:object:root=true
type VPSieNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VPSieNode `json:"items"`
}

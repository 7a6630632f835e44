package v1beta1

// Labels, annotations and finalizers that the autoscaler writes or reads.
// Values of AnnotationNominations.
const (
	NominationsPending = "pending"
	NominationsDone    = "done"
)

// FieldManagerNominations owns status.nominatedNodeName of the pods that the planner nominates, in their managed fields: nothing
// else tells such a nomination from one of kube-scheduler's.
const FieldManagerNominations = "vpsie-autoscaler-nominations"

const (
	// LabelNodeGroup names the NodeGroup, as namespace.name, on Nodes; as name on VPSieNodes.
	LabelNodeGroup = "autoscaler.vpsie.com/nodegroup"
	// LabelVPSieNode names the VPSieNode that owns a Node.
	LabelVPSieNode = "autoscaler.vpsie.com/vpsienode"
	// LabelOffering is the VPSie size id a Node was launched as.
	LabelOffering = "autoscaler.vpsie.com/offering"
	// LabelCluster is the VPSie cluster identifier on VPSieNodes.
	LabelCluster = "autoscaler.vpsie.com/cluster"
	// LabelManaged marks Nodes under the autoscaler's care.
	LabelManaged = "autoscaler.vpsie.com/managed"

	// AnnotationTraceparent carries the W3C trace context of the decision that made an object.
	AnnotationTraceparent = "autoscaler.vpsie.com/traceparent"
	// AnnotationRecordPrefix and the id of a decision record name the annotation that holds the record. A VPSieNode has it from the
	// write that carries the decision out until the record is published.
	AnnotationRecordPrefix = "record.autoscaler.vpsie.com/"
	// AnnotationPlannedPods says for which pods a machine was launched: placement=count pairs, separated by commas.
	// The planner keeps room on the machine for them until it runs; nobody else reads it.
	AnnotationPlannedPods = "autoscaler.vpsie.com/planned-pods"
	// AnnotationNominations says whether the pods that a machine was launched for are nominated to its Node yet: NominationsPending or
	// NominationsDone. The planner writes it, and the provisioner keeps the Node closed while they are pending.
	AnnotationNominations = "autoscaler.vpsie.com/nominations"
	// AnnotationAdopts names the machine, by its identifier at VPSie, that a VPSieNode was made for after it
	// had been launched.
	AnnotationAdopts = "autoscaler.vpsie.com/adopts"
	// AnnotationIntendedAt says, in RFC 3339, when the first intent was written whose request may have brought the machine of a
	// VPSieNode that answers late.
	AnnotationIntendedAt = "autoscaler.vpsie.com/intended-at"
	// AnnotationReleased marks a Node whose VPSieNode went together with its namespace or its definition. Nobody
	// asked for the machine to be deleted, so it never is on our own account.
	AnnotationReleased = "autoscaler.vpsie.com/released"
	// AnnotationCordoned marks a Node that the autoscaler, not a person, made unschedulable.
	AnnotationCordoned = "autoscaler.vpsie.com/cordoned"
	// AnnotationProtected on a Node or pod set to "true" forbids scale-down.
	AnnotationProtected = "autoscaler.vpsie.com/protected"

	// TaintOpening keeps pods off a new Node until those that it was launched for are nominated to it, for a few seconds at most.
	TaintOpening = "autoscaler.vpsie.com/opening"
	// TaintDraining is put on a Node before its pods are evicted.
	TaintDraining = "autoscaler.vpsie.com/draining"

	// FinalizerMachine holds a VPSieNode until VPSie confirms that the machine is absent.
	FinalizerMachine = "autoscaler.vpsie.com/machine"

	// ProviderIDPrefix starts the providerID of every Node; the machine identifier follows.
	ProviderIDPrefix = "vpsie://"
)

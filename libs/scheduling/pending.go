package scheduling

// PodReference names one pod.
type PodReference struct {
	Namespace, Name, UID string
	// NominatedNode is the Node to which the planner nominated the pod, empty where it did not.
	NominatedNode string
}

// Pending is the pods of one shape that have no node. It is not changed once made.
type Pending struct {
	// Count is the pods that the scheduler could not place, with those of the shape that it has not looked at yet.
	Count int
	// Arriving is the pods of a shape of which the scheduler has looked at none; Count is zero then.
	Arriving int
	// Sample names some of the pods: those nominated by the planner, then the others, each the oldest first.
	Sample []PodReference
	// Traceparent is the trace context of the observation that first saw the shape waiting.
	Traceparent string
}

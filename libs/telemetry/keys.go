// Package telemetry holds what logs, traces and metrics of all services have in common.
package telemetry

// Keys of log attributes; quantities carry their unit in the key.
const (
	KeyService       = "service"
	KeyCluster       = "cluster"
	KeyNodeGroup     = "node_group"
	KeyVPSieNode     = "vpsie_node"
	KeyNode          = "node"
	KeyMachine       = "machine"
	KeyDecision      = "decision_id"
	KeyReason        = "reason"
	KeyRevision      = "revision"
	KeyError         = "error"
	KeySubject       = "subject"
	KeyEndpoint      = "endpoint"
	KeyState         = "state"
	KeyCount         = "count"
	KeyMessage       = "message"
	KeyTookMillis    = "took_ms"
	KeyTraceID       = "trace_id"
	KeySpanID        = "span_id"
	KeyCorrelationID = "correlation_id"
	KeyOffsetMillis  = "offset_ms"
)

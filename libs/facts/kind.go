package facts

import (
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// kinds are the names of decisions.
var kinds = map[busv1.DecisionKind]reason.Kind{
	busv1.DecisionKind_DECISION_KIND_SCALE_UP: reason.ScaleUp, busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP: reason.NoScaleUp,
	busv1.DecisionKind_DECISION_KIND_SCALE_DOWN: reason.ScaleDown, busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN: reason.NoScaleDown,
	busv1.DecisionKind_DECISION_KIND_HOLD: reason.Hold, busv1.DecisionKind_DECISION_KIND_REPAIR: reason.Repair,
	busv1.DecisionKind_DECISION_KIND_LAUNCH: reason.Launch, busv1.DecisionKind_DECISION_KIND_ADOPTION: reason.Adoption,
}

// KindOf is the kind of a record, empty for one that is not known.
func KindOf(r *busv1.DecisionRecord) reason.Kind { return kinds[r.GetKind()] }

// DecisionKind is a kind as records carry it.
func DecisionKind(kind reason.Kind) busv1.DecisionKind {
	for k, name := range kinds {
		if name == kind {
			return k
		}
	}
	return busv1.DecisionKind_DECISION_KIND_UNSPECIFIED
}

// Check says what a decision record lacks: a code that the registry has for its kind, a message, the group that it is about; and which parameters
// of its kind, subject and code are missing, unknown or not written as their type asks for. Tests hold every record to it.
func Check(r *busv1.DecisionRecord) error {
	kind := KindOf(r)
	var problems []error
	if e, _ := reason.Lookup(reason.Code(r.GetReason())); !slices.Contains(e.Kinds, kind) {
		problems = append(problems, fmt.Errorf("the registry does not have code %q for kind %q", r.GetReason(), kind))
	}
	if r.GetMessage() == "" {
		problems = append(problems, errors.New("the message is empty"))
	}
	problems = append(problems, checkParameters(reason.ParametersOf(kind, r.GetSubject().GetKind(), reason.Code(r.GetReason())), r.GetParameters())...)
	if r.GetNodeGroup() == "" && isOfGroup(r) {
		problems = append(problems, errors.New("the group is missing"))
	}
	return errors.Join(problems...)
}

// isOfGroup reports whether a decision is about a group. A refusal of pods is where groups were weighed; a hold of the whole cluster, and a
// machine that no VPSieNode claims, are not.
func isOfGroup(r *busv1.DecisionRecord) bool {
	switch r.GetSubject().GetKind() {
	case "Machine":
		return false
	case "Cluster":
		return KindOf(r) != reason.Hold
	case "Pods":
		return KindOf(r) != reason.NoScaleUp || len(r.GetCandidates()) > 0
	}
	return true
}

// Concerns reports whether a record has a code, in the form of conditions, about a group: it names the group, or weighed it and rejected it
// with the code. Tests compare conditions of NodeGroups with records so.
func Concerns(r *busv1.DecisionRecord, group, condition string) bool {
	if reason.Code(r.GetReason()).Condition() == condition && r.GetNodeGroup() == group {
		return true
	}
	return slices.ContainsFunc(r.GetCandidates(), func(c *busv1.Candidate) bool {
		return c.GetName() == group && reason.Code(c.GetRejection()).Condition() == condition
	})
}

// IsRecorded reports whether a condition of a NodeGroup shows a refusal or hold that must be on record. Conditions Ready and NodesHealthy show
// states, at once, of which no decision may follow; so does a catalogue that is unknown for a moment.
func IsRecorded(c metav1.Condition) bool {
	e, known := reason.Find(c.Reason)
	return known && e.Code != reason.NoScaleUpCatalogueUnknown && c.Status != metav1.ConditionTrue &&
		c.Type != v1beta1.ConditionReady && c.Type != v1beta1.ConditionNodesHealthy
}

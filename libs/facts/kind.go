package facts

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
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

// Check says what a decision record lacks: a code that the registry has for its kind, a parameter of its kind, a message. Tests hold
// every record to it.
func Check(r *busv1.DecisionRecord) error {
	kind := KindOf(r)
	var problems []error
	if e, _ := reason.Lookup(reason.Code(r.GetReason())); !slices.Contains(e.Kinds, kind) {
		problems = append(problems, fmt.Errorf("the registry does not have code %q for kind %q", r.GetReason(), kind))
	}
	if r.GetMessage() == "" {
		problems = append(problems, errors.New("the message is empty"))
	}
	recommended := strings.HasSuffix(r.GetReason(), ".recommend") // has the parameters of the act
	for _, name := range reason.Parameters[kind] {
		if _, has := r.GetParameters()[name]; !has && !recommended {
			problems = append(problems, fmt.Errorf("parameter %s is missing", name))
		}
	}
	return errors.Join(problems...)
}

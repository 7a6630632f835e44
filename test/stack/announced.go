package stack

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	eventsv1 "k8s.io/api/events/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	records "github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// announcement is what was shown of a decision: its id in a VPSieNode, or its code in a condition of a VPSieNode or NodeGroup, or in an event of a pod.
type announcement struct {
	namespace, machine, group string
	decision, condition       string
	// pod is the one that an event is of, and words what it says.
	pod, words string
}

func (a announcement) String() string {
	switch {
	case a.decision != "":
		return fmt.Sprintf("decision %s about %s/%s", a.decision, a.namespace, a.machine)
	case a.pod != "":
		return fmt.Sprintf("event %s of pod %s/%s: %s", a.condition, a.namespace, a.pod, a.words)
	case a.machine == "":
		return fmt.Sprintf("condition %s of %s", a.condition, a.group)
	}
	return fmt.Sprintf("condition %s of %s/%s", a.condition, a.namespace, a.machine)
}

// isIn reports whether a record is of what was announced: it has the words, or names the machine and its group, or the group.
func (a announcement) isIn(r *busv1.DecisionRecord) bool {
	same := a.condition == reason.Code(r.GetReason()).Condition()
	switch {
	case a.pod != "":
		// Of the pods of a shape, of which all are told the same, the record names one.
		words := strings.TrimSuffix(a.words, "…")
		return same && r.GetSubject().GetKind() == "Pods" && r.GetSubject().GetNamespace() == a.namespace && (words == r.GetMessage() || words != a.words && strings.HasPrefix(r.GetMessage(), words))
	case a.machine == "":
		return records.Concerns(r, a.group, a.condition)
	case r.GetNodeGroup() != a.group || !slices.Contains(r.GetVpsieNodes(), a.machine):
		return false
	}
	return a.decision == r.GetId() || a.condition != "" && same
}

// announced remembers what objects showed of decisions. Its methods are safe for concurrent use.
type announced struct {
	// codes are those of the registry, as conditions show them.
	codes map[string]bool

	mu  sync.Mutex
	all map[announcement]bool
}

func newAnnounced() *announced {
	a := &announced{codes: map[string]bool{}, all: map[announcement]bool{}}
	for _, e := range reason.Entries {
		a.codes[e.Code.Condition()] = true
	}
	return a
}

// refusalWords is how an event begins that tells a pod that no machine is launched for it.
const refusalWords = "no machine is launched for the pod: "

func (a *announced) see(object any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch o := object.(type) {
	case *v1beta1.VPSieNode:
		a.seeMachine(o)
	case *v1beta1.NodeGroup:
		for _, c := range o.Status.Conditions {
			if records.IsRecorded(c) {
				a.all[announcement{namespace: o.Namespace, group: o.Namespace + "/" + o.Name, condition: c.Reason}] = true
			}
		}
	case *eventsv1.Event:
		if words, is := strings.CutPrefix(o.Note, refusalWords); is {
			a.all[announcement{namespace: o.Regarding.Namespace, pod: o.Regarding.Name, condition: o.Action, words: words}] = true
		}
	}
}

func (a *announced) seeMachine(n *v1beta1.VPSieNode) {
	shown := announcement{namespace: n.Namespace, machine: n.Name, group: fleet.GroupOf(n)}
	note := func(decision, condition string) {
		if decision != "" || a.codes[condition] {
			shown.decision, shown.condition = decision, condition
			a.all[shown] = true
		}
	}
	// A late answer has the decision of its request. Replacements are decided by others than planner and provisioner.
	if n.Spec.Origin == v1beta1.OriginScaleUp || n.Spec.Origin == v1beta1.OriginAdoption {
		note(n.Spec.DecisionID, "")
	}
	if r := n.Spec.Retirement; r != nil && r.Kind != v1beta1.RetireReplace && r.Kind != v1beta1.RetireManual {
		note(r.DecisionID, "")
	}
	for _, c := range n.Status.Conditions {
		note("", c.Reason)
	}
}

// Unrecorded returns what objects of a namespace showed of decisions that have no record on the bus, sorted.
func (s *Stack) Unrecorded(namespace string) []string {
	all := s.Decisions()
	s.announced.mu.Lock()
	defer s.announced.mu.Unlock()
	var missing []string
	for shown := range s.announced.all {
		if shown.namespace == namespace && !slices.ContainsFunc(all, shown.isIn) {
			missing = append(missing, shown.String())
		}
	}
	slices.SortFunc(missing, strings.Compare)
	return missing
}

package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// ledger is what our services did, and the facts about it that the bus acknowledged. What the bus loses after that is its own affair.
type ledger struct {
	// acts are launches, retirements and adoptions, by the id of the decision.
	acts map[string]*act
	// late are the machines that were adopted as the answer to an earlier request, whose decision is another's.
	late map[string]bool
	// carried are the records of decisions that objects carry in their status, by id.
	carried map[string]*busv1.DecisionRecord
	// held are the machines and the codes of the holds that their conditions showed.
	held map[string]map[string]bool
	// changes are those of phases, by the id that their facts have.
	changes map[string]*busv1.NodePhaseChanged
	// shown is what planners showed of pods and NodeGroups, and shapes those that the feed gave pods.
	shown  map[shown]bool
	shapes map[podShape]bool

	decisions map[string]*busv1.DecisionRecord
	told      map[string]*busv1.NodePhaseChanged
}

// act is what was carried out by a decision: the kind that its record must have, and the groups of the machines by name.
type act struct {
	kind     reason.Kind
	machines map[string]string
}

func newLedger() ledger {
	return ledger{
		map[string]*act{}, map[string]bool{}, map[string]*busv1.DecisionRecord{}, map[string]map[string]bool{}, map[string]*busv1.NodePhaseChanged{},
		map[shown]bool{}, map[podShape]bool{}, map[string]*busv1.DecisionRecord{}, map[string]*busv1.NodePhaseChanged{},
	}
}

func (l *ledger) acted(id string, kind reason.Kind, n *v1beta1.VPSieNode) {
	if l.acts[id] == nil {
		l.acts[id] = &act{kind, map[string]string{}}
	}
	l.acts[id].machines[n.Name] = fleet.GroupOf(n)
}

// onAct notes what must be on record in the end: decisions that were carried out, or that an object carries, and changes of the phase.
func (j *judge) onAct(c kubesim.Change, before, after *v1beta1.VPSieNode) {
	provisioner := strings.HasPrefix(c.Request.Client, Provisioner+"-")
	if !provisioner && !strings.HasPrefix(c.Request.Client, Planner+"-") {
		return
	}
	l := &j.records
	switch {
	case before == nil && !provisioner:
		l.acted(after.Spec.DecisionID, reason.ScaleUp, after)
	case before == nil && after.Spec.Origin == v1beta1.OriginAdoption:
		l.acted(after.Spec.DecisionID, reason.Adoption, after)
		if r := after.Spec.Retirement; r != nil && r.Kind == v1beta1.RetireRepair {
			l.acted(r.DecisionID, reason.Repair, after)
		}
	case before == nil:
		l.late[after.Name] = true
	case after != nil && before.Spec.Retirement == nil && after.Spec.Retirement != nil:
		kind := map[v1beta1.RetirementKind]reason.Kind{v1beta1.RetireScaleDown: reason.ScaleDown, v1beta1.RetireRepair: reason.Repair, v1beta1.RetireLaunchFailed: reason.Launch}
		l.acted(after.Spec.Retirement.DecisionID, kind[after.Spec.Retirement.Kind], after)
	}
	if before == nil || !provisioner {
		return
	}
	id := fmt.Sprintf("%s.%s", before.UID, before.ResourceVersion)
	switch {
	case after == nil:
		l.changes[id+".Gone"] = phaseChange(before, "") // or released, see recordsAtEnd
	case shownPhase(before) != shownPhase(after):
		l.changes[id] = phaseChange(after, string(after.Status.Phase))
	}
	if after != nil {
		for _, text := range after.Status.UntoldDecisions {
			if f, err := facts.Parse(text); err == nil {
				l.carried[f.ID] = f.Message.(*busv1.DecisionRecord)
			}
		}
		for _, c := range after.Status.Conditions {
			if e, known := reason.Find(c.Reason); known && slices.Contains(e.Kinds, reason.Hold) {
				if l.held[after.Name] == nil {
					l.held[after.Name] = map[string]bool{}
				}
				l.held[after.Name][string(e.Code)] = true
			}
		}
	}
}

func phaseChange(n *v1beta1.VPSieNode, to string) *busv1.NodePhaseChanged {
	outcomeOf := n.Spec.DecisionID
	if n.Spec.Retirement != nil {
		outcomeOf = n.Spec.Retirement.DecisionID
	}
	return &busv1.NodePhaseChanged{
		Namespace: n.Namespace, VpsieNode: n.Name, NodeGroup: n.Spec.NodeGroup, To: to, Identifier: n.Status.Identifier, NodeName: n.Status.NodeName,
		DecisionId: outcomeOf, Offering: n.Spec.Offering,
	}
}

// shownPhase is the phase that an object shows; that of a new one is not written.
func shownPhase(n *v1beta1.VPSieNode) v1beta1.Phase {
	if n.Status.Phase == "" {
		return v1beta1.PhasePending
	}
	return n.Status.Phase
}

// onPublished notes a message that the bus acknowledged.
func (j *judge) onPublished(topic string, msg *message.Message) {
	record, change := &busv1.DecisionRecord{}, &busv1.NodePhaseChanged{}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case strings.HasPrefix(topic, "vpsie.v1.fact.decision.") && proto.Unmarshal(msg.Payload, record) == nil:
		if err := facts.Check(record); err != nil {
			j.failLocked("I33", "record %s (%s) is not complete: %v", record.GetId(), record.GetReason(), err)
		}
		j.records.decisions[record.GetId()] = record
	case strings.HasPrefix(topic, "vpsie.v1.fact.phase.") && proto.Unmarshal(msg.Payload, change) == nil:
		j.records.told[msg.Metadata["ce-id"]] = change
	}
}

// recordsAtEnd holds that what was done is on record as it was done, and that nothing is on record that was not done (I33), whoever died or
// was away meanwhile.
func (j *judge) recordsAtEnd() {
	l := &j.records
	for _, id := range slices.Sorted(maps.Keys(l.acts)) {
		j.actOnRecord(id, l.acts[id])
	}
	for _, id := range slices.Sorted(maps.Keys(l.carried)) {
		if !proto.Equal(l.decisions[id], l.carried[id]) {
			j.failLocked("I33", "an object carried the record %v, and on the bus is %v", l.carried[id], l.decisions[id])
		}
	}
	adopted := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(l.decisions)) {
		r := l.decisions[id]
		for _, name := range r.GetVpsieNodes() {
			delete(l.held[name], r.GetReason())
		}
		switch facts.KindOf(r) {
		case reason.Adoption:
			for _, name := range r.GetVpsieNodes() {
				adopted[name] = true
			}
		case reason.ScaleUp, reason.ScaleDown, reason.Repair:
			if l.acts[id] == nil {
				j.failLocked("I33", "decision %s (%s of %v) is on record, but was not carried out", id, r.GetReason(), r.GetVpsieNodes())
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.held)) {
		for _, code := range slices.Sorted(maps.Keys(l.held[name])) {
			j.failLocked("I33", "%s: the hold %s is shown and not on record", name, code)
		}
	}
	j.shownOnRecord()
	for _, name := range slices.Sorted(maps.Keys(l.late)) {
		if !adopted[name] {
			j.failLocked("I33", "%s: the adoption is not on record", name)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.changes)) {
		j.changeOnRecord(id, l.changes[id])
	}
	for _, id := range slices.Sorted(maps.Keys(l.told)) {
		// An end is told before it is written, and again where the object changed in between.
		if to := l.told[id].GetTo(); l.changes[id] == nil && to != "Gone" && to != "Released" {
			j.failLocked("I33", "that %s becomes %s is on record, but did not happen", l.told[id].GetVpsieNode(), to)
		}
	}
}

// namesMax is how many machines a record names in its shortest form.
const namesMax = 64

func (j *judge) actOnRecord(id string, a *act) {
	r := j.records.decisions[id]
	if r == nil {
		j.failLocked("I33", "decision %s (%s of %v) was carried out and is not on record", id, a.kind, slices.Sorted(maps.Keys(a.machines)))
		return
	}
	if facts.KindOf(r) != a.kind {
		j.failLocked("I33", "decision %s is on record as %s, and was %s", id, facts.KindOf(r), a.kind)
	}
	for _, name := range slices.Sorted(maps.Keys(a.machines)) {
		if group := a.machines[name]; r.GetNodeGroup() != group {
			j.failLocked("I33", "the record of decision %s names group %q, and %s is of %s", id, r.GetNodeGroup(), name, group)
		}
		if len(r.GetVpsieNodes()) < namesMax && !slices.Contains(r.GetVpsieNodes(), name) {
			j.failLocked("I33", "the record of decision %s does not name %s, only %v", id, name, r.GetVpsieNodes())
		}
	}
}

func (j *judge) changeOnRecord(id string, want *busv1.NodePhaseChanged) {
	got := j.records.told[id]
	if got == nil && want.GetTo() == "" {
		got = j.records.told[strings.TrimSuffix(id, "Gone")+"Released"]
	}
	if got == nil {
		j.failLocked("I33", "that %s becomes %s is not on record", want.GetVpsieNode(), cmp.Or(want.GetTo(), "no object"))
		return
	}
	told := proto.Clone(got).(*busv1.NodePhaseChanged)
	told.From, told.Message, told.Time, told.MonthlyPriceMicros = "", "", nil, 0
	if want.GetTo() == "" {
		told.To = ""
	}
	if !proto.Equal(told, want) {
		j.failLocked("I33", "on record is %v, and what happened %v", told, want)
	}
}

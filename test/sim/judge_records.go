package sim

import (
	"maps"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// ledger is what our services did, by name, and the ids of the facts about it that the bus acknowledged. What it loses after that
// is its own affair.
type ledger struct {
	done  map[string]int
	facts map[string]map[string]bool
}

func newLedger() ledger { return ledger{map[string]int{}, map[string]map[string]bool{}} }

func (l *ledger) published(what, id string) {
	if l.facts[what] == nil {
		l.facts[what] = map[string]bool{}
	}
	l.facts[what][id] = true
}

func decisionOf(id string) string { return "decision " + id }

func phaseOf(machine, to string) string {
	if to == "Gone" || to == "Released" {
		to = "no object"
	}
	return machine + " becomes " + to
}

// onAct notes what must be on record in the end: decisions that were carried out, and changes of the phase.
func (j *judge) onAct(c kubesim.Change, before, after *v1beta1.VPSieNode) {
	client := c.Request.Client
	once := func(id string) { j.records.done[decisionOf(id)] = 1 }
	if strings.HasPrefix(client, Planner+"-") && after != nil {
		if before == nil {
			once(after.Spec.DecisionID)
		} else if before.Spec.Retirement == nil && after.Spec.Retirement != nil {
			once(after.Spec.Retirement.DecisionID)
		}
	}
	if !strings.HasPrefix(client, Provisioner+"-") || before == nil {
		return
	}
	switch {
	case after == nil:
		j.records.done[phaseOf(before.Name, "Gone")]++
	case shownPhase(before) != shownPhase(after):
		j.records.done[phaseOf(after.Name, string(after.Status.Phase))]++
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
		j.records.published(decisionOf(record.GetId()), record.GetId())
	case strings.HasPrefix(topic, "vpsie.v1.fact.phase.") && proto.Unmarshal(msg.Payload, change) == nil:
		j.records.published(phaseOf(change.GetVpsieNode(), change.GetTo()), msg.Metadata["ce-id"])
	}
}

// recordsAtEnd holds that what was done is on record (I33), whoever died or was away meanwhile.
func (j *judge) recordsAtEnd() {
	for _, what := range slices.Sorted(maps.Keys(j.records.done)) {
		if got, want := len(j.records.facts[what]), j.records.done[what]; got < want {
			j.failLocked("I33", "%s: done %d times, on record %d times", what, want, got)
		}
	}
}

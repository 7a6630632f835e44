package app

import (
	"maps"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// gate shows a refusal or hold in the conditions of a group once what was decided before is on record, and what else is said of the group at once.
// Until then, which may be for long while neither the bus nor Kubernetes takes records, the condition stays as it was. It is safe for concurrent use.
type gate struct {
	statuses Statuses
	records  Records

	mu sync.Mutex
	// groups is the newest word on each group, by namespace/name.
	groups map[string]*gatedWord
}

// gatedWord is what is said of a group.
type gatedWord struct {
	conditions []scaling.Condition
	// show shows some of the conditions, and what else is said.
	show func(conditions []scaling.Condition)
	// codes are those of conditions that wait for a record, by type of the condition.
	codes map[string]*gatedCode
}

// gatedCode is a code from when a condition has it until the condition has another.
type gatedCode struct {
	reason string
	// waits says that the record is on its way, recorded that it arrived.
	waits, recorded bool
}

func newGate(statuses Statuses, records Records) *gate {
	return &gate{statuses: statuses, records: records, groups: map[string]*gatedWord{}}
}

// report says how a group is. Codes that are new wait for the next word where the last records were not taken.
func (g *gate) report(group *v1beta1.NodeGroup, r scaling.Report, taken bool) {
	g.say(group, r.Conditions, taken, func(conditions []scaling.Condition) {
		r.Conditions = conditions
		g.statuses.Report(group, r)
	})
}

// hold says of a group that nothing is decided for it, and why.
func (g *gate) hold(group *v1beta1.NodeGroup, why scaling.Refusal, taken bool) {
	g.say(group, []scaling.Condition{held(why)}, taken, func(conditions []scaling.Condition) {
		if len(conditions) > 0 {
			g.statuses.Hold(group, why)
		}
	})
}

// keep forgets the groups that are not there any more.
func (g *gate) keep(there map[string]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.groups, func(name string, _ *gatedWord) bool { return !there[name] })
}

func (g *gate) say(group *v1beta1.NodeGroup, conditions []scaling.Condition, taken bool, show func([]scaling.Condition)) {
	name := group.Namespace + "/" + group.Name
	fresh := g.replace(name, &gatedWord{conditions: conditions, show: show, codes: map[string]*gatedCode{}})
	if len(fresh) == 0 || !taken {
		return
	}
	if g.records.Tell(func() { g.recorded(name, fresh) }) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, code := range fresh {
			code.waits = true
		}
	}
}

// replace makes a word the newest, shows of it what may be shown, and returns the codes that wait for nothing yet.
func (g *gate) replace(name string, word *gatedWord) []*gatedCode {
	g.mu.Lock()
	defer g.mu.Unlock()
	var fresh []*gatedCode
	for _, c := range word.conditions {
		if !facts.IsRecorded(metav1.Condition{Type: c.Type, Status: conditionStatus[c.Status], Reason: c.Reason}) {
			continue
		}
		code := &gatedCode{reason: c.Reason}
		if last := g.groups[name]; last != nil && last.codes[c.Type] != nil && last.codes[c.Type].reason == c.Reason {
			code = last.codes[c.Type]
		}
		if word.codes[c.Type] = code; !code.waits {
			fresh = append(fresh, code)
		}
	}
	g.groups[name] = word
	word.showRecorded()
	return fresh
}

// recorded shows what waited for a record, unless something else is said by now.
func (g *gate) recorded(name string, codes []*gatedCode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, code := range codes {
		code.recorded = true
	}
	if word := g.groups[name]; word != nil {
		word.showRecorded()
	}
}

func (w *gatedWord) showRecorded() {
	var shown []scaling.Condition
	for _, c := range w.conditions {
		if code := w.codes[c.Type]; code == nil || code.recorded {
			shown = append(shown, c)
		}
	}
	w.show(shown)
}

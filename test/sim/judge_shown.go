package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// shown is a code that a planner showed people, in an event of a pod or in a condition of a NodeGroup.
type shown struct {
	// code is in the form of conditions.
	code, where string
	// pod is the one that the event is of, group the one that has the condition, as namespace/name.
	pod   types.UID
	group string
}

// onShown notes what a planner tells of what it does not do.
func (j *judge) onShown(c kubesim.Change) {
	if !strings.HasPrefix(c.Request.Client, Planner+"-") {
		return
	}
	note := func(s shown) {
		if _, known := reason.Find(s.code); known {
			j.records.shown[s] = true
		}
	}
	switch o := c.New.(type) {
	case *eventsv1.Event:
		if o.Reason == "NotTriggerScaleUp" {
			note(shown{code: o.Action, where: fmt.Sprintf("event of pod %s/%s", o.Regarding.Namespace, o.Regarding.Name), pod: o.Regarding.UID})
		}
	case *v1beta1.NodeGroup:
		for _, condition := range o.Status.Conditions {
			if facts.IsRecorded(condition) {
				note(shown{code: condition.Reason, where: "condition " + condition.Type + " of " + keyOf(o), group: keyOf(o)})
			}
		}
	}
}

// onPending notes of which shape the pods are that the feed says to be waiting.
func (j *judge) onPending(key string, record []byte) {
	shape, is := strings.CutPrefix(key, "pending.")
	if !is {
		return
	}
	var pending feedv1.Pending
	j.world.must(proto.Unmarshal(record, &pending))
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, pod := range pending.GetSample() {
		j.records.shapes[podShape{types.UID(pod.GetUid()), shape}] = true
	}
}

type podShape struct {
	pod   types.UID
	shape string
}

// shows reports whether a record is of what was shown: it has the code, and names the shape of the pod or the group.
func (l *ledger) shows(r *busv1.DecisionRecord, s shown) bool {
	if s.pod == "" {
		return facts.Concerns(r, s.group, s.code)
	}
	return reason.Code(r.GetReason()).Condition() == s.code && l.shapes[podShape{s.pod, r.GetParameters()[reason.ParamShape]}]
}

// shownOnRecord holds that what people were told of is on record.
func (j *judge) shownOnRecord() {
	for s := range j.records.shown {
		shows := func(r *busv1.DecisionRecord) bool { return j.records.shows(r, s) }
		if !slices.ContainsFunc(slices.Collect(maps.Values(j.records.decisions)), shows) {
			j.failLocked("I33", "%s shows %s, which is not on record", s.where, s.code)
		}
	}
}

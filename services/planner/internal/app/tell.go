package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// Events of pods, by the names that users of Cluster Autoscaler know.
const (
	eventTriggered    = "TriggeredScaleUp"
	eventNotTriggered = "NotTriggerScaleUp"
	actionScaleUp     = "ScaleUp"
)

// Subjects of what was said, or prefixes of them by kind.
const (
	saidPod       = "pod/"
	saidShape     = "shape/"
	saidGroup     = "group/"
	saidKept      = "kept/"
	saidAdvice    = "recommend/"
	saidCatalogue = "catalogue/"
	saidLeading   = "leading/"
	saidFeed      = "feed/"
	saidPause     = "pause/"
	saidObjects   = "objects/"
	saidCarried   = "carried/" // by machines, of decisions by id
)

// blindTold is how long what a plan needs may be unknown before pods and groups are told of it: for a new group what can be launched is
// unknown for a moment, and so is the cluster after a start.
const blindTold = 10 * time.Second

// tellLaunch tells the pods that a decision serves.
func (p *Planner) tellLaunch(s scaling.Snapshot, l *scaling.Launch, group *v1beta1.NodeGroup) {
	p.events.Eventf(group, nil, corev1.EventTypeNormal, "ScaleUp", actionScaleUp, "%s", text.Truncate(l.Message))
	for id := range l.Pods {
		pending := s.Pending[id]
		if pending == nil {
			continue
		}
		for _, pod := range pending.Sample {
			p.said.change(saidPod+pod.UID, eventTriggered)
			p.events.Eventf(reference(pod), group, corev1.EventTypeNormal, eventTriggered, actionScaleUp, "%s",
				text.Truncate("pod triggered scale-up of NodeGroup "+l.Group+": "+l.Message))
		}
	}
}

// tell explains refusals, those of pods, groups and nodes: to the pods that wait, in the log and on the bus, each once until it changes.
func (p *Planner) tell(ctx context.Context, s scaling.Snapshot, plan scaling.Plan) {
	inUse := map[string]bool{}
	for id, fate := range plan.Shapes {
		pending := s.Pending[id]
		if pending == nil || fate.Left+fate.Held == 0 || fate.Arriving || fate.Refusal.Code == "" {
			continue
		}
		inUse[saidShape+string(id)] = true
		if fate.Refusal.Code == reason.NoScaleUpCatalogueUnknown && !p.blindFor(blindTold) {
			p.unrecorded = true // other groups may refuse the pod for other reasons
			continue
		}
		if len(pending.Sample) > 0 && p.said.change(saidShape+string(id), refusalOf(fate)) && !p.recordRefusal(ctx, plan, pending.Sample[0], fate, id) {
			continue // its pods are not told of what is not on record
		}
		// The newest pods of a shape are those that find no place.
		for _, pod := range pending.Sample[max(len(pending.Sample)-fate.Left-fate.Held, 0):] {
			inUse[saidPod+pod.UID] = true
			if !p.said.change(saidPod+pod.UID, fate.Refusal.Message) {
				continue
			}
			if !p.records.Tell(func() {
				// Kubernetes merges events that differ in their note alone; the action keeps refusals apart.
				p.events.Eventf(reference(pod), nil, corev1.EventTypeWarning, eventNotTriggered, fate.Refusal.Code.Condition(), "%s",
					text.Truncate("no machine is launched for the pod: "+fate.Refusal.Message))
			}) {
				p.said.forget(saidPod + pod.UID)
			}
		}
	}
	for id := range s.Pending {
		for _, pod := range s.Pending[id].Sample {
			inUse[saidPod+pod.UID] = true
		}
	}
	for group, refusal := range plan.Refused {
		inUse[saidGroup+group] = true
		if refusal.Code == reason.NoScaleUpCatalogueUnknown && !p.blindFor(blindTold) {
			continue
		}
		if p.said.change(saidGroup+group, string(refusal.Code)) {
			p.record(ctx, saidGroup+group, groupRefusalRecord(plan, group))
		}
	}
	for node, refusal := range plan.Kept {
		inUse[saidKept+node] = true
		if p.said.change(saidKept+node, string(refusal.Code)) {
			p.recordKept(ctx, plan, node)
		}
	}
	for _, r := range plan.Retirements {
		inUse[saidKept+r.Node] = r.Recommended
	}
	for i := range plan.Launches {
		if plan.Launches[i].Recommended {
			inUse[saidAdvice+plan.Launches[i].Group] = true
		}
	}
	p.said.keep(saidPod, inUse)
	p.said.keep(saidShape, inUse)
	p.said.keep(saidGroup, inUse)
	p.said.keep(saidKept, inUse)
	p.said.keep(saidAdvice, inUse)
}

// refusalOf tells the refusals of a shape apart: by what its pods are told, and by the code of each group, which may show in its condition.
func refusalOf(fate scaling.Fate) string {
	var b strings.Builder
	b.WriteString(fate.Refusal.Message)
	for _, group := range slices.Sorted(maps.Keys(fate.ByGroup)) {
		b.WriteString("\n" + group + " " + string(fate.ByGroup[group].Code))
	}
	return b.String()
}

func reference(pod scheduling.PodReference) *corev1.Pod {
	out := &corev1.Pod{}
	out.Namespace, out.Name, out.UID = pod.Namespace, pod.Name, types.UID(pod.UID)
	return out
}

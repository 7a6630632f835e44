package app

import (
	"context"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// said remembers what was last said about a subject, so that a standing refusal is told once.
type said struct{ last map[string]string }

func newSaid() said { return said{last: map[string]string{}} }

// change reports whether the text differs from the last one about the subject, and remembers it;
// an empty text forgets the subject.
func (s *said) change(subject, text string) bool {
	if s.last[subject] == text {
		return false
	}
	if text == "" {
		delete(s.last, subject)
		return false
	}
	s.last[subject] = text
	return true
}

// keep forgets the subjects with a prefix that are not in use any more.
func (s *said) keep(prefix string, inUse map[string]bool) {
	for subject := range s.last {
		if strings.HasPrefix(subject, prefix) && !inUse[subject] {
			delete(s.last, subject)
		}
	}
}

// parameterShape names the shape of the pods that a record is about.
const parameterShape = "shape"

// record keeps a record of an act, or of what would be one, and has the status of its group show it.
func (p *Planner) record(ctx context.Context, group string, r *busv1.DecisionRecord) {
	r.NodeGroup = group
	p.keep(ctx, r)
	p.statuses.Decided(group, v1beta1.DecisionSummary{
		ID: r.Id, Time: metav1.NewTime(r.Time.AsTime()), Kind: string(kinds[r.Kind]), Reason: r.Reason, Message: truncate(r.Message),
	})
}

// keep keeps a record, of the group that it names.
func (p *Planner) keep(ctx context.Context, r *busv1.DecisionRecord) {
	if r.Id == "" {
		r.Id = p.newID()
	}
	r.Time = timestamppb.New(p.clock.Now())
	namespace, name, _ := strings.Cut(r.NodeGroup, "/")
	p.records.Decided(ctx, namespace, name, r)
	level := slog.LevelInfo
	if r.Kind == busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN {
		level = slog.LevelDebug // one for every node that stays
	}
	p.log.Log(ctx, level, "decision", telemetry.KeyDecision, r.Id, "kind", string(kinds[r.Kind]), telemetry.KeyNodeGroup, r.NodeGroup,
		telemetry.KeySubject, r.Subject.GetKind()+" "+r.Subject.GetNamespace()+"/"+r.Subject.GetName(),
		telemetry.KeyReason, r.Reason, telemetry.KeyMessage, r.Message, telemetry.KeyRevision, r.InputRevision)
}

// kinds are the names of decisions for people.
var kinds = map[busv1.DecisionKind]reason.Kind{
	busv1.DecisionKind_DECISION_KIND_SCALE_UP: reason.ScaleUp, busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP: reason.NoScaleUp,
	busv1.DecisionKind_DECISION_KIND_SCALE_DOWN: reason.ScaleDown, busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN: reason.NoScaleDown,
	busv1.DecisionKind_DECISION_KIND_HOLD: reason.Hold, busv1.DecisionKind_DECISION_KIND_REPAIR: reason.Repair,
}

func groupSubject(group string) *busv1.Subject {
	namespace, name, _ := strings.Cut(group, "/")
	return &busv1.Subject{Kind: "NodeGroup", Namespace: namespace, Name: name}
}

func launchRecord(plan scaling.Plan, l *scaling.Launch) *busv1.DecisionRecord {
	r := &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_SCALE_UP, Subject: groupSubject(l.Group), Reason: string(l.Reason),
		Message: l.Message, InputRevision: plan.Basis, MonthlyPriceEffectMicros: int64(l.MonthlyPrice),
	}
	for _, n := range l.Pods {
		r.Pods += int32(min(n, 1<<30))
	}
	r.Candidates = candidates(l.Candidates)
	return r
}

func candidates(weighed []scaling.Candidate) []*busv1.Candidate {
	var out []*busv1.Candidate
	for _, c := range weighed {
		out = append(out, &busv1.Candidate{
			Name: c.Group, Offering: c.Offering, Nodes: int32(min(c.Nodes, 1<<30)), MonthlyPriceMicros: int64(c.MonthlyPrice),
			Rejection: string(c.Rejection), Message: c.Message,
		})
	}
	return out
}

func (p *Planner) recordLaunch(ctx context.Context, plan scaling.Plan, l *scaling.Launch, id string, machines []string) {
	r := launchRecord(plan, l)
	r.Id, r.VpsieNodes = id, machines
	p.record(ctx, l.Group, r)
}

// recommend records what a group would buy that only recommends.
func (p *Planner) recommend(ctx context.Context, plan scaling.Plan, l *scaling.Launch) {
	if !p.said.change(saidAdvice+l.Group, l.Message) {
		return
	}
	r := launchRecord(plan, l)
	r.Kind, r.Reason = busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, string(reason.NoScaleUpGroupRecommend)
	p.record(ctx, l.Group, r)
	p.metrics.decided(decisionNoScaleUp, 1)
}

func retirementRecord(plan scaling.Plan, r scaling.Retirement) *busv1.DecisionRecord {
	kind := busv1.DecisionKind_DECISION_KIND_SCALE_DOWN
	if r.Kind == v1beta1.RetireRepair {
		kind = busv1.DecisionKind_DECISION_KIND_REPAIR
	}
	return &busv1.DecisionRecord{
		Kind: kind, Subject: &busv1.Subject{Kind: "Node", Name: r.Node}, Reason: string(r.Reason),
		Message: r.Message, InputRevision: plan.Basis, MonthlyPriceEffectMicros: -int64(r.MonthlyPrice), Pods: int32(min(r.Pods, 1<<30)),
		VpsieNodes: []string{r.Machine},
	}
}

func (p *Planner) recordRetirement(ctx context.Context, plan scaling.Plan, r scaling.Retirement, id string) {
	record := retirementRecord(plan, r)
	record.Id = id
	p.record(ctx, r.Group, record)
}

// recommendRetirement records a machine that a group would retire that only recommends.
func (p *Planner) recommendRetirement(ctx context.Context, plan scaling.Plan, r scaling.Retirement, id string) {
	if !p.said.change("kept/"+r.Node, string(reason.NoScaleDownGroupRecommend)) {
		return
	}
	record := retirementRecord(plan, r)
	record.Id, record.Kind, record.Reason = id, busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN, string(reason.NoScaleDownGroupRecommend)
	p.record(ctx, r.Group, record)
	p.metrics.decided(decisionNoScaleDown, 1)
}

// refusalRecord is of pods for which nothing is bought.
func refusalRecord(plan scaling.Plan, pod scheduling.PodReference, fate scaling.Fate, shape scheduling.ShapeID) *busv1.DecisionRecord {
	return &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, Subject: &busv1.Subject{Kind: "Pods", Namespace: pod.Namespace, Name: pod.Name},
		Reason: string(fate.Refusal.Code), Message: fate.Refusal.Message, InputRevision: plan.Basis, Pods: int32(min(fate.Left+fate.Held, 1<<30)),
		Parameters: map[string]string{parameterShape: string(shape)}, Candidates: candidates(fate.Candidates), NodeGroup: fate.Nearest,
	}
}

func (p *Planner) recordRefusal(ctx context.Context, plan scaling.Plan, pod scheduling.PodReference, fate scaling.Fate, shape scheduling.ShapeID) {
	p.keep(ctx, refusalRecord(plan, pod, fate, shape))
	p.metrics.decided(decisionNoScaleUp, 1)
}

// keptRecord is of a node that stays.
func keptRecord(plan scaling.Plan, node string) *busv1.DecisionRecord {
	refusal := plan.Kept[node]
	return &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN, Subject: &busv1.Subject{Kind: "Node", Name: node},
		Reason: string(refusal.Code), Message: refusal.Message, InputRevision: plan.Basis, NodeGroup: plan.NodeGroups[node],
	}
}

func (p *Planner) recordKept(ctx context.Context, plan scaling.Plan, node string) {
	p.keep(ctx, keptRecord(plan, node))
	p.metrics.decided(decisionNoScaleDown, 1)
}

func (p *Planner) recordHold(ctx context.Context, code reason.Code, why string) {
	p.keep(ctx, &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_HOLD, Subject: &busv1.Subject{Kind: "Cluster"}, Reason: string(code), Message: why,
	})
	p.metrics.decided(decisionHold, 1)
}

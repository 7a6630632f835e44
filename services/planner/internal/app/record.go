package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
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

// forget has the next word about a subject be news.
func (s *said) forget(subject string) { delete(s.last, subject) }

// keep forgets the subjects with a prefix that are not in use any more.
func (s *said) keep(prefix string, inUse map[string]bool) {
	for subject := range s.last {
		if strings.HasPrefix(subject, prefix) && !inUse[subject] {
			delete(s.last, subject)
		}
	}
}

// complete fills in what every record has, and returns it as the fact that it is.
func (p *Planner) complete(ctx context.Context, r *busv1.DecisionRecord) facts.Fact {
	if r.Id == "" {
		r.Id = p.newID()
	}
	r.Time, r.Traceparent = timestamppb.New(p.clock.Now()), telemetry.Traceparent(ctx)
	namespace, name, _ := strings.Cut(r.NodeGroup, "/")
	return facts.Decision(ctx, namespace, name, r)
}

// record puts the record of something that is not done on record, and announces it then. Where there is no room, the subject
// was not spoken of, the next plan speaks of it, and record returns false.
func (p *Planner) record(ctx context.Context, subject string, r *busv1.DecisionRecord) bool {
	taken := p.records.Record(p.complete(ctx, r), func() { p.announce(context.WithoutCancel(ctx), r) })
	if !taken {
		p.said.forget(subject)
		p.unrecorded = true
	}
	return taken
}

// resumeRecords puts on record what machines still carry, and tells of it where this planner did not: another one died, or the answer to a
// write was lost.
func (p *Planner) resumeRecords(ctx context.Context, machines []*v1beta1.VPSieNode) {
	inUse, decisions := map[string]bool{}, map[string]bool{}
	for _, m := range machines {
		decisions[m.Spec.DecisionID] = true
		if r := m.Spec.Retirement; r != nil {
			decisions[r.DecisionID] = true
		}
		if m.ResourceVersion == "" {
			continue // whether it was written is not known yet
		}
		for _, f := range facts.Attached(m) {
			p.records.Carried(f, client.ObjectKeyFromObject(m))
			inUse[saidCarried+f.ID] = true
			// What the provisioner decided it tells of itself.
			if r, is := f.Message.(*busv1.DecisionRecord); is && r.Subject.GetKind() != subjectMachine && p.said.change(saidCarried+f.ID, f.ID) {
				p.announce(ctx, r)
			}
			if tell := p.unclear[f.ID]; tell != nil {
				tell()
				delete(p.unclear, f.ID)
			}
		}
	}
	p.said.keep(saidCarried, inUse)
	maps.DeleteFunc(p.unclear, func(id string, _ func()) bool { return !decisions[id] })
}

// announce tells people of a decision that is on record, or that machines carry.
func (p *Planner) announce(ctx context.Context, r *busv1.DecisionRecord) {
	p.metrics.decisions.Count(facts.KindOf(r), reason.Code(r.Reason))
	if isAct(r) {
		p.statuses.Decided(r.NodeGroup, v1beta1.DecisionSummary{
			ID: r.Id, Time: metav1.NewTime(r.Time.AsTime()), Kind: string(facts.KindOf(r)), Reason: r.Reason, Message: text.Truncate(r.Message),
		})
	}
	level := slog.LevelInfo
	switch r.Kind {
	case busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN:
		level = slog.LevelDebug // one for every node that stays
	case busv1.DecisionKind_DECISION_KIND_HOLD:
		level = slog.LevelWarn // nothing is decided
	}
	p.log.Log(ctx, level, "decision", telemetry.KeyDecision, r.Id, "kind", string(facts.KindOf(r)), telemetry.KeyNodeGroup, r.NodeGroup,
		telemetry.KeySubject, r.Subject.GetKind()+" "+r.Subject.GetNamespace()+"/"+r.Subject.GetName(),
		telemetry.KeyReason, r.Reason, telemetry.KeyMessage, r.Message, telemetry.KeyRevision, r.InputRevision)
}

// isAct reports whether a record is of an act, or of what a group that only recommends would do. Refusals are too many for the
// status of a group, whose conditions tell of its own.
func isAct(r *busv1.DecisionRecord) bool {
	return len(r.VpsieNodes) > 0 || r.Reason == string(reason.NoScaleUpGroupRecommend) && r.Subject.GetKind() == subjectNodeGroup
}

// Kinds of subjects: the planner's records of machines are about their Nodes.
const (
	subjectNodeGroup = "NodeGroup"
	subjectMachine   = "VPSieNode"
)

func groupSubject(group string) *busv1.Subject {
	namespace, name, _ := strings.Cut(group, "/")
	return &busv1.Subject{Kind: subjectNodeGroup, Namespace: namespace, Name: name}
}

func launchRecord(plan scaling.Plan, l *scaling.Launch) *busv1.DecisionRecord {
	r := &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_SCALE_UP, Subject: groupSubject(l.Group), Reason: string(l.Reason),
		Message: l.Message, InputRevision: plan.Basis, MonthlyPriceEffectMicros: int64(l.MonthlyPrice), NodeGroup: l.Group,
	}
	for _, n := range l.Pods {
		r.Pods += int32(min(n, 1<<30))
	}
	r.Candidates = candidates(l.Candidates)
	offerings := map[string]bool{}
	for _, m := range l.Machines {
		offerings[m.OfferingName] = true
	}
	r.Parameters = with(l.Parameters, reason.Values{
		reason.ParamNodes: reason.CountOf(len(l.Machines)), reason.ParamOfferings: reason.NamesOf(slices.Sorted(maps.Keys(offerings))),
	})
	return r
}

// with are the parameters of a code and those of the kind of its record.
func with(ofCode, ofKind reason.Values) reason.Values {
	maps.Copy(ofKind, ofCode)
	return ofKind
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

// recommend records what a group would launch that only recommends.
func (p *Planner) recommend(ctx context.Context, plan scaling.Plan, l *scaling.Launch) {
	if !p.said.change(saidAdvice+l.Group, l.Message) {
		return
	}
	r := launchRecord(plan, l)
	r.Kind, r.Reason = busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, string(reason.NoScaleUpGroupRecommend)
	p.record(ctx, saidAdvice+l.Group, r)
}

func retirementRecord(plan scaling.Plan, r scaling.Retirement) *busv1.DecisionRecord {
	kind, parameters := busv1.DecisionKind_DECISION_KIND_SCALE_DOWN, reason.Values{reason.ParamNode: r.Node, reason.ParamPods: reason.CountOf(r.Pods)}
	if r.Kind == v1beta1.RetireRepair {
		delete(parameters, reason.ParamPods) // what runs there is uncertain
		kind = busv1.DecisionKind_DECISION_KIND_REPAIR
	}
	return &busv1.DecisionRecord{
		Kind: kind, Subject: &busv1.Subject{Kind: "Node", Name: r.Node}, Reason: string(r.Reason),
		Message: r.Message, InputRevision: plan.Basis, MonthlyPriceEffectMicros: -int64(r.MonthlyPrice), Pods: int32(min(r.Pods, 1<<30)),
		VpsieNodes: []string{r.Machine}, NodeGroup: r.Group,
		Parameters: parameters,
	}
}

// recommendRetirement records a machine that a group would retire that only recommends.
func (p *Planner) recommendRetirement(ctx context.Context, plan scaling.Plan, r scaling.Retirement, id string) {
	if !p.said.change(saidKept+r.Node, string(reason.NoScaleDownGroupRecommend)) {
		return
	}
	record := retirementRecord(plan, r)
	record.Id, record.Kind, record.Reason = id, busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN, string(reason.NoScaleDownGroupRecommend)
	p.record(ctx, saidKept+r.Node, record)
}

// refusalRecord is of pods for which nothing is launched.
func refusalRecord(plan scaling.Plan, pod scheduling.PodReference, fate scaling.Fate, shape scheduling.ShapeID) *busv1.DecisionRecord {
	return &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, Subject: &busv1.Subject{Kind: "Pods", Namespace: pod.Namespace, Name: pod.Name},
		Reason: string(fate.Refusal.Code), Message: fate.Refusal.Message, InputRevision: plan.Basis, Pods: int32(min(fate.Left+fate.Held, 1<<30)),
		Parameters: with(fate.Refusal.Parameters, reason.Values{reason.ParamShape: string(shape)}), Candidates: candidates(fate.Candidates), NodeGroup: fate.Nearest,
	}
}

func (p *Planner) recordRefusal(ctx context.Context, plan scaling.Plan, pod scheduling.PodReference, fate scaling.Fate, shape scheduling.ShapeID) bool {
	return p.record(ctx, saidShape+string(shape), refusalRecord(plan, pod, fate, shape))
}

// groupRefusalRecord is of a group that stays below its minimum, or can launch nothing at all.
func groupRefusalRecord(plan scaling.Plan, group string) *busv1.DecisionRecord {
	refusal := plan.Refused[group]
	return &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, Subject: groupSubject(group), Reason: string(refusal.Code), Message: refusal.Message,
		InputRevision: plan.Basis, NodeGroup: group, Parameters: with(refusal.Parameters, reason.Values{reason.ParamNodes: reason.CountOf(refusal.Missing)}),
	}
}

// keptRecord is of a node that stays.
func keptRecord(plan scaling.Plan, node string, refusal scaling.Refusal) *busv1.DecisionRecord {
	return &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN, Subject: &busv1.Subject{Kind: "Node", Name: node},
		Reason: string(refusal.Code), Message: refusal.Message, InputRevision: plan.Basis, NodeGroup: plan.NodeGroups[node],
		Parameters: with(refusal.Parameters, reason.Values{reason.ParamNode: node}),
	}
}

func (p *Planner) recordKept(ctx context.Context, plan scaling.Plan, node string) {
	p.record(ctx, saidKept+node, keptRecord(plan, node, plan.Kept[node]))
}

// holdRecord is of a group for which nothing is decided, or of the whole cluster where there is none.
func holdRecord(held scaling.Refusal, group string) *busv1.DecisionRecord {
	subject := &busv1.Subject{Kind: "Cluster"}
	if group != "" {
		subject = groupSubject(group)
	}
	return &busv1.DecisionRecord{
		Kind: busv1.DecisionKind_DECISION_KIND_HOLD, Subject: subject, Reason: string(held.Code), Message: held.Message, NodeGroup: group,
		Parameters: with(held.Parameters, reason.Values{}),
	}
}

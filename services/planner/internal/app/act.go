package app

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/id"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// groupCharsMax bounds the part of a machine's name that comes from its group, so that the name
// fits into a label.
const groupCharsMax = 30

// carryOut writes the plan's intents and wakes the provisioner. An intent that was refused is missing
// from the next snapshot, so the next plan makes it again.
func (p *Planner) carryOut(ctx context.Context, s scaling.Snapshot, plan scaling.Plan) {
	for i := range plan.Launches {
		l := &plan.Launches[i]
		if l.Recommended {
			p.recommend(ctx, plan, l)
			continue
		}
		p.launch(ctx, s, plan, l)
	}
	p.openNodes(ctx, plan)
	p.retire(ctx, s, plan)
}

// leading returns a context that ends when another planner may lead, and an error where this one may not lead now. Two planners with
// different views would launch twice for the same pods, or each retire a Node whose pods the other's need.
func (p *Planner) leading(ctx context.Context, plan scaling.Plan) (context.Context, context.CancelFunc, error) {
	if !plan.Acts() {
		return ctx, func() {}, nil
	}
	until, err := p.leadership.Until(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	return ctx, cancel, nil
}

// openNodes says of the machines whose pods are nominated that their Nodes may open.
func (p *Planner) openNodes(ctx context.Context, plan scaling.Plan) {
	var writers errgroup.Group
	writers.SetLimit(writersMax)
	for _, machine := range plan.Nominated {
		writers.Go(func() error {
			changed := machine.DeepCopy()
			changed.Annotations[v1beta1.AnnotationNominations] = v1beta1.NominationsDone
			if err := p.store.Patch(ctx, changed, client.MergeFrom(machine)); err != nil && !apierrors.IsNotFound(err) {
				p.log.WarnContext(ctx, "nomination of the machine's pods not recorded; the opening taint stays longer",
					telemetry.KeyVPSieNode, machine.Namespace+"/"+machine.Name, telemetry.KeyError, err)
			}
			return nil
		})
	}
	_ = writers.Wait() // each writer has handled its own error
}

func (p *Planner) newID() string {
	return id.New(p.clock.Now())
}

// launch writes one VPSieNode a machine. The names come from what the decision was made on, so that a repeated
// write changes nothing, also one by another planner that believes itself elected.
func (p *Planner) launch(ctx context.Context, s scaling.Snapshot, plan scaling.Plan, l *scaling.Launch) {
	group := findGroup(s, l.Group)
	id := p.newID()
	ctx, span := p.begin(ctx, "decide scale up", s, l.Pods, id, plan.Basis)
	defer span.End()
	free := intentNames(group, s, len(l.Machines))
	intents := make([]*v1beta1.VPSieNode, len(l.Machines))
	for i, m := range l.Machines {
		intents[i] = p.intent(ctx, group, id, free[i], m, string(l.Reason))
	}
	record := launchRecord(plan, l)
	record.Id, record.VpsieNodes = id, free
	fact := p.complete(ctx, record)
	machines, carriers, carried := p.writeIntents(ctx, intents, fact)
	var names []string
	price := int64(0)
	for i, machine := range machines {
		if machine == nil {
			continue
		}
		p.overlay.add(machine, p.clock.Now())
		if machine.Spec.DecisionID == id {
			names, price = append(names, machine.Name), price+int64(l.Machines[i].MonthlyPrice)
		}
	}
	tell := func() {
		p.metrics.acted(reason.ScaleUp, len(names))
		p.tellLaunch(s, l, group)
	}
	if !carried {
		p.unclear[id] = tell // where one was written all the same, it carries the record
		return
	}
	if len(names) < len(machines) {
		// What the object carries tells what was wanted; it is published only if this process dies.
		record.VpsieNodes, record.MonthlyPriceEffectMicros, record.Parameters[reason.ParamNodes] = names, price, reason.CountOf(len(names))
		record.Message += fmt.Sprintf("; %d of %d were written, and the next plan repeats the others", len(names), len(machines))
	}
	decision := &busv1.LaunchDecision{
		DecisionId: id, Namespace: group.Namespace, NodeGroup: group.Name, Cluster: group.Spec.Cluster.Identifier, VpsieNodes: names,
	}
	if err := p.announcer.Publish(ctx, bus.TopicLaunch, group.Namespace, group.Name, id, decision); err != nil {
		p.log.WarnContext(ctx, "decision message not sent; the provisioner's watch finds the VPSieNodes", telemetry.KeyDecision, id, telemetry.KeyError, err)
	}
	p.records.Carried(fact, carriers...)
	p.said.change(saidCarried+id, id)
	p.announce(ctx, record)
	tell()
}

// carrierTries bounds the intents that are written one by one until one surely carries the record of the decision.
const carrierTries = 3

// writeIntents writes the intents of a decision and returns what is there then, and which of them carry its record: one alone
// before the others, so that none of them is there without the record, and further ones while none is surely written. Where none of
// the first is, the others are left to the next plan.
func (p *Planner) writeIntents(ctx context.Context, intents []*v1beta1.VPSieNode, record facts.Fact) (machines []*v1beta1.VPSieNode, carriers []client.ObjectKey, carried bool) {
	machines = make([]*v1beta1.VPSieNode, len(intents))
	first := 0
	for ; first < min(len(intents), carrierTries) && !carried; first++ {
		intent := intents[first]
		if err := facts.Attach(intent, record); err != nil {
			p.log.ErrorContext(ctx, "decision record cannot be encoded", telemetry.KeyDecision, record.ID, telemetry.KeyError, err)
		}
		machines[first], carried = p.writeIntent(ctx, intent)
		if machines[first] == intent {
			carriers = append(carriers, client.ObjectKeyFromObject(intent))
		}
	}
	if !carried {
		return machines, carriers, false
	}
	var writers errgroup.Group
	writers.SetLimit(writersMax)
	for i := first; i < len(intents); i++ {
		writers.Go(func() error {
			machines[i], _ = p.writeIntent(ctx, intents[i])
			return nil
		})
	}
	_ = writers.Wait() // each writer has handled its own error
	return machines, carriers, true
}

// writeIntent writes an intent and returns what is there then: the intent, that of another planner that decided on the same
// batch, or nil; and whether the intent is surely written.
func (p *Planner) writeIntent(ctx context.Context, intent *v1beta1.VPSieNode) (*v1beta1.VPSieNode, bool) {
	if ctx.Err() != nil {
		return nil, false // nothing is sent
	}
	err := p.store.Create(ctx, intent)
	if apierrors.IsAlreadyExists(err) {
		there := &v1beta1.VPSieNode{}
		if err = p.live.Get(ctx, client.ObjectKeyFromObject(intent), there); err == nil {
			return there, false
		}
		// Something is there and cannot be read: until then it counts as what this decision wanted, and not as its own.
		if !apierrors.IsNotFound(err) {
			there = intent.DeepCopy()
			there.Spec.DecisionID = ""
			return there, false
		}
	}
	if err != nil && wasRefused(err) {
		p.log.WarnContext(ctx, "VPSieNode not created; the next plan repeats it", telemetry.KeyVPSieNode, intent.Namespace+"/"+intent.Name, telemetry.KeyError, err)
		return nil, false
	}
	// After an unclear answer it counts as written until the cache had the time to show it.
	return intent, err == nil
}

// wasRefused tells an answer that says no from one that was lost.
func wasRefused(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code >= 400 && status.Status().Code < 500
}

// basisBytes are enough of a hash to tell one batch of the feed from all others of a group.
const basisBytes = 10

// intentNames names machines after their group and the batch of the feed that asked for them, so that planners which decide on the same batch
// write the same names, however much each launches at once. Names that an earlier plan on the batch gave are passed over, so that this one's machines
// are others.
func intentNames(group *v1beta1.NodeGroup, s scaling.Snapshot, count int) []string {
	prefix := strings.TrimRight(group.Name[:min(len(group.Name), groupCharsMax)], "-.")
	basis := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%s", s.Epoch, s.Revision, group.UID))
	encoded := strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(basis[:basisBytes]))
	taken := map[string]bool{}
	for _, m := range s.Machines {
		taken[m.Namespace+"/"+m.Name] = true
	}
	names := make([]string, 0, count)
	for number := 0; len(names) < count; number++ {
		if name := fmt.Sprintf("%s-%s-%d", prefix, encoded, number); !taken[group.Namespace+"/"+name] {
			names = append(names, name)
		}
	}
	return names
}

// intent is the VPSieNode of one machine.
func (p *Planner) intent(ctx context.Context, group *v1beta1.NodeGroup, id, name string, m scaling.Machine, why string) *v1beta1.VPSieNode {
	nominations := v1beta1.NominationsDone
	if p.config.Nominate && len(m.Planned) > 0 {
		nominations = v1beta1.NominationsPending
	}
	return &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: group.Namespace, Name: name,
			Labels: map[string]string{v1beta1.LabelNodeGroup: group.Name, v1beta1.LabelCluster: group.Spec.Cluster.Identifier},
			Annotations: map[string]string{
				v1beta1.AnnotationTraceparent: telemetry.Traceparent(ctx), v1beta1.AnnotationPlannedPods: fleet.DescribePlannedPods(m.Planned),
				v1beta1.AnnotationNominations: nominations,
			},
			Finalizers: []string{v1beta1.FinalizerMachine},
		},
		Spec: v1beta1.VPSieNodeSpec{
			NodeGroup: group.Name, Offering: m.Offering, OfferingName: m.OfferingName, Cluster: group.Spec.Cluster,
			Origin: v1beta1.OriginScaleUp, Reason: why, DecisionID: id, LaunchDeadline: metav1.Duration{Duration: p.config.LaunchDeadline},
		},
	}
}

// begin starts the span of a decision, below the observation of the largest shape it serves and
// linked to the others'.
func (p *Planner) begin(ctx context.Context, name string, s scaling.Snapshot, pods map[scheduling.ShapeID]int, id string, revision uint64) (context.Context, trace.Span) {
	var first scheduling.ShapeID
	var links []trace.Link
	for shape, n := range pods {
		if s.Pending[shape] == nil || s.Pending[shape].Traceparent == "" {
			continue
		}
		if first == "" || n > pods[first] || n == pods[first] && shape < first {
			first = shape
		}
	}
	for shape := range pods {
		if shape == first || s.Pending[shape] == nil {
			continue
		}
		if sc := trace.SpanContextFromContext(telemetry.ContextWithTraceparent(context.Background(), s.Pending[shape].Traceparent)); sc.IsValid() {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	if first != "" {
		ctx = telemetry.ContextWithTraceparent(ctx, s.Pending[first].Traceparent)
	}
	return telemetry.Tracer().Start(ctx, name, trace.WithLinks(links...), trace.WithAttributes(
		attribute.String("vpsie.decision_id", id), attribute.Int64("vpsie.feed.revision", int64(min(revision, 1<<62)))))
}

// retire asks the provisioner to take machines away, on the condition that they are as the plan saw them.
func (p *Planner) retire(ctx context.Context, s scaling.Snapshot, plan scaling.Plan) {
	var decided []announcement
	for _, r := range plan.Retirements {
		id := p.newID()
		if r.Recommended {
			p.recommendRetirement(ctx, plan, r, id)
			continue
		}
		if span, written := p.retireOne(ctx, s, plan, r, id); written {
			group := findGroup(s, r.Group)
			decided = append(decided, announcement{span, &busv1.RetireDecision{
				DecisionId: id, Namespace: group.Namespace, NodeGroup: group.Name, Cluster: group.Spec.Cluster.Identifier, VpsieNodes: []string{r.Machine},
			}})
		}
	}
	for _, a := range decided {
		d := a.decision
		if err := p.announcer.Publish(trace.ContextWithSpanContext(ctx, a.span), bus.TopicRetire, d.GetNamespace(), d.GetNodeGroup(), d.GetDecisionId(), d); err != nil {
			// The bus is away, so the others would only wait as long.
			p.log.WarnContext(ctx, "decision messages not sent; the provisioner's watch finds the VPSieNodes", telemetry.KeyDecision, d.GetDecisionId(), telemetry.KeyError, err)
			return
		}
	}
}

// announcement is a retirement that is written, and the span of its decision.
type announcement struct {
	span     trace.SpanContext
	decision *busv1.RetireDecision
}

// retireOne writes one retirement, and returns the span of the decision and whether it did.
func (p *Planner) retireOne(ctx context.Context, s scaling.Snapshot, plan scaling.Plan, r scaling.Retirement, id string) (trace.SpanContext, bool) {
	group, machine := findGroup(s, r.Group), findMachine(s, r.Group, r.Machine)
	if group == nil || machine == nil {
		return trace.SpanContext{}, false
	}
	name := "decide scale down"
	if r.Kind == v1beta1.RetireRepair {
		name = "decide repair"
	}
	ctx, span := p.begin(ctx, name, s, nil, id, plan.Basis)
	defer span.End()
	changed := machine.DeepCopy()
	changed.Spec.Retirement = &v1beta1.Retirement{Kind: r.Kind, DecisionID: id, Reason: string(r.Reason), Message: r.Message, PriorityCutoff: new(p.config.PriorityCutoff)}
	record := retirementRecord(plan, r)
	record.Id, record.Cause = id, machine.Spec.DecisionID
	fact := p.complete(ctx, record)
	tell := func() {
		kind := facts.KindOf(record)
		p.metrics.acted(kind, 1)
		p.events.Eventf(group, changed, corev1.EventTypeNormal, string(kind), string(kind), "%s", text.Truncate(r.Message))
	}
	if !p.writeRetirement(ctx, machine, changed, fact) {
		p.unclear[id] = tell
		return trace.SpanContext{}, false
	}
	p.overlay.add(changed, p.clock.Now())
	p.records.Carried(fact, client.ObjectKeyFromObject(changed))
	p.said.change(saidCarried+id, id)
	p.announce(ctx, record)
	tell()
	return span.SpanContext(), true
}

// writeRetirement writes a retirement with its record, and reports whether it is surely written. After an unclear answer it counts as
// written until the cache had the time to show it: the next plan must not have other machines leave to which the pods are to move.
func (p *Planner) writeRetirement(ctx context.Context, machine, changed *v1beta1.VPSieNode, record facts.Fact) bool {
	if ctx.Err() != nil {
		return false // nothing is sent
	}
	p.records.Displace(ctx, facts.MakeRoom(changed)...)
	err := facts.Attach(changed, record)
	if err == nil {
		err = p.store.Patch(ctx, changed, client.MergeFromWithOptions(machine, client.MergeFromWithOptimisticLock{}))
		if err != nil && !wasRefused(err) {
			changed.Generation, changed.ResourceVersion = machine.Generation+1, ""
			p.overlay.add(changed, p.clock.Now())
		}
	}
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		p.log.WarnContext(ctx, "retirement not surely written; a later plan decides again if it was not", telemetry.KeyVPSieNode, changed.Name, telemetry.KeyError, err)
	}
	return err == nil
}

func findGroup(s scaling.Snapshot, name string) *v1beta1.NodeGroup {
	for i := range s.Groups {
		if g := s.Groups[i].NodeGroup; g.Namespace+"/"+g.Name == name {
			return g
		}
	}
	return nil
}

func findMachine(s scaling.Snapshot, group, name string) *v1beta1.VPSieNode {
	namespace, _, _ := strings.Cut(group, "/")
	for _, m := range s.Machines {
		if m.Namespace == namespace && m.Name == name {
			return m
		}
	}
	return nil
}

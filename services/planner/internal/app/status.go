package app

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

const (
	recentDecisionsMax = 10
	actionEvaluate     = "Evaluate"
)

// troubling are the conditions whose turn to False is told in an event.
var troubling = []string{v1beta1.ConditionReady, v1beta1.ConditionAPIHealthy, v1beta1.ConditionCapacityAvailable, v1beta1.ConditionNodesHealthy}

// writeStatus brings each group's status up to date, and writes only what changed.
func (p *Planner) writeStatus(ctx context.Context, s scaling.Snapshot, plan scaling.Plan) {
	for i := range s.Groups {
		group := s.Groups[i].NodeGroup
		report, ok := plan.Groups[group.Namespace+"/"+group.Name]
		if !ok {
			continue
		}
		changed := group.DeepCopy()
		p.apply(changed, report)
		p.summarise(changed)
		if equality.Semantic.DeepEqual(group.Status, changed.Status) {
			continue
		}
		err := p.store.Status().Patch(ctx, changed, client.MergeFromWithOptions(group, client.MergeFromWithOptimisticLock{}))
		switch {
		case err == nil:
			delete(p.unwritten, group.Namespace+"/"+group.Name)
			p.tellTrouble(group, changed)
		case !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
			p.log.WarnContext(ctx, "status is not written", telemetry.KeyNodeGroup, group.Namespace+"/"+group.Name, telemetry.KeyError, err)
		}
	}
}

func (p *Planner) apply(group *v1beta1.NodeGroup, r scaling.Report) {
	st := &group.Status
	st.ObservedGeneration = group.Generation
	st.Nodes, st.ReadyNodes, st.LaunchingNodes, st.LeavingNodes = int32(r.Nodes), int32(r.ReadyNodes), int32(r.LaunchingNodes), int32(r.LeavingNodes)
	st.DesiredNodes, st.PendingPods = int32(r.DesiredNodes), int32(min(r.PendingPods, 1<<30))
	if st.MonthlyCost = ""; r.CostKnown {
		st.MonthlyCost = r.MonthlyCost.Dollars()
	}
	for _, c := range r.Conditions {
		status := map[scaling.Truth]metav1.ConditionStatus{
			scaling.True: metav1.ConditionTrue, scaling.False: metav1.ConditionFalse, scaling.Unknown: metav1.ConditionUnknown,
		}[c.Status]
		kube.SetCondition(&st.Conditions, c.Type, status, group.Generation, c.Reason, c.Message)
	}
}

// summarise puts the group's newest decisions before the older ones.
func (p *Planner) summarise(group *v1beta1.NodeGroup) {
	fresh := slices.Clone(p.unwritten[group.Namespace+"/"+group.Name])
	if len(fresh) == 0 {
		return
	}
	for _, d := range fresh {
		switch d.Kind {
		case kinds[busv1.DecisionKind_DECISION_KIND_SCALE_UP]:
			group.Status.LastScaleUpTime = &d.Time
		case kinds[busv1.DecisionKind_DECISION_KIND_SCALE_DOWN]:
			group.Status.LastScaleDownTime = &d.Time
		}
	}
	slices.Reverse(fresh)
	recent := append(fresh, group.Status.RecentDecisions...)
	group.Status.RecentDecisions = recent[:min(len(recent), recentDecisionsMax)]
}

// tellTrouble says in an event what a condition says, when it turns bad or changes its reason.
func (p *Planner) tellTrouble(before, after *v1beta1.NodeGroup) {
	for _, kind := range troubling {
		was, is := meta.FindStatusCondition(before.Status.Conditions, kind), meta.FindStatusCondition(after.Status.Conditions, kind)
		if is == nil || is.Status != metav1.ConditionFalse || was != nil && was.Status == metav1.ConditionFalse && was.Reason == is.Reason {
			continue
		}
		p.events.Eventf(after, nil, corev1.EventTypeWarning, is.Reason, actionEvaluate, "%s", truncate(is.Message))
	}
}

package app

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

const (
	recentDecisionsMax = 10
	actionEvaluate     = "Evaluate"
	// statusTimeout bounds one write of a status; what is late is written after the next plan.
	statusTimeout = 5 * time.Second
)

// troubling are the conditions whose turn to False is told in an event, ScalingActive where a hold is the reason.
var troubling = []string{v1beta1.ConditionReady, v1beta1.ConditionScalingActive, v1beta1.ConditionAPIHealthy, v1beta1.ConditionCapacityAvailable, v1beta1.ConditionNodesHealthy}

// StatusWriter brings the status of NodeGroups up to date beside planning, which does not wait for it. It writes only what
// changed, for each group the newest that it was told.
type StatusWriter struct {
	store  client.StatusClient
	events events.EventRecorder
	log    *slog.Logger

	mu      sync.Mutex
	changed chan struct{}
	// wanted has the newest word on each group that is still to be written, order their names, oldest first.
	wanted map[string]groupWord
	order  []string
	// decided are decisions that the group's status does not show yet, oldest first.
	decided map[string][]v1beta1.DecisionSummary
	// last is what was last written of each group.
	last map[string]writtenStatus
}

// writtenStatus is a group as a write left it, and the resource versions that the cache may still show instead.
type writtenStatus struct {
	group    *v1beta1.NodeGroup
	replaced []string
}

// groupWord is what is said of a group as a plan saw it.
type groupWord struct {
	group *v1beta1.NodeGroup
	// show changes the status of a copy of the group.
	show func(*v1beta1.NodeGroup)
}

var _ Statuses = (*StatusWriter)(nil)

// NewStatusWriter returns a writer that does nothing until Run.
func NewStatusWriter(store client.StatusClient, recorder events.EventRecorder, log *slog.Logger) *StatusWriter {
	return &StatusWriter{
		store: store, events: recorder, log: log, changed: make(chan struct{}, 1),
		wanted: map[string]groupWord{}, decided: map[string][]v1beta1.DecisionSummary{}, last: map[string]writtenStatus{},
	}
}

// Decided adds a decision to what the status of a group shows next. It never blocks.
func (w *StatusWriter) Decided(group string, decision v1beta1.DecisionSummary) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := append(w.decided[group], decision)
	w.decided[group] = all[max(len(all)-recentDecisionsMax, 0):]
}

// Report says how a group that a plan saw is now. It never blocks, and the group is only read.
func (w *StatusWriter) Report(group *v1beta1.NodeGroup, report scaling.Report) {
	w.say(group, func(g *v1beta1.NodeGroup) { apply(g, report) })
}

// Hold says of a group only that nothing is decided for it, and why. It never blocks, and the group is only read.
func (w *StatusWriter) Hold(group *v1beta1.NodeGroup, why scaling.Refusal) {
	w.say(group, func(g *v1beta1.NodeGroup) { setConditions(g, held(why)) })
}

// held is the condition of a group for which nothing is decided.
func held(why scaling.Refusal) scaling.Condition {
	return scaling.Condition{Type: v1beta1.ConditionScalingActive, Status: scaling.False, Reason: why.Code.Condition(), Message: why.Message}
}

func (w *StatusWriter) say(group *v1beta1.NodeGroup, show func(*v1beta1.NodeGroup)) {
	name := group.Namespace + "/" + group.Name
	w.mu.Lock()
	if _, waits := w.wanted[name]; !waits {
		w.order = append(w.order, name)
	}
	w.wanted[name] = groupWord{group, show}
	w.mu.Unlock()
	wake(w.changed)
}

// Run writes what was reported until ctx ends.
func (w *StatusWriter) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
		}
		for ctx.Err() == nil && w.round(ctx) {
		}
	}
}

// round writes one status for each writer and reports whether there were any.
func (w *StatusWriter) round(ctx context.Context) bool {
	var writers errgroup.Group
	batch := w.next()
	for _, word := range batch {
		writers.Go(func() error {
			w.write(ctx, word)
			return nil
		})
	}
	_ = writers.Wait() // each writer has handled its own error
	return len(batch) > 0
}

func (w *StatusWriter) next() []groupWord {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := min(len(w.order), writersMax)
	batch := make([]groupWord, 0, count)
	for _, name := range w.order[:count] {
		batch = append(batch, w.wanted[name])
		delete(w.wanted, name)
	}
	w.order = w.order[count:]
	return batch
}

// write brings one status up to date. A plan may have seen the group as it was before our last write. What another writer changed
// meanwhile is a conflict, and the plan that the change wakes reports anew.
func (w *StatusWriter) write(ctx context.Context, word groupWord) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	name, base := word.group.Namespace+"/"+word.group.Name, word.group
	w.mu.Lock()
	fresh, last := slices.Clone(w.decided[name]), w.last[name]
	w.mu.Unlock()
	if last.group != nil && last.group.UID == base.UID && slices.Contains(last.replaced, base.ResourceVersion) {
		base = last.group
	} else {
		last = writtenStatus{}
	}
	changed := base.DeepCopy()
	word.show(changed)
	summarise(changed, fresh)
	if equality.Semantic.DeepEqual(base.Status, changed.Status) {
		return
	}
	err := w.store.Status().Patch(ctx, changed, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	switch {
	case err == nil:
		w.shown(name, fresh, writtenStatus{changed, append(last.replaced, base.ResourceVersion)})
		w.tellTrouble(base, changed)
	case apierrors.IsNotFound(err):
		w.forget(name)
	case !apierrors.IsConflict(err):
		w.log.WarnContext(ctx, "status not written; it is repeated", telemetry.KeyNodeGroup, name, telemetry.KeyError, err)
	}
}

// forget drops what is known of a group that is gone.
func (w *StatusWriter) forget(group string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.decided, group)
	delete(w.last, group)
}

// shown notes what was written, and forgets decisions that the status of a group shows by now. Others may have come meanwhile.
func (w *StatusWriter) shown(group string, decisions []v1beta1.DecisionSummary, written writtenStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[group] = written
	left := slices.DeleteFunc(w.decided[group], func(d v1beta1.DecisionSummary) bool {
		return slices.ContainsFunc(decisions, func(s v1beta1.DecisionSummary) bool { return s.ID == d.ID })
	})
	if w.decided[group] = left; len(left) == 0 {
		delete(w.decided, group)
	}
}

func apply(group *v1beta1.NodeGroup, r scaling.Report) {
	st := &group.Status
	st.ObservedGeneration = group.Generation
	st.Nodes, st.ReadyNodes, st.LaunchingNodes, st.LeavingNodes = int32(r.Nodes), int32(r.ReadyNodes), int32(r.LaunchingNodes), int32(r.LeavingNodes)
	st.DesiredNodes, st.PendingPods = int32(r.DesiredNodes), int32(min(r.PendingPods, 1<<30))
	if st.MonthlyCost = ""; r.CostKnown {
		st.MonthlyCost = r.MonthlyCost.Dollars()
	}
	setConditions(group, r.Conditions...)
}

// conditionStatus is a truth as Kubernetes writes it.
var conditionStatus = map[scaling.Truth]metav1.ConditionStatus{
	scaling.True: metav1.ConditionTrue, scaling.False: metav1.ConditionFalse, scaling.Unknown: metav1.ConditionUnknown,
}

func setConditions(group *v1beta1.NodeGroup, conditions ...scaling.Condition) {
	for _, c := range conditions {
		kube.SetCondition(&group.Status.Conditions, c.Type, conditionStatus[c.Status], group.Generation, c.Reason, c.Message)
	}
}

// summarise puts decisions, oldest first, before those that the group shows. It may show them already where the answer to a write was lost.
func summarise(group *v1beta1.NodeGroup, decisions []v1beta1.DecisionSummary) {
	fresh := slices.DeleteFunc(slices.Clone(decisions), func(d v1beta1.DecisionSummary) bool {
		return slices.ContainsFunc(group.Status.RecentDecisions, func(shown v1beta1.DecisionSummary) bool { return shown.ID == d.ID })
	})
	if len(fresh) == 0 {
		return
	}
	for _, d := range fresh {
		switch reason.Kind(d.Kind) {
		case reason.ScaleUp:
			group.Status.LastScaleUpTime = &d.Time
		case reason.ScaleDown:
			group.Status.LastScaleDownTime = &d.Time
		}
	}
	slices.Reverse(fresh)
	recent := append(fresh, group.Status.RecentDecisions...)
	group.Status.RecentDecisions = recent[:min(len(recent), recentDecisionsMax)]
}

// tellTrouble says in an event what a condition says, when it turns bad or changes its reason.
func (w *StatusWriter) tellTrouble(before, after *v1beta1.NodeGroup) {
	for _, kind := range troubling {
		was, is := meta.FindStatusCondition(before.Status.Conditions, kind), meta.FindStatusCondition(after.Status.Conditions, kind)
		if is == nil || is.Status != metav1.ConditionFalse || was != nil && was.Status == metav1.ConditionFalse && was.Reason == is.Reason {
			continue
		}
		if _, hold := reason.Find(is.Reason); kind == v1beta1.ConditionScalingActive && !hold {
			continue // the group is at rest
		}
		w.events.Eventf(after, nil, corev1.EventTypeWarning, is.Reason, actionEvaluate, "%s", text.Truncate(is.Message))
	}
}

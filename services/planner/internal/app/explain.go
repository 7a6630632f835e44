package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// explainedMax bounds the records of one answer: a NodeGroup may have a thousand nodes.
const explainedMax = 500

// Errors of Explanations.
var (
	// ErrNoPlan means that no plan was made since the process was elected.
	ErrNoPlan = errors.New("no plan exists yet; try again in a few seconds")
	// ErrUnknownSubject means that the last plan knows no such pod, node or group.
	ErrUnknownSubject = errors.New("not part of the last plan")
)

// Explanations answer what the last complete plan says. They are safe for concurrent use.
type Explanations struct {
	mu       sync.Mutex
	snapshot scaling.Snapshot
	plan     scaling.Plan
	at       time.Time
	// held says why the plan is not carried out or made anew, the zero Refusal where it is.
	held scaling.Refusal
}

// NewExplanations returns explanations that know no plan yet.
func NewExplanations() *Explanations { return &Explanations{} }

// Explanation is what a plan, made at a time, says of one subject.
type Explanation struct {
	PlannedAt time.Time
	// Records are a hold of all planning first, then acts, then refusals; Omitted counts those beyond explainedMax. They have neither id nor time.
	Records []*busv1.DecisionRecord
	Omitted int
}

// show replaces the plan that is explained. Neither may be changed afterwards.
func (e *Explanations) show(s scaling.Snapshot, plan scaling.Plan, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snapshot, e.plan, e.at = s, plan, at
}

// hold says why the last plan is not carried out or made anew; the zero Refusal says that it is.
func (e *Explanations) hold(why scaling.Refusal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = why
}

// newest is the plan that is explained.
func (e *Explanations) newest() (*explained, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	held := e.held
	switch {
	case e.at.IsZero() && held.Code != "":
		return nil, fmt.Errorf("%w: %s", ErrNoPlan, held.Message)
	case e.at.IsZero():
		return nil, ErrNoPlan
	case held.Code == "" && e.snapshot.Paused != "":
		held = scaling.Refusal{Code: reason.HoldPaused, Message: e.snapshot.Paused, Parameters: reason.UntilOf(e.snapshot.PausedUntil)}
	}
	return &explained{snapshot: e.snapshot, plan: e.plan, at: e.at, held: held}, nil
}

// Pod explains a waiting pod, named namespace/name. The feed names some pods of each shape; of others the shape must be asked for.
func (e *Explanations) Pod(name string) (Explanation, error) {
	x, err := e.newest()
	if err != nil {
		return Explanation{}, err
	}
	for id, pending := range x.snapshot.Pending {
		for _, pod := range pending.Sample {
			if pod.Namespace+"/"+pod.Name == name {
				return x.shape(id, pod)
			}
		}
	}
	return Explanation{}, fmt.Errorf("pod %q: %w: it is not pending, or many pods of its shape are; name one of the oldest pods of its workload", name, ErrUnknownSubject)
}

// Shape explains the waiting pods of a shape.
func (e *Explanations) Shape(id string) (Explanation, error) {
	x, err := e.newest()
	if err != nil {
		return Explanation{}, err
	}
	pending := x.snapshot.Pending[scheduling.ShapeID(id)]
	if pending == nil || len(pending.Sample) == 0 {
		return Explanation{}, fmt.Errorf("shape %q: %w: no pod of this shape is pending", id, ErrUnknownSubject)
	}
	return x.shape(scheduling.ShapeID(id), pending.Sample[0])
}

// Node explains why a node stays or goes.
func (e *Explanations) Node(name string) (Explanation, error) {
	x, err := e.newest()
	if err != nil {
		return Explanation{}, err
	}
	if records := x.ofNode(name); len(records) > 0 || x.held.Code != "" && x.plan.NodeGroups[name] != "" {
		return x.answer(records, x.plan.NodeGroups[name]), nil
	}
	return Explanation{}, fmt.Errorf("node %q: %w: no NodeGroup manages it, or its machine is leaving", name, ErrUnknownSubject)
}

// NodeGroup explains what a group, named namespace/name, launches and retires, and why it does no more.
func (e *Explanations) NodeGroup(name string) (Explanation, error) {
	x, err := e.newest()
	if err != nil {
		return Explanation{}, err
	}
	if _, known := x.plan.Groups[name]; !known {
		return Explanation{}, fmt.Errorf("NodeGroup %q: %w", name, ErrUnknownSubject)
	}
	records := x.launches(func(l *scaling.Launch) bool { return l.Group == name })
	nodes := slices.Sorted(maps.Keys(x.plan.NodeGroups))
	nodes = slices.DeleteFunc(nodes, func(node string) bool { return x.plan.NodeGroups[node] != name })
	var kept []*busv1.DecisionRecord
	for _, node := range nodes {
		for _, r := range x.ofNode(node) {
			if r.Kind == busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN {
				kept = append(kept, r)
				continue
			}
			records = append(records, r)
		}
	}
	if _, refused := x.plan.Refused[name]; refused {
		records = append(records, groupRefusalRecord(x.plan, name))
	}
	for _, id := range slices.Sorted(maps.Keys(x.plan.Shapes)) {
		fate := x.plan.Shapes[id]
		if refusal, refused := fate.ByGroup[name]; refused {
			fate.Refusal, fate.Nearest = refusal, name
			fate.Candidates = slices.DeleteFunc(slices.Clone(fate.Candidates), func(c scaling.Candidate) bool { return c.Group != name })
			records = append(records, refusalRecord(x.plan, x.sample(id), fate, id))
		}
	}
	return x.answer(append(records, kept...), name), nil
}

// explained is one plan and what it was made on.
type explained struct {
	snapshot scaling.Snapshot
	plan     scaling.Plan
	at       time.Time
	held     scaling.Refusal
}

// answer tells of a hold first. The group is the one that is asked for, empty where it is another subject.
func (x *explained) answer(records []*busv1.DecisionRecord, group string) Explanation {
	if x.held.Code != "" {
		records = append([]*busv1.DecisionRecord{holdRecord(x.held, group)}, records...)
	}
	shown := records[:min(len(records), explainedMax)]
	return Explanation{PlannedAt: x.at, Records: shown, Omitted: len(records) - len(shown)}
}

func (x *explained) sample(id scheduling.ShapeID) scheduling.PodReference {
	if pending := x.snapshot.Pending[id]; pending != nil && len(pending.Sample) > 0 {
		return pending.Sample[0]
	}
	return scheduling.PodReference{}
}

// shape tells of the launches for the waiting pods of a shape, of those that fit without one, and of those that nothing serves.
func (x *explained) shape(id scheduling.ShapeID, pod scheduling.PodReference) (Explanation, error) {
	fate, known := x.plan.Shapes[id]
	if !known {
		return Explanation{}, fmt.Errorf("pod %q: %w: it was created after the last plan", pod.Namespace+"/"+pod.Name, ErrUnknownSubject)
	}
	records := x.launches(func(l *scaling.Launch) bool { return l.Pods[id] > 0 })
	if fits := fate.OnExisting + fate.OnLaunching + fate.Nominated; fits > 0 {
		served := fate
		served.Left, served.Held, served.Candidates, served.Nearest = fits, 0, nil, ""
		served.Refusal = scaling.Refusal{Code: reason.NoScaleUpFits, Message: fmt.Sprintf(
			"of %d pending pods of this shape, %d fit on existing Nodes, %d fit on Nodes of machines being launched, and %d are nominated to a Node",
			fate.Pods, fate.OnExisting, fate.OnLaunching, fate.Nominated)}
		records = append(records, refusalRecord(x.plan, pod, served, id))
	}
	if fate.Left+fate.Held > 0 && fate.Refusal.Code != "" {
		records = append(records, refusalRecord(x.plan, pod, fate, id))
	}
	return x.answer(records, fate.Nearest), nil
}

func (x *explained) launches(of func(*scaling.Launch) bool) []*busv1.DecisionRecord {
	var records []*busv1.DecisionRecord
	for i := range x.plan.Launches {
		l := &x.plan.Launches[i]
		if !of(l) {
			continue
		}
		r := launchRecord(x.plan, l)
		if l.Recommended {
			r.Kind, r.Reason = busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, string(reason.NoScaleUpGroupRecommend)
		}
		records = append(records, r)
	}
	return records
}

// ofNode tells why a node stays or goes, in at most one record.
func (x *explained) ofNode(name string) []*busv1.DecisionRecord {
	for _, retirement := range x.plan.Retirements {
		if retirement.Node != name {
			continue
		}
		r := retirementRecord(x.plan, retirement)
		if retirement.Recommended {
			r.Kind, r.Reason = busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN, string(reason.NoScaleDownGroupRecommend)
		}
		return []*busv1.DecisionRecord{r}
	}
	if refusal, kept := x.plan.Kept[name]; kept {
		return []*busv1.DecisionRecord{keptRecord(x.plan, name, refusal)}
	}
	for _, m := range x.snapshot.Machines {
		if fleet.NodeName(m) == name && m.Status.Phase == v1beta1.PhaseJoining && !fleet.IsLeaving(m) {
			return []*busv1.DecisionRecord{keptRecord(x.plan, name, scaling.Refusal{Code: reason.NoScaleDownNodeNotReady, Message: "its machine is joining, so whether the Node is needed is not asked yet"})}
		}
	}
	return nil
}

package app

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// refusal asks the guards whether a machine may be drained now, on fresh reads: what was seen when it was decided may have changed
// since. The node is nil when there is none. It returns a *pausedError while everything is paused.
func (r *Nodes) refusal(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node, pods []*corev1.Pod, group *v1beta1.NodeGroup) (disruption.Refusal, error) {
	kind := disruption.KindOf(n)
	v := &disruption.View{Kind: kind, Now: r.clock.Now(), Machine: n}
	v.Group, v.IsMissing, v.Node = disruption.Known(group), n.Status.MissingSince != nil, viewNode(node)
	var unknown *pausedError
	if v.Paused, unknown = viewPause(ctx, r.brake); unknown != nil {
		return disruption.Refusal{}, unknown
	}
	if err := r.viewPods(ctx, v, node, pods); err != nil {
		return disruption.Refusal{}, err
	}
	if kind == v1beta1.RetireScaleDown || kind == v1beta1.RetireReplace {
		if err := r.viewOthers(ctx, v, n, group); err != nil {
			return disruption.Refusal{}, err
		}
	}
	var failed error
	v.Together = disruption.Known(func() (string, time.Time) {
		why, err := r.together(ctx, n, node == nil || v.IsMissing)
		failed = err
		return why, time.Time{}
	})
	refusal := disruption.First(disruption.Act, v)
	if refusal.Code == reason.HoldPaused {
		return disruption.Refusal{}, &pausedError{refusal.Code, refusal.Message, refusal.Until} // not even the drain timeout goes on
	}
	return refusal, failed
}

// viewPause is what guards judge of a pause. It returns a *pausedError where nobody knows.
func viewPause(ctx context.Context, b Brake) (disruption.Fact[disruption.Refusal], *pausedError) {
	pause, paused := asPaused(goOn(ctx, b))
	switch {
	case !paused:
		return disruption.Known(disruption.Refusal{}), nil
	case pause.code == reason.HoldPaused:
		return disruption.Known(pause.refusal()), nil
	}
	return disruption.Fact[disruption.Refusal]{}, pause
}

// viewNode is what guards judge of a Node, which is nil when there is none.
func viewNode(node *corev1.Node) disruption.Fact[*disruption.NodeFacts] {
	if node == nil {
		return disruption.Known[*disruption.NodeFacts](nil)
	}
	return disruption.Known(&disruption.NodeFacts{
		Name: node.Name, IsReady: disruption.Known(isNodeReady(node)), Protection: disruption.Known(scheduling.NodeProtection(node)),
	})
}

// viewPods adds the pods that were not told to end; without a Node there are none.
func (r *Nodes) viewPods(ctx context.Context, v *disruption.View, node *corev1.Node, pods []*corev1.Pod) error {
	if node == nil {
		v.Pods, v.Utilization = disruption.Known[[]disruption.Pod](nil), disruption.Known[int64](0)
		return nil
	}
	requested, moving := scheduling.Resources{}, []disruption.Pod(nil)
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			v.IsEvicting = true
			continue
		}
		budgets, err := r.systemBudgets(ctx, pod)
		if err != nil {
			return err
		}
		shape := scheduling.ShapeOf(pod, scheduling.PodContext{Budgets: budgets, Now: r.clock.Now()})
		// Who decided has ignored such pods, and each drain would be aborted for what the next decision ignores again.
		// PodDisruptionBudgets bind for them as well.
		if shape.Priority < disruption.PriorityCutoffOf(v.Machine) {
			continue
		}
		requested.Add(shape.Requests, 1)
		name := client.ObjectKeyFromObject(pod).String()
		moving = append(moving, disruption.Pod{
			Name: "pod " + name, Reference: name, Protection: disruption.Known(shape.Protection), Unjudged: disruption.Known(string(shape.Unjudged)),
		})
	}
	v.Pods, v.Utilization = disruption.Known(moving), disruption.Known(scheduling.Utilization(requested, scheduling.ResourcesOf(node.Status.Allocatable)))
	return nil
}

// systemBudgets names the budgets that cover a system pod, which may move only under one. For other
// pods the eviction itself obeys the budgets.
func (r *Nodes) systemBudgets(ctx context.Context, pod *corev1.Pod) ([]string, error) {
	if pod.Namespace != metav1.NamespaceSystem {
		return nil, nil
	}
	var list policyv1.PodDisruptionBudgetList
	if err := r.store.Live.List(ctx, &list, client.InNamespace(pod.Namespace)); err != nil {
		return nil, fmt.Errorf("list PodDisruptionBudgets of %s: %w", pod.Namespace, err)
	}
	var names []string
	for i := range list.Items {
		selector, err := metav1.LabelSelectorAsSelector(list.Items[i].Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, pod.Namespace+"/"+list.Items[i].Name)
		}
	}
	return names, nil
}

// viewOthers adds the machines that would stay, those that replace this one, and those that it replaces.
func (r *Nodes) viewOthers(ctx context.Context, v *disruption.View, n *v1beta1.VPSieNode, group *v1beta1.NodeGroup) error {
	all, err := r.store.allNodes(ctx)
	if err != nil {
		return err
	}
	staying, err := r.staying(ctx, n, group, all)
	if err != nil {
		return err
	}
	replaced, replacements := []disruption.Replaced(nil), []disruption.Replacement(nil)
	for _, other := range all {
		state := machine.StateOf(other)
		if disruption.Replaces(n, other) && state != v1beta1.PhaseFailed {
			replaced = append(replaced, disruption.Replaced{Name: other.Name, Stays: !fleet.IsRetired(other)})
		}
		if !disruption.Replaces(other, n) {
			continue
		}
		replacement, err := r.replacement(ctx, other)
		if err != nil {
			return err
		}
		replacements = append(replacements, replacement)
	}
	v.Staying, v.Replaced, v.Replacements = disruption.Known(staying), disruption.Known(replaced), disruption.Known(replacements)
	return nil
}

// staying counts the group's other machines that work and that nobody asked to leave. It reads no more Nodes than minNodes needs.
func (r *Nodes) staying(ctx context.Context, n *v1beta1.VPSieNode, group *v1beta1.NodeGroup, all []*v1beta1.VPSieNode) (int, error) {
	count := 0
	for _, other := range all {
		if group == nil || count >= int(group.Spec.MinNodes) {
			break
		}
		if fleet.GroupOf(other) != fleet.GroupOf(n) || other.Name == n.Name || machine.StateOf(other) != v1beta1.PhaseReady || fleet.IsRetired(other) {
			continue
		}
		node, _, err := r.nodeOf(ctx, other)
		if err != nil {
			return 0, err
		}
		if node != nil && isNodeReady(node) {
			count++
		}
	}
	return count, nil
}

// replacement tells how far a machine is that takes the place of another: pods must be able to go there.
func (r *Nodes) replacement(ctx context.Context, n *v1beta1.VPSieNode) (disruption.Replacement, error) {
	out := disruption.ReplacementOf(n, false, fleet.IsRetired(n) || machine.StateOf(n) == v1beta1.PhaseFailed)
	if out.HasFailed || machine.StateOf(n) != v1beta1.PhaseReady {
		return out, nil
	}
	node, _, err := r.nodeOf(ctx, n)
	if err != nil {
		return out, err
	}
	out.IsReady = node != nil && isNodeReady(node) && !node.Spec.Unschedulable && !hasTaint(node, v1beta1.TaintOpening)
	return out, nil
}

func (r *Nodes) groupOf(ctx context.Context, n *v1beta1.VPSieNode) (*v1beta1.NodeGroup, error) {
	return r.store.groupOf(ctx, n)
}

// groupOf reads the machine's NodeGroup live; nil means that it is gone.
func (s *Store) groupOf(ctx context.Context, n *v1beta1.VPSieNode) (*v1beta1.NodeGroup, error) {
	group := &v1beta1.NodeGroup{}
	err := s.Live.Get(ctx, client.ObjectKey{Namespace: n.Namespace, Name: n.Spec.NodeGroup}, group)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return group, err
}

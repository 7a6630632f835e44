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
	v := &disruption.View{Kind: disruption.KindOf(n), Now: r.clock.Now(), Group: group, Machine: n, IsMissing: n.Status.MissingSince != nil}
	state, err := r.brake.State(ctx)
	if err != nil {
		return disruption.Refusal{}, err
	}
	if state.Paused {
		v.Paused = state.Message
	}
	if node != nil {
		v.Node = viewNode(node)
		if err := r.viewPods(ctx, v, node, pods); err != nil {
			return disruption.Refusal{}, err
		}
	}
	if v.Kind == v1beta1.RetireScaleDown || v.Kind == v1beta1.RetireReplace {
		if err := r.viewOthers(ctx, v, n); err != nil {
			return disruption.Refusal{}, err
		}
	}
	var failed error
	v.Together = func() (string, time.Time) {
		why, err := r.together(ctx, n, node == nil || v.IsMissing)
		failed = err
		return why, time.Time{}
	}
	refusal := disruption.First(disruption.Act, v)
	if refusal.Code == reason.HoldPaused {
		return disruption.Refusal{}, &pausedError{state} // not even the drain timeout goes on
	}
	return refusal, failed
}

func viewNode(node *corev1.Node) *disruption.Node {
	return &disruption.Node{Name: node.Name, IsReady: isNodeReady(node), Protection: scheduling.NodeProtection(node)}
}

// viewPods adds the pods that were not told to end.
func (r *Nodes) viewPods(ctx context.Context, v *disruption.View, node *corev1.Node, pods []*corev1.Pod) error {
	requested := scheduling.Resources{}
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
		// The planner ignores such pods, and each drain would be given up for what the next decision ignores again.
		// PodDisruptionBudgets bind for them as well.
		if shape.Priority < r.config.PriorityCutoff {
			continue
		}
		requested.Add(shape.Requests, 1)
		v.Pods = append(v.Pods, disruption.Pod{
			Name: fmt.Sprintf("pod %s/%s", pod.Namespace, pod.Name), Protection: shape.Protection, Unjudged: string(shape.Unjudged),
		})
	}
	v.Utilization = scheduling.Utilization(requested, scheduling.ResourcesOf(node.Status.Allocatable))
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
func (r *Nodes) viewOthers(ctx context.Context, v *disruption.View, n *v1beta1.VPSieNode) error {
	all, err := r.store.allNodes(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		state := machine.StateOf(other)
		if fleet.GroupOf(other) == fleet.GroupOf(n) && other.Name != n.Name && state == v1beta1.PhaseReady && !fleet.IsRetired(other) {
			v.Staying++
		}
		if disruption.Replaces(n, other) && state != v1beta1.PhaseFailed {
			v.Replaced = append(v.Replaced, disruption.Replaced{Name: other.Name, IsLeaving: fleet.IsRetired(other)})
		}
		if !disruption.Replaces(other, n) {
			continue
		}
		replacement, err := r.replacement(ctx, other)
		if err != nil {
			return err
		}
		v.Replacements = append(v.Replacements, replacement)
	}
	return nil
}

// replacement tells how far a machine is that takes the place of another: pods must be able to go there.
func (r *Nodes) replacement(ctx context.Context, n *v1beta1.VPSieNode) (disruption.Replacement, error) {
	out := disruption.Replacement{Name: n.Name, HasFailed: fleet.IsRetired(n) || machine.StateOf(n) == v1beta1.PhaseFailed}
	if at := n.Status.ReadyAt; at != nil {
		out.ReadyAt = at.Time
	}
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

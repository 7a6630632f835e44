package app

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// objection says what forbids the removal of the Node now, read afresh after the taint: what was seen when it
// was decided may have changed since. A person's deletion is not objected to.
func (r *Nodes) objection(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node, pods []*corev1.Pod, group *v1beta1.NodeGroup) (reason.Code, string, error) {
	switch {
	case n.DeletionTimestamp != nil:
		return "", "", nil
	case neverJoined(n):
		if !outage.WasReady(n) && isNodeReady(node) {
			return reason.NoRepairNodeReady, "the Node joined after all", nil
		}
		return "", "", nil
	case isRepair(n):
		return r.repairObjection(ctx, n, node, pods, group)
	case n.Spec.Retirement.Reason == string(reason.OrphanNoGroup):
		if code := scheduling.NodeProtection(node); code != "" {
			return code, protectedNode, nil
		}
		code, why, _, err := r.podObjection(ctx, pods)
		return code, why, err
	}
	return r.planObjection(ctx, n, node, pods, group)
}

// planObjection says what forbids the removal of a Node that the planner found unneeded.
func (r *Nodes) planObjection(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node, pods []*corev1.Pod, group *v1beta1.NodeGroup) (reason.Code, string, error) {
	if sabotage.FreshReadAfterTaint() {
		return "", "", nil
	}
	if group == nil {
		return reason.NoScaleDownDisabled, "the NodeGroup does not exist any more, and no machine goes without one but by hand", nil
	}
	if group.Spec.Mode == v1beta1.ModePaused || group.Spec.Mode == v1beta1.ModeRecommend {
		return reason.NoScaleDownGroupPaused, fmt.Sprintf("the NodeGroup's mode is %s", group.Spec.Mode), nil
	}
	if enabled := group.Spec.ScaleDown.Enabled; enabled != nil && !*enabled {
		return reason.NoScaleDownDisabled, "scale-down was switched off for the NodeGroup", nil
	}
	if code := scheduling.NodeProtection(node); code != "" {
		return code, protectedNode, nil
	}
	code, why, requested, err := r.podObjection(ctx, pods)
	if err != nil || why != "" {
		return code, why, err
	}
	evicting := slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil })
	threshold := int64(50)
	if group.Spec.ScaleDown.UtilizationThreshold != nil {
		threshold = int64(*group.Spec.ScaleDown.UtilizationThreshold)
	}
	if use := scheduling.Utilization(requested, scheduling.ResourcesOf(node.Status.Allocatable)); !evicting && len(pods) > 0 && use >= threshold {
		return reason.NoScaleDownUtilization, fmt.Sprintf("pods now request %d%% of the Node, and the threshold is %d%%", use, threshold), nil
	}
	staying, err := r.staying(ctx, n)
	if err != nil {
		return "", "", err
	}
	if staying < int(group.Spec.MinNodes) {
		return reason.NoScaleDownMinSize, fmt.Sprintf("the other nodes that would stay (%d) are fewer than minNodes (%d)", staying, group.Spec.MinNodes), nil
	}
	return "", "", nil
}

// repairObjection says what forbids the replacement of a machine that does not work, read afresh. The node is
// nil when there is none.
func (r *Nodes) repairObjection(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node, pods []*corev1.Pod, group *v1beta1.NodeGroup) (reason.Code, string, error) {
	// VPSie itself says of such a machine that it does not exist: nothing runs there, and nothing is lost.
	vanished := n.Spec.Retirement.Reason == string(reason.RepairMachineMissing)
	switch {
	case node != nil && isNodeReady(node):
		return reason.NoRepairNodeReady, "the Node is Ready again", nil
	case node != nil && scheduling.NodeProtection(node) != "":
		return scheduling.NodeProtection(node), protectedNode, nil
	case group == nil && !vanished:
		return reason.NoScaleDownDisabled, "the NodeGroup does not exist any more, and no machine goes without one but by hand", nil
	case group != nil && group.Spec.Mode != "" && group.Spec.Mode != v1beta1.ModeEnforce:
		return reason.NoScaleDownGroupPaused, fmt.Sprintf("the NodeGroup's mode is %s", group.Spec.Mode), nil
	case group != nil && !vanished && group.Spec.ScaleDown.Enabled != nil && !*group.Spec.ScaleDown.Enabled:
		return reason.NoScaleDownDisabled, "scale-down was switched off for the NodeGroup", nil
	}
	for _, pod := range pods {
		// What Kubernetes has given up ends here; anything else may still run behind a partition.
		shape := scheduling.ShapeOf(pod, scheduling.PodContext{Now: r.clock.Now()})
		if pod.DeletionTimestamp == nil && r.keepsNode(shape) && shape.Protection == reason.NoScaleDownPodProtected {
			return shape.Protection, fmt.Sprintf("pod %s/%s must not be moved (%s), and Kubernetes has not given it up; delete the pod, or its annotation, to let the machine be replaced",
				pod.Namespace, pod.Name, shape.Protection), nil
		}
	}
	fleet, err := r.fleet(ctx)
	if err != nil {
		return "", "", err
	}
	// Where nothing can run, by Kubernetes' or by VPSie's word, one is tried at a time.
	idle := node == nil || vanished
	if why := outage.Stops(fleet.machines, machine.GroupOf(n)); why != "" && (!idle || !r.mayTry(ctx, machine.GroupOf(n))) {
		return reason.NoRepairFailingTogether, why + "; nothing is replaced until that is over", nil
	}
	return "", "", nil
}

// protectedNode says why a Node with a protection stays.
const protectedNode = "the Node is protected by an annotation or label"

// podObjection says which pod must not be moved, and what the pods request that were not told to end.
func (r *Nodes) podObjection(ctx context.Context, pods []*corev1.Pod) (reason.Code, string, scheduling.Resources, error) {
	requested := scheduling.Resources{}
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		budgets, err := r.systemBudgets(ctx, pod)
		if err != nil {
			return "", "", nil, err
		}
		shape := scheduling.ShapeOf(pod, scheduling.PodContext{Budgets: budgets, Now: r.clock.Now()})
		if !r.keepsNode(shape) {
			continue
		}
		if shape.Protection != "" {
			return shape.Protection, fmt.Sprintf("pod %s/%s must not be moved (%s)", pod.Namespace, pod.Name, shape.Protection), nil, nil
		}
		if shape.Unjudged != "" {
			return reason.NoScaleDownPodUnjudged, fmt.Sprintf("where pod %s/%s could go is unknown (%s)", pod.Namespace, pod.Name, shape.Unjudged), nil, nil
		}
		requested.Add(shape.Requests, 1)
	}
	return "", "", requested, nil
}

// keepsNode reports whether what speaks against moving a pod keeps its node: not where the planner ignores the pod for its low
// priority, or each drain would be given up for what the next decision ignores again. PodDisruptionBudgets bind for all pods.
func (r *Nodes) keepsNode(shape scheduling.Shape) bool {
	return shape.Priority >= r.config.PriorityCutoff
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

// staying counts the group's other machines that work and that nobody asked to leave.
func (r *Nodes) staying(ctx context.Context, n *v1beta1.VPSieNode) (int, error) {
	all, err := r.store.allNodes(ctx)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, other := range all {
		if machine.GroupOf(other) == machine.GroupOf(n) && other.Name != n.Name && machine.StateOf(other) == v1beta1.PhaseReady && !machine.IsLeaving(other) {
			count++
		}
	}
	return count, nil
}

// groupOf reads the machine's NodeGroup live; nil means that it is gone.
func (r *Nodes) groupOf(ctx context.Context, n *v1beta1.VPSieNode) (*v1beta1.NodeGroup, error) {
	group := &v1beta1.NodeGroup{}
	err := r.store.Live.Get(ctx, client.ObjectKey{Namespace: n.Namespace, Name: n.Spec.NodeGroup}, group)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return group, err
}

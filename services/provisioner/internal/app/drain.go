package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

const (
	mirrorPod = "kubernetes.io/config.mirror"
	// keyDaemonPod, as an annotation or a label, makes a pod one of a DaemonSet, as users of Cluster Autoscaler know it.
	keyDaemonPod = "cluster-autoscaler.kubernetes.io/daemonset-pod"
	// drainTimeoutDefault stands in for a NodeGroup that is gone.
	drainTimeoutDefault = 15 * time.Minute
	blockersShown       = 5
	// deadPodAge is how long after its grace period a pod on a Node that is not Ready counts as ended.
	deadPodAge = time.Minute
)

// drain evicts the pods of a Node that has been tainted long enough for everybody to see it.
func (r *Nodes) drain(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (time.Duration, error) {
	if err := r.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return 0, err
	}
	if !machine.IsLeaving(n) {
		return 0, r.abort(ctx, n, "", "the retirement was withdrawn")
	}
	pods, err := r.podsOn(ctx, node)
	if err != nil {
		return 0, err
	}
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return 0, err
	}
	code, why, err := r.objection(ctx, n, node, pods, group)
	if err != nil {
		return 0, err
	}
	if why != "" {
		return 0, r.abort(ctx, n, code, why)
	}
	if len(pods) == 0 {
		return 0, r.drained(ctx, n, "no pods are left that would move")
	}
	blocked, err := r.evict(ctx, pods)
	if err != nil {
		return 0, err
	}
	return r.progress(ctx, n, pods, blocked, group)
}

// podsOn reads the pods that must leave before the machine may: not those that leave with their
// node, and not those that have ended.
func (r *Nodes) podsOn(ctx context.Context, node *corev1.Node) ([]*corev1.Pod, error) {
	return r.store.podsOn(ctx, node, r.clock.Now())
}

func (s *Store) podsOn(ctx context.Context, node *corev1.Node, now time.Time) ([]*corev1.Pod, error) {
	var list corev1.PodList
	if err := s.Live.List(ctx, &list, client.MatchingFields{"spec.nodeName": node.Name}); err != nil {
		return nil, fmt.Errorf("list pods of Node %q: %w", node.Name, err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pod := &list.Items[i]
		if leavesWithNode(pod) || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		// A kubelet that is gone ends no pod; what it was told to end long ago holds nobody up.
		if pod.DeletionTimestamp != nil && !isNodeReady(node) && now.Sub(pod.DeletionTimestamp.Time) > deadPodAge {
			continue
		}
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	return pods, nil
}

// leavesWithNode reports whether a pod belongs to its node and ends with it: the kubelet's own and those of DaemonSets.
func leavesWithNode(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return pod.Annotations[mirrorPod] != "" || owner != nil && owner.Kind == "DaemonSet" || pod.Annotations[keyDaemonPod] == "true" || pod.Labels[keyDaemonPod] == "true"
}

// keepsNode reports whether what speaks against moving a pod keeps its node: not where the planner ignores the pod for its low
// priority, or each drain would be given up for what the next decision ignores again. PodDisruptionBudgets bind for all pods.
func (r *Nodes) keepsNode(shape scheduling.Shape) bool {
	return shape.Priority >= r.config.PriorityCutoff
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
		return reason.NoScaleDownMinSize, fmt.Sprintf("only %d other nodes would stay and minNodes is %d", staying, group.Spec.MinNodes), nil
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

// evict asks for the eviction of each pod and returns what stands in the way, in order.
func (r *Nodes) evict(ctx context.Context, pods []*corev1.Pod) ([]string, error) {
	var blocked []string
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		if err := goOn(ctx, r.brake); err != nil {
			return nil, err
		}
		err := r.store.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
			ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
		})
		switch {
		case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
			// Gone, or replaced by another of the same name, which the next look sees.
		case apierrors.IsTooManyRequests(err):
			blocked = append(blocked, fmt.Sprintf("%s/%s (PodDisruptionBudget)", pod.Namespace, pod.Name))
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsInternalError(err):
			blocked = append(blocked, fmt.Sprintf("%s/%s (%s)", pod.Namespace, pod.Name, apierrors.ReasonForError(err)))
		default:
			return nil, fmt.Errorf("evict pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return blocked, nil
}

func drainTimeout(group *v1beta1.NodeGroup) time.Duration {
	if group != nil && group.Spec.ScaleDown.DrainTimeout != nil {
		return group.Spec.ScaleDown.DrainTimeout.Duration
	}
	return drainTimeoutDefault
}

// drainedFor is for how long a drain has gone on, without the time for which its taint settles.
func (r *Nodes) drainedFor(n *v1beta1.VPSieNode) time.Duration {
	return max(r.clock.Now().Sub(n.Status.DrainStartedAt.Time)-r.config.DrainSettle, 0)
}

// progress records how far the drain is, and gives it up when it takes too long.
func (r *Nodes) progress(ctx context.Context, n *v1beta1.VPSieNode, pods []*corev1.Pod, blocked []string, group *v1beta1.NodeGroup) (time.Duration, error) {
	timeout := drainTimeout(group)
	elapsed := r.drainedFor(n)
	why, message := "Draining", "pods were asked to leave and are awaited"
	if len(blocked) > 0 {
		why = "EvictionBlocked"
		message = "pods may not be evicted now: " + strings.Join(blocked[:min(len(blocked), blockersShown)], ", ")
		if more := len(blocked) - blockersShown; more > 0 {
			message += fmt.Sprintf(" and %d more", more)
		}
		message += "; it is tried again until the drain timeout; make room in the budget or protect the node"
	}
	if elapsed >= timeout && n.DeletionTimestamp == nil {
		if len(blocked) == 0 {
			message = fmt.Sprintf("pod %s/%s was evicted but has not ended", pods[0].Namespace, pods[0].Name)
		}
		return 0, r.abort(ctx, n, reason.NoScaleDownDrainFailed, fmt.Sprintf("the drain took longer than %s: %s", timeout, message))
	}
	if _, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionDrained, metav1.ConditionUnknown, why, message)); err != nil {
		return 0, err
	}
	wait := max(drainPoll, min(elapsed/10, drainPollMax))
	if n.DeletionTimestamp == nil {
		wait = min(wait, max(timeout-elapsed, drainPoll))
	}
	return wait, nil
}

// abort gives a drain up: what we cordoned is uncordoned, and only that; then the retirement is
// taken back, so that the planner decides anew.
func (r *Nodes) abort(ctx context.Context, n *v1beta1.VPSieNode, code reason.Code, why string) error {
	node, _, err := r.nodeOf(ctx, n)
	if err != nil {
		return err
	}
	if node != nil {
		if err := r.uncordon(ctx, node); err != nil {
			return err
		}
	}
	if _, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		had := n.Spec.Retirement != nil
		n.Spec.Retirement = nil
		return had
	}); err != nil {
		return err
	}
	written, err := r.store.Change(ctx, n, machine.DrainUndone(code, why))
	if err != nil || !written {
		return err
	}
	r.log.WarnContext(ctx, "drain is given up and undone", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyNode, n.Status.NodeName, telemetry.KeyReason, string(code), telemetry.KeyMessage, why)
	if node != nil {
		r.events.Eventf(node, n, corev1.EventTypeWarning, "ScaleDownFailed", "Drain", "%s", machine.Truncate("node stays and is open again: "+why))
	}
	return nil
}

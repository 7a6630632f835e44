package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

const (
	// launchOutcomePoll is how often a retired intent looks whether its open request was resolved.
	launchOutcomePoll = 5 * time.Second
	drainPoll         = time.Second
	drainPollMax      = 10 * time.Second
	blockersShown     = 5
	// refusedPoll is how often a retirement that waits looks whether it may go on.
	refusedPoll = 5 * time.Second
)

// retire takes a machine that was asked to leave a step further:
//
//	taint → settle → read afresh → evict → read afresh → delete → absent twice → Node → finalizer
//
// Each step is on record before it is taken, so that another process can go on with it. While everything is
// paused the machine stays at its step.
func (r *Nodes) retire(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	wait, err := r.retireUnlessPaused(ctx, n)
	if state, paused := asPaused(err); paused {
		return pausedPoll, r.standStill(ctx, n, state)
	}
	return wait, err
}

func (r *Nodes) retireUnlessPaused(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	swept, err := r.isSwept(ctx, n)
	if err != nil {
		return 0, err
	}
	switch {
	case n.DeletionTimestamp == nil && machine.StateOf(n) == v1beta1.PhaseFailed:
		return 0, r.dropRetirement(ctx, n) // there is nothing to drain or to delete
	case n.DeletionTimestamp == nil && machine.IsAdoption(n) && machine.AwaitsMachine(n, false):
		return launchOutcomePoll, nil // its status follows
	case swept && n.Status.NodeName != "":
		return 0, r.letGo(ctx, n)
	case n.Status.Identifier == "" && (machine.IsOpen(n) || !swept && machine.MayBeAnswered(n, r.clock.Now())):
		_, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionDeleted, metav1.ConditionUnknown, "AwaitingLaunchOutcome",
			"a machine may have been launched; listings are checked for it before the VPSieNode is deleted"))
		return launchOutcomePoll, err
	case n.Status.Identifier == "":
		return 0, r.release(ctx, n, "no machine was launched for it")
	case n.Status.DeleteRequestedAt != nil && !machine.IsAbsent(n):
		return r.closeLateNode(ctx, n) // the cluster's worker deletes and looks
	}
	if err := goOn(ctx, r.brake); err != nil {
		return 0, err
	}
	if machine.IsAbsent(n) {
		return r.finish(ctx, n)
	}
	if err := r.resume(ctx, n); err != nil {
		return 0, err
	}
	node, why, err := r.nodeOf(ctx, n)
	if err != nil {
		return 0, err
	}
	if why != "" {
		// Whether pods run on the machine behind that Node is unknown, so nothing is deleted.
		_, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionDrained, metav1.ConditionUnknown, reasonNotOurs, why+"; the machine is not deleted until this is resolved"))
		return groupPausedPoll, err
	}
	if n.Status.DrainStartedAt == nil {
		if stays, wait, err := r.mayStart(ctx, n, node); err != nil || stays {
			return wait, err
		}
		if err := r.startDrain(ctx, n, node); err != nil {
			return 0, err
		}
	}
	if node == nil {
		return r.goWithoutNode(ctx, n)
	}
	tainted, err := r.cordon(ctx, n, node)
	if err != nil {
		return 0, err
	}
	if wait := r.config.DrainSettle - r.settling.passed(node.Name, r.clock.Now()); wait > 0 {
		return wait, r.unlessTaintIsLost(ctx, n, tainted)
	}
	return r.drain(ctx, n, node)
}

// standStill notes since when a drain waits for the end of a pause.
func (r *Nodes) standStill(ctx context.Context, n *v1beta1.VPSieNode, state brake.State) error {
	_, err := r.store.Change(ctx, n, machine.DrainHeld(reason.HoldPaused.Condition(), state.Message, r.clock.Now()))
	return err
}

// resume goes on with a drain that a pause held: the time that was waited does not count for its timeout.
func (r *Nodes) resume(ctx context.Context, n *v1beta1.VPSieNode) error {
	if n.Status.DrainHeldAt == nil {
		return nil
	}
	_, err := r.store.Change(ctx, n, machine.DrainResumed(r.clock.Now()))
	return err
}

// mayStart asks the guards before anything is done to the Node. It reports whether the machine stays as it is, and when to look again.
func (r *Nodes) mayStart(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (stays bool, wait time.Duration, err error) {
	var pods []*corev1.Pod
	if node != nil {
		if pods, err = r.podsOn(ctx, node); err != nil {
			return false, 0, err
		}
	}
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return false, 0, err
	}
	refusal, err := r.refusal(ctx, n, node, pods, group)
	switch {
	case err != nil || refusal.Code == "":
		return false, 0, err
	case refusal.Waits:
		_, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionDrained, metav1.ConditionUnknown, refusal.Code.Condition(), refusal.Message))
		return true, refusedPoll, err
	}
	return true, 0, r.refuse(ctx, n, node, refusal)
}

// refuse takes a retirement back whose Node was never tainted.
func (r *Nodes) refuse(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node, refusal disruption.Refusal) error {
	// On record first: without it the planner would decide the same again at once.
	if _, err := r.store.Change(ctx, n, machine.RetirementRefused(refusal.Code, refusal.Message, r.clock.Now())); err != nil {
		return err
	}
	if err := r.withdraw(ctx, n); err != nil {
		return err
	}
	r.store.record(ctx, r.log, n, reason.NoScaleDown, refusal.Code, refusal.Message)
	r.log.WarnContext(ctx, "retirement refused", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyNode, n.Status.NodeName, telemetry.KeyReason, string(refusal.Code), telemetry.KeyMessage, refusal.Message)
	if node != nil {
		r.events.Eventf(node, n, corev1.EventTypeWarning, "ScaleDownFailed", "Drain", "%s", machine.Truncate("retirement refused: "+refusal.Message))
	}
	return nil
}

// withdraw takes the retirement off a machine that stays.
func (r *Nodes) withdraw(ctx context.Context, n *v1beta1.VPSieNode) error {
	_, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		had := n.Spec.Retirement != nil
		n.Spec.Retirement = nil
		return had
	})
	return err
}

// startDrain writes the intent to drain.
func (r *Nodes) startDrain(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) error {
	message := "the VPSieNode was deleted by a person or a tool"
	if n.Spec.Retirement != nil {
		message = n.Spec.Retirement.Message
	}
	written, err := r.store.Change(ctx, n, machine.DrainStarted(message, r.clock.Now()))
	if err != nil {
		return err
	}
	if n.Status.DrainStartedAt == nil {
		return fmt.Errorf("drain of %s: the retirement was withdrawn", fleet.Key(n))
	}
	if written {
		r.log.InfoContext(ctx, "drain starts", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyNode, n.Status.NodeName, telemetry.KeyMessage, message)
		if node != nil {
			r.events.Eventf(node, n, corev1.EventTypeNormal, "ScaleDown", "Drain", "%s", machine.Truncate("node is drained and its machine terminated: "+message))
		}
	}
	return nil
}

// unlessTaintIsLost gives a drain up whose time is over and whose Node has no taint again: another component takes it off each time.
func (r *Nodes) unlessTaintIsLost(ctx context.Context, n *v1beta1.VPSieNode, tainted bool) error {
	if !tainted || n.DeletionTimestamp != nil {
		return nil
	}
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return err
	}
	if timeout := disruption.DrainTimeout(group); r.clock.Now().Sub(n.Status.DrainStartedAt.Time) >= timeout {
		return r.abort(ctx, n, reason.NoScaleDownDrainFailed, fmt.Sprintf("our taint was missing from the Node %s after the drain started: it was removed, or never set", timeout))
	}
	return nil
}

// goWithoutNode has a machine deleted that has no Node, so that nothing runs there that Kubernetes knows.
func (r *Nodes) goWithoutNode(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return 0, err
	}
	refusal, err := r.refusal(ctx, n, nil, nil, group)
	switch {
	case err != nil:
		return 0, err
	case refusal.Waits:
		return r.hold(ctx, n, refusal.Code.Condition(), refusal.Message, group)
	case refusal.Code != "":
		return 0, r.abort(ctx, n, refusal.Code, refusal.Message)
	}
	return 0, r.drained(ctx, n, "the machine has no Node")
}

// drain evicts the pods of a Node that has been tainted long enough for everybody to see it.
func (r *Nodes) drain(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (time.Duration, error) {
	if err := r.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return 0, err
	}
	if !fleet.IsRetired(n) {
		return 0, r.abort(ctx, n, reason.NoScaleDownWithdrawn, "the retirement was withdrawn")
	}
	pods, err := r.podsOn(ctx, node)
	if err != nil {
		return 0, err
	}
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return 0, err
	}
	refusal, err := r.refusal(ctx, n, node, pods, group)
	if sabotage.FreshReadAfterTaint() && disruption.KindOf(n) == v1beta1.RetireScaleDown {
		refusal = disruption.Refusal{}
	}
	switch {
	case err != nil:
		return 0, err
	case refusal.Waits:
		return r.hold(ctx, n, refusal.Code.Condition(), refusal.Message, group)
	case refusal.Code != "":
		return 0, r.abort(ctx, n, refusal.Code, refusal.Message)
	}
	if len(pods) == 0 {
		return 0, r.drained(ctx, n, "no pods are left to evict")
	}
	blocked, err := r.evict(ctx, pods)
	if err != nil {
		return 0, err
	}
	return r.progress(ctx, n, pods, blocked, group)
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

// progress records how far the drain is.
func (r *Nodes) progress(ctx context.Context, n *v1beta1.VPSieNode, pods []*corev1.Pod, blocked []string, group *v1beta1.NodeGroup) (time.Duration, error) {
	if len(blocked) == 0 {
		message := "pods are evicted; their termination is awaited"
		if r.isLate(n, group) {
			message = fmt.Sprintf("pod %s/%s was evicted but has not terminated", pods[0].Namespace, pods[0].Name)
		}
		return r.hold(ctx, n, "Draining", message, group)
	}
	message := "pods cannot be evicted now: " + strings.Join(blocked[:min(len(blocked), blockersShown)], ", ")
	if more := len(blocked) - blockersShown; more > 0 {
		message += fmt.Sprintf(" and %d more", more)
	}
	return r.hold(ctx, n, "EvictionBlocked", message+"; eviction is tried again until the drain timeout; make room in the PodDisruptionBudget or protect the node", group)
}

// hold says what a drain waits for, and gives it up when it takes too long.
func (r *Nodes) hold(ctx context.Context, n *v1beta1.VPSieNode, why, message string, group *v1beta1.NodeGroup) (time.Duration, error) {
	timeout, elapsed := disruption.DrainTimeout(group), r.drainedFor(n)
	if r.isLate(n, group) {
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

// isLate reports whether a drain took too long. One that a person wants goes on.
func (r *Nodes) isLate(n *v1beta1.VPSieNode, group *v1beta1.NodeGroup) bool {
	return n.DeletionTimestamp == nil && r.drainedFor(n) >= disruption.DrainTimeout(group)
}

// drainedFor is for how long a drain has gone on, without the time for which its taint settles.
func (r *Nodes) drainedFor(n *v1beta1.VPSieNode) time.Duration {
	return max(r.clock.Now().Sub(n.Status.DrainStartedAt.Time)-r.config.DrainSettle, 0)
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
	if err := r.withdraw(ctx, n); err != nil {
		return err
	}
	written, err := r.store.Change(ctx, n, machine.DrainUndone(code, why, r.clock.Now()))
	if err != nil || !written {
		return err
	}
	r.store.record(ctx, r.log, n, reason.NoScaleDown, code, why)
	r.log.WarnContext(ctx, "drain aborted; node uncordoned", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyNode, n.Status.NodeName, telemetry.KeyReason, string(code), telemetry.KeyMessage, why)
	if node != nil {
		r.events.Eventf(node, n, corev1.EventTypeWarning, "ScaleDownFailed", "Drain", "%s", machine.Truncate("drain aborted; node uncordoned: "+why))
	}
	return nil
}

// drained writes the intent to delete the machine. From here on there is no way back.
func (r *Nodes) drained(ctx context.Context, n *v1beta1.VPSieNode, message string) error {
	_, err := r.store.Change(ctx, n, machine.DeletionDue(message, r.clock.Now()))
	return err
}

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
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/nodegroup"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
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
	if pause, paused := asPaused(err); paused {
		return pausedPoll, r.standStill(ctx, n, pause)
	}
	return wait, err
}

func (r *Nodes) retireUnlessPaused(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	swept, err := r.isSwept(ctx, n)
	if err != nil {
		return 0, err
	}
	switch {
	case machine.IsRefused(n):
		return 0, r.withdraw(ctx, n)
	case n.DeletionTimestamp == nil && machine.StateOf(n) == v1beta1.PhaseFailed:
		return 0, r.dropRetirement(ctx, n) // there is nothing to drain or to delete
	case n.DeletionTimestamp == nil && machine.IsAdoption(n) && machine.AwaitsMachine(n, false):
		return launchOutcomePoll, nil // its status follows
	case swept && n.Status.NodeName != "":
		return 0, r.release(ctx, n)
	case n.Status.Identifier == "" && (machine.IsOpen(n) || !swept && machine.MayBeAnswered(n, r.clock.Now()) || machine.CameLate(n) && !machine.AdoptionEnded(n, r.clock.Now())):
		return launchOutcomePoll, r.waits(ctx, n, v1beta1.ConditionDeleted, disruption.Refusal{
			Code: reason.HoldLaunchOutcome, Message: "a machine may have been launched; listings are checked for it before the VPSieNode is deleted",
		})
	case n.Status.Identifier == "" && machine.IsAdoption(n):
		return 0, r.finalize(ctx, n, abandonedAdoption)
	case n.Status.Identifier == "":
		return 0, r.finalize(ctx, n, "no machine was launched for it")
	case n.Status.DeleteRequestedAt != nil && !fleet.IsAbsent(n):
		return r.closeLateNode(ctx, n) // the cluster's worker deletes and looks
	}
	if err := goOn(ctx, r.brake); err != nil {
		return 0, err
	}
	if fleet.IsAbsent(n) {
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
		return groupPausedPoll, r.waits(ctx, n, v1beta1.ConditionDrained, disruption.Refusal{Code: reason.HoldNodeNotOurs, Message: why + "; the machine is not deleted until this is resolved"})
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
func (r *Nodes) standStill(ctx context.Context, n *v1beta1.VPSieNode, p *pausedError) error {
	_, err := r.store.Decide(ctx, n, decision{reason.Hold, p.code, p.message, reason.UntilOf(p.until)}, machine.DrainHeld(p.code, p.message, r.clock.Now()))
	return err
}

// waits says in a condition what holds a retirement up.
func (r *Nodes) waits(ctx context.Context, n *v1beta1.VPSieNode, condition string, why disruption.Refusal) error {
	_, err := r.store.Decide(ctx, n, decision{reason.Hold, why.Code, why.Message, why.Parameters}, machine.Note(condition, metav1.ConditionUnknown, why.Code.Condition(), why.Message))
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
		_, err := r.store.Decide(ctx, n, decision{reason.Hold, refusal.Code, refusal.Message, refusal.Parameters}, machine.ReplacementAwaited(refusal.Code.Condition(), refusal.Message, r.clock.Now()))
		return true, refusedPoll, err
	}
	return true, 0, r.refuse(ctx, n, node, refusal)
}

// refuse withdraws a retirement whose Node was never tainted.
func (r *Nodes) refuse(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node, refusal disruption.Refusal) error {
	// On record first: without it the planner would decide the same again at once.
	d := decision{reason.NoScaleDown, refusal.Code, refusal.Message, refusal.Parameters}
	if _, err := r.store.Decide(ctx, n, d, machine.RetirementRefused(refusal.Code, refusal.Message, r.clock.Now())); err != nil {
		return err
	}
	if err := r.withdraw(ctx, n); err != nil {
		return err
	}
	r.log.WarnContext(ctx, "retirement refused", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyNode, n.Status.NodeName, telemetry.KeyReason, string(refusal.Code), telemetry.KeyMessage, refusal.Message)
	if node != nil {
		r.events.Eventf(node, n, corev1.EventTypeWarning, "ScaleDownFailed", "Drain", "%s", text.Truncate("retirement refused: "+refusal.Message))
	}
	return nil
}

// withdraw takes the retirement that was refused off a machine that stays.
func (r *Nodes) withdraw(ctx context.Context, n *v1beta1.VPSieNode) error {
	_, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		refused := machine.IsRefused(n)
		if refused {
			n.Spec.Retirement = nil
		}
		return refused
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
			r.events.Eventf(node, n, corev1.EventTypeNormal, "ScaleDown", "Drain", "%s", text.Truncate("node is drained and its machine terminated: "+message))
		}
	}
	return nil
}

// unlessTaintIsLost aborts a drain whose time is over and whose Node has no taint again: another component takes it off each time.
func (r *Nodes) unlessTaintIsLost(ctx context.Context, n *v1beta1.VPSieNode, tainted bool) error {
	if !tainted || n.DeletionTimestamp != nil {
		return nil
	}
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return err
	}
	if timeout := nodegroup.PolicyOf(group).ScaleDown.DrainTimeout; r.clock.Now().Sub(n.Status.DrainStartedAt.Time) >= timeout {
		return r.abort(ctx, n, disruption.Refusal{
			Code: reason.NoScaleDownDrainFailed, Message: fmt.Sprintf("our taint was missing from the Node %s after the drain started: it was removed, or never set", timeout),
		})
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
		return r.hold(ctx, n, refusal, group)
	case refusal.Code != "":
		return 0, r.abort(ctx, n, refusal)
	}
	return 0, r.drained(ctx, n, "the machine has no Node")
}

// drain evicts the pods of a Node that has been tainted long enough for everybody to see it.
func (r *Nodes) drain(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (time.Duration, error) {
	if err := r.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return 0, err
	}
	if !fleet.IsRetired(n) {
		return 0, r.abort(ctx, n, disruption.Refusal{Code: reason.NoScaleDownWithdrawn, Message: "the retirement was withdrawn"})
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
		return r.hold(ctx, n, refusal, group)
	case refusal.Code != "":
		return 0, r.abort(ctx, n, refusal)
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

// blockade is a pod, as namespace/name, whose eviction is refused.
type blockade struct{ pod, why string }

// evict asks for the eviction of each pod and returns what stands in the way, in order.
func (r *Nodes) evict(ctx context.Context, pods []*corev1.Pod) ([]blockade, error) {
	var blocked []blockade
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
			blocked = append(blocked, blockade{client.ObjectKeyFromObject(pod).String(), "PodDisruptionBudget"})
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsInternalError(err):
			blocked = append(blocked, blockade{client.ObjectKeyFromObject(pod).String(), string(apierrors.ReasonForError(err))})
		default:
			return nil, fmt.Errorf("evict pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return blocked, nil
}

// progress records how far the drain is.
func (r *Nodes) progress(ctx context.Context, n *v1beta1.VPSieNode, pods []*corev1.Pod, blocked []blockade, group *v1beta1.NodeGroup) (time.Duration, error) {
	if len(blocked) == 0 {
		message, last := "pods are evicted; their termination is awaited", client.ObjectKeyFromObject(pods[0]).String()
		if n.DeletionTimestamp != nil && r.drainedFor(n) >= nodegroup.PolicyOf(group).ScaleDown.DrainTimeout {
			return r.hold(ctx, n, disruption.Refusal{
				Code: reason.HoldPodTerminating, Message: "pod " + last + " was evicted but has not terminated; a person deleted the VPSieNode, so this is waited for",
				Parameters: reason.Values{reason.ParamPod: last},
			}, group)
		}
		if r.isLate(n, group) {
			message = "pod " + last + " was evicted but has not terminated"
		}
		return r.hold(ctx, n, disruption.Refusal{Message: message}, group)
	}
	var shown []string
	for _, b := range blocked[:min(len(blocked), blockersShown)] {
		shown = append(shown, b.pod+" ("+b.why+")")
	}
	message := "pods cannot be evicted now: " + strings.Join(shown, ", ")
	if more := len(blocked) - blockersShown; more > 0 {
		message += fmt.Sprintf(" and %d more", more)
	}
	return r.hold(ctx, n, disruption.Refusal{
		Code: reason.HoldEvictionBlocked, Message: message + "; eviction is tried again until the drain timeout; make room in the PodDisruptionBudget or protect the node",
		Parameters: reason.Values{reason.ParamPod: blocked[0].pod, reason.ParamPods: reason.CountOf(len(blocked))},
	}, group)
}

// hold says what a drain waits for, and aborts it when it takes too long. It has no code where pods only take their time to terminate.
func (r *Nodes) hold(ctx context.Context, n *v1beta1.VPSieNode, why disruption.Refusal, group *v1beta1.NodeGroup) (time.Duration, error) {
	timeout, elapsed := nodegroup.PolicyOf(group).ScaleDown.DrainTimeout, r.drainedFor(n)
	if r.isLate(n, group) {
		return 0, r.abort(ctx, n, disruption.Refusal{Code: reason.NoScaleDownDrainFailed, Message: fmt.Sprintf("the drain took longer than %s: %s", timeout, why.Message)})
	}
	var err error
	if why.Code != "" {
		err = r.waits(ctx, n, v1beta1.ConditionDrained, why)
	} else {
		_, err = r.store.Change(ctx, n, machine.Note(v1beta1.ConditionDrained, metav1.ConditionUnknown, "Draining", why.Message))
	}
	if err != nil {
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
	return n.DeletionTimestamp == nil && r.drainedFor(n) >= nodegroup.PolicyOf(group).ScaleDown.DrainTimeout
}

// drainedFor is for how long a drain has gone on, without the time for which its taint settles.
func (r *Nodes) drainedFor(n *v1beta1.VPSieNode) time.Duration {
	return max(r.clock.Now().Sub(n.Status.DrainStartedAt.Time)-r.config.DrainSettle, 0)
}

// abort ends a drain before its end: what we cordoned is uncordoned, and only that. Then it is on record, and then the retirement is
// withdrawn, so that the planner decides anew.
func (r *Nodes) abort(ctx context.Context, n *v1beta1.VPSieNode, why disruption.Refusal) error {
	node, _, err := r.nodeOf(ctx, n)
	if err != nil {
		return err
	}
	if node != nil {
		if err := r.uncordon(ctx, node); err != nil {
			return err
		}
	}
	aborted, err := r.store.Decide(ctx, n, decision{reason.NoScaleDown, why.Code, why.Message, why.Parameters}, machine.DrainAborted(why.Code, why.Message, r.clock.Now()))
	if err != nil || !aborted {
		return err
	}
	if err := r.withdraw(ctx, n); err != nil {
		return err
	}
	r.log.WarnContext(ctx, "drain aborted; node uncordoned", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyNode, n.Status.NodeName, telemetry.KeyReason, string(why.Code), telemetry.KeyMessage, why.Message)
	if node != nil {
		r.events.Eventf(node, n, corev1.EventTypeWarning, "ScaleDownFailed", "Drain", "%s", text.Truncate("drain aborted; node uncordoned: "+why.Message))
	}
	return nil
}

// drained writes the intent to delete the machine. From here on there is no way back.
func (r *Nodes) drained(ctx context.Context, n *v1beta1.VPSieNode, message string) error {
	_, err := r.store.Change(ctx, n, machine.DeletionDue(message, r.clock.Now()))
	return err
}

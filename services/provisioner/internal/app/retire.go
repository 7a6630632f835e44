package app

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

const (
	// launchOutcomePoll is how often a retired intent looks whether its open request was resolved.
	launchOutcomePoll = 5 * time.Second
	drainPoll         = time.Second
	drainPollMax      = 10 * time.Second
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
		return 0, r.keepAsFailed(ctx, n)
	case n.DeletionTimestamp == nil && machine.IsAdoption(n) && machine.AwaitsMachine(n, false):
		return launchOutcomePoll, nil // its status follows
	case swept && n.Status.NodeName != "":
		return 0, r.letGo(ctx, n)
	case n.Status.Identifier == "" && (machine.IsOpen(n) || !swept && machine.MayBeAnswered(n, r.clock.Now())):
		_, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionDeleted, metav1.ConditionUnknown, "AwaitingLaunchOutcome",
			"a machine may have been bought; it is looked for before the object may go"))
		return launchOutcomePoll, err
	case n.Status.Identifier == "":
		return 0, r.release(ctx, n, "nothing was bought for it")
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
		// Pods may run on the machine behind that Node; nobody knows, so nothing is deleted.
		_, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionDrained, metav1.ConditionUnknown, reasonNotOurs, why+"; the machine is not deleted while that is so"))
		return groupPausedPoll, err
	}
	if n.Status.DrainStartedAt == nil {
		if err := r.startDrain(ctx, n, node); err != nil {
			return 0, err
		}
	}
	if node == nil {
		return 0, r.goWithoutNode(ctx, n)
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

// unlessTaintIsLost gives a drain up whose time is over and whose Node has no taint again: somebody takes it off each time.
func (r *Nodes) unlessTaintIsLost(ctx context.Context, n *v1beta1.VPSieNode, tainted bool) error {
	if !tainted || n.DeletionTimestamp != nil {
		return nil
	}
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return err
	}
	if timeout := drainTimeout(group); r.clock.Now().Sub(n.Status.DrainStartedAt.Time) >= timeout {
		return r.abort(ctx, n, reason.NoScaleDownDrainFailed, fmt.Sprintf("the Node had no taint of ours %s after the drain began: it was taken off, or never put on", timeout))
	}
	return nil
}

// goWithoutNode has a machine deleted that has no Node, so that nothing runs there that Kubernetes knows.
func (r *Nodes) goWithoutNode(ctx context.Context, n *v1beta1.VPSieNode) error {
	if isRepair(n) && n.DeletionTimestamp == nil {
		group, err := r.groupOf(ctx, n)
		if err != nil {
			return err
		}
		code, why, err := r.repairObjection(ctx, n, nil, nil, group)
		if err != nil {
			return err
		}
		if why != "" {
			return r.abort(ctx, n, code, why)
		}
	}
	return r.drained(ctx, n, "the machine has no Node")
}

// closeLateNode keeps pods away from a Node that joined after its machine was given up, and has those move
// that came before: the machine goes in any case.
func (r *Nodes) closeLateNode(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	node, why, err := r.nodeOf(ctx, n)
	if err != nil || node == nil || why != "" {
		return 0, err
	}
	if err := goOn(ctx, r.brake); err != nil {
		return 0, err
	}
	if _, err := r.cordon(ctx, n, node); err != nil {
		return 0, err
	}
	pods, err := r.podsOn(ctx, node)
	if err != nil || len(pods) == 0 {
		return 0, err
	}
	if _, err := r.evict(ctx, pods); err != nil {
		return 0, err
	}
	return drainPoll, nil
}

// standStill notes since when a drain waits for the end of a pause.
func (r *Nodes) standStill(ctx context.Context, n *v1beta1.VPSieNode, state brake.State) error {
	_, err := r.store.Change(ctx, n, machine.DrainHeld(reasonPaused, state.Message, r.clock.Now()))
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

// nodeOf reads the machine's Node live; nil means that there is none. A Node that has the machine's
// name and is not the machine's is not returned, but why it is not.
func (r *Nodes) nodeOf(ctx context.Context, n *v1beta1.VPSieNode) (*corev1.Node, string, error) {
	name := machine.NodeName(n)
	if name == "" {
		return nil, "", nil
	}
	node := &corev1.Node{}
	if err := r.store.Live.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return nil, "", ignoreGone(err)
	}
	if why := disowned(n, node); why != "" {
		return nil, why, nil
	}
	return node, "", nil
}

// startDrain writes the intent to drain.
func (r *Nodes) startDrain(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) error {
	message := "deleted by a person or a tool"
	if n.Spec.Retirement != nil {
		message = n.Spec.Retirement.Message
	}
	written, err := r.store.Change(ctx, n, machine.DrainStarted(message, r.clock.Now()))
	if err != nil {
		return err
	}
	if n.Status.DrainStartedAt == nil {
		return fmt.Errorf("drain of %s: retirement was withdrawn", machine.Key(n))
	}
	if written {
		r.log.InfoContext(ctx, "drain starts", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyNode, n.Status.NodeName, telemetry.KeyMessage, message)
		if node != nil {
			r.events.Eventf(node, n, corev1.EventTypeNormal, "ScaleDown", "Drain", "%s", machine.Truncate("node is drained and deleted: "+message))
		}
	}
	return nil
}

// cordon keeps new pods away from the Node and remembers that it was us. It reports whether the taint had to be put on.
func (r *Nodes) cordon(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) (tainted bool, err error) {
	base := node.DeepCopy()
	if !hasTaint(node, v1beta1.TaintDraining) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: v1beta1.TaintDraining, Value: n.Name, Effect: corev1.TaintEffectNoSchedule})
	}
	if !node.Spec.Unschedulable {
		node.Spec.Unschedulable = true
		if node.Annotations == nil {
			node.Annotations = map[string]string{}
		}
		node.Annotations[v1beta1.AnnotationCordoned] = "true"
	}
	tainted = !hasTaint(base, v1beta1.TaintDraining)
	if tainted {
		r.settling.forget(node.Name) // also if the answer to the patch is lost
	}
	return tainted, r.patchNode(ctx, base, node, !tainted && base.Spec.Unschedulable)
}

// uncordon undoes our taint, and our cordon if it was ours.
func (r *Nodes) uncordon(ctx context.Context, node *corev1.Node) error {
	base := node.DeepCopy()
	taints := node.Spec.Taints[:0:0]
	for _, taint := range node.Spec.Taints {
		if taint.Key != v1beta1.TaintDraining {
			taints = append(taints, taint)
		}
	}
	changed := len(taints) != len(node.Spec.Taints)
	node.Spec.Taints = taints
	r.settling.forget(node.Name) // the next taint settles anew
	if node.Annotations[v1beta1.AnnotationCordoned] != "" {
		delete(node.Annotations, v1beta1.AnnotationCordoned)
		node.Spec.Unschedulable = false
		changed = true
	}
	return r.patchNode(ctx, base, node, !changed)
}

func (r *Nodes) patchNode(ctx context.Context, base, node *corev1.Node, unchanged bool) error {
	if unchanged {
		return nil
	}
	if err := r.store.Patch(ctx, node, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("change Node %q: %w", node.Name, err)
	}
	return nil
}

func hasTaint(node *corev1.Node, key string) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == key {
			return true
		}
	}
	return false
}

// drained writes the intent to delete the machine. From here on there is no way back.
func (r *Nodes) drained(ctx context.Context, n *v1beta1.VPSieNode, message string) error {
	_, err := r.store.Change(ctx, n, machine.DeletionDue(message, r.clock.Now()))
	return err
}

// finish removes what is left of a machine whose absence is confirmed.
func (r *Nodes) finish(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	node, _, err := r.nodeOf(ctx, n)
	if err != nil {
		return 0, err
	}
	if node != nil {
		err := r.store.Delete(ctx, node, client.Preconditions{UID: new(node.UID)})
		if err != nil && !apierrors.IsNotFound(err) {
			return 0, fmt.Errorf("delete Node %q: %w", node.Name, err)
		}
	}
	if n.DeletionTimestamp == nil && neverJoined(n) && machine.LastAttempt(n) != nil {
		return 0, r.keepAsFailed(ctx, n)
	}
	if len(machine.LateAttempts(n, r.clock.Now())) > 0 {
		return 0, r.keepForAnswers(ctx, n)
	}
	return 0, r.release(ctx, n, "VPSie confirmed twice that the machine is absent")
}

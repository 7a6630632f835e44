package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

const (
	// turnPoll is how often a machine that never joined looks whether it is its turn to go.
	turnPoll = 15 * time.Second
)

// isRepair reports whether the machine leaves because it does not work.
func isRepair(n *v1beta1.VPSieNode) bool {
	return n.Spec.Retirement != nil && reason.Code(n.Spec.Retirement.Reason).IsRepair()
}

// neverJoined reports whether the machine leaves because its Node was never Ready.
func neverJoined(n *v1beta1.VPSieNode) bool {
	return n.Spec.Retirement != nil && n.Spec.Retirement.Reason == string(reason.LaunchDeadline)
}

// fleet is all objects and Nodes as they are now.
type fleet struct {
	objects []*v1beta1.VPSieNode
	nodes   map[string]*corev1.Node
	// machines are those that should have a Ready Node, with whether they have none.
	machines []outage.Machine
}

// fleet reads it live.
func (r *Nodes) fleet(ctx context.Context) (fleet, error) {
	all, err := r.store.allNodes(ctx)
	if err != nil {
		return fleet{}, err
	}
	var nodes corev1.NodeList
	if err := r.store.Live.List(ctx, &nodes); err != nil {
		return fleet{}, fmt.Errorf("list Nodes: %w", err)
	}
	f := fleet{objects: all, nodes: make(map[string]*corev1.Node, len(nodes.Items))}
	for i := range nodes.Items {
		f.nodes[nodes.Items[i].Name] = &nodes.Items[i]
	}
	judged := make(map[string]bool, len(all))
	for _, n := range all {
		counts := outage.Counts(n, outage.IsOverdue(n, r.clock.Now()))
		if counts {
			node := f.nodes[machine.NodeName(n)]
			f.machines = append(f.machines, outage.Machine{Group: machine.GroupOf(n), Failing: node == nil || !isNodeReady(node)})
		}
		// What is on its way is not failing yet.
		judged[machine.NodeName(n)] = counts || !outage.WasReady(n) && !machine.IsLeaving(n)
	}
	for name, node := range f.nodes {
		if !judged[name] {
			f.machines = append(f.machines, outage.Machine{Failing: !isNodeReady(node)})
		}
	}
	return f, nil
}

// isStuck reports whether a machine cannot be drained because a Node that is not its own has its name: others need not wait for it.
func (f fleet) isStuck(n *v1beta1.VPSieNode) bool {
	node := f.nodes[machine.NodeName(n)]
	return node != nil && n.Status.DeleteRequestedAt == nil && disowned(n, node) != ""
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

// queue is the machines of a group that never joined and wait to be deleted.
type queue struct {
	// tried is when one that fails together with others was last chosen, zero when none was.
	tried time.Time
	// code and why are what keeps all of them, as of at; they are used again for a while, since each look
	// reads every machine.
	code reason.Code
	why  string
	at   time.Time
}

// turnstile lets one goroutine through at a time. Unlike a mutex it may be held while others are asked over the
// network, since who waits for it can be told to stop.
type turnstile chan struct{}

func newTurnstile() turnstile { return make(turnstile, 1) }

func (t turnstile) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turnstile) leave() { <-t }

// queueOf returns a group's queue. The caller has entered the turnstile.
func (r *Nodes) queueOf(group string) *queue {
	if r.queues[group] == nil {
		r.queues[group] = &queue{}
	}
	return r.queues[group]
}

// mayTry reports whether a machine without a Node may go now although many fail together. The planner, which
// asks for it at the same interval, may be a moment early by our clock.
func (r *Nodes) mayTry(ctx context.Context, group string) bool {
	if r.queueing.enter(ctx) != nil {
		return false
	}
	defer r.queueing.leave()
	q, now := r.queueOf(group), r.clock.Now()
	if !q.tried.IsZero() && now.Sub(q.tried) < outage.TrialInterval*9/10 {
		return false
	}
	q.tried = now
	return true
}

// turn says what keeps a machine that never joined from being deleted now; empty when it may go. One goes at a
// time in a group. While many fail together one may be tried at intervals. The caller has entered the turnstile.
func (r *Nodes) turn(ctx context.Context, n *v1beta1.VPSieNode) (reason.Code, string, error) {
	q, now := r.queueOf(machine.GroupOf(n)), r.clock.Now()
	if q.why != "" && now.Sub(q.at) < turnPoll/2 {
		return q.code, q.why, nil
	}
	fleet, err := r.fleet(ctx)
	if err != nil {
		return "", "", err
	}
	q.code, q.why, q.at = "", "", now
	together := outage.Stops(fleet.machines, machine.GroupOf(n))
	goes := func(other *v1beta1.VPSieNode) bool {
		return machine.GroupOf(other) == machine.GroupOf(n) && other.UID != n.UID && neverJoined(other) && other.Status.Identifier != "" && !fleet.isStuck(other)
	}
	switch {
	case slices.ContainsFunc(fleet.objects, goes):
		q.code, q.why = reason.NoRepairOneAtATime, "the machine did not join in time; another one of the group is being deleted for the same reason, and this one follows"
	case together != "" && !q.tried.IsZero() && now.Sub(q.tried) < outage.TrialInterval:
		q.code, q.why = reason.NoRepairFailingTogether, fmt.Sprintf("the machine did not join in time, and %s; one is deleted every %s until that is over; look at what the machines have in common", together, outage.TrialInterval)
	case together != "":
		q.tried = now
	}
	return q.code, q.why, nil
}

// giveUpJoining has a machine deleted whose Node was not Ready by the deadline, once it is its turn.
func (r *Nodes) giveUpJoining(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	if group, err := r.groupOf(ctx, n); err != nil || group != nil && group.Spec.Mode == v1beta1.ModePaused {
		return groupPausedPoll, err
	}
	if err := goOn(ctx, r.brake); err != nil {
		if _, paused := asPaused(err); paused {
			return pausedPoll, nil
		}
		return 0, err
	}
	if err := r.queueing.enter(ctx); err != nil {
		return 0, err
	}
	defer r.queueing.leave()
	code, why, err := r.turn(ctx, n)
	if err != nil {
		return 0, err
	}
	if why != "" {
		_, err := r.store.Change(ctx, n, machine.NodeNotReady(code.Condition(), why))
		return turnPoll, err
	}
	message := fmt.Sprintf("the Node was not Ready within %s of the purchase, so the machine is deleted and the planner decides anew; look at the machine's console if this repeats", n.Spec.LaunchDeadline.Duration)
	written, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		if n.Spec.Retirement != nil || outage.WasReady(n) {
			return false
		}
		n.Spec.Retirement = &v1beta1.Retirement{DecisionID: n.Spec.DecisionID, Reason: string(reason.LaunchDeadline), Message: message}
		return true
	})
	if written {
		r.events.Eventf(n, nil, corev1.EventTypeWarning, reason.LaunchDeadline.Condition(), "Launch", "%s", message)
	}
	return 0, err
}

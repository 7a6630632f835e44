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

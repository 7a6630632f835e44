package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
)

const (
	// turnPoll is how often a machine that never joined looks whether it is its turn to go.
	turnPoll = 15 * time.Second
)

// population is all objects and Nodes as they are now.
type population struct {
	objects []*v1beta1.VPSieNode
	nodes   map[string]*corev1.Node
	// machines are those that should have a Ready Node, with whether they have none.
	machines []outage.Machine
}

// population reads it live.
func (r *Nodes) population(ctx context.Context) (population, error) {
	all, err := r.store.allNodes(ctx)
	if err != nil {
		return population{}, err
	}
	var nodes corev1.NodeList
	if err := r.store.Live.List(ctx, &nodes); err != nil {
		return population{}, fmt.Errorf("list Nodes: %w", err)
	}
	f := population{objects: all, nodes: make(map[string]*corev1.Node, len(nodes.Items))}
	for i := range nodes.Items {
		f.nodes[nodes.Items[i].Name] = &nodes.Items[i]
	}
	judged := make(map[string]bool, len(all))
	for _, n := range all {
		counts := outage.Counts(n, outage.IsOverdue(n, r.clock.Now()))
		if counts {
			node := f.nodes[fleet.NodeName(n)]
			f.machines = append(f.machines, outage.Machine{Group: fleet.GroupOf(n), Failing: node == nil || !isNodeReady(node)})
		}
		// What is on its way is not failing yet.
		judged[fleet.NodeName(n)] = counts || !outage.WasReady(n) && !fleet.IsRetired(n)
	}
	for name, node := range f.nodes {
		if !judged[name] {
			f.machines = append(f.machines, outage.Machine{Failing: !isNodeReady(node)})
		}
	}
	return f, nil
}

// isStuck reports whether a machine cannot be drained because a Node that is not its own has its name: others need not wait for it.
func (f population) isStuck(n *v1beta1.VPSieNode) bool {
	node := f.nodes[fleet.NodeName(n)]
	return node != nil && n.Status.DeleteRequestedAt == nil && disowned(n, node) != ""
}

// queue is the machines of a group that never joined and wait to be deleted.
type queue struct {
	// tried is when one that fails together with others was last chosen, zero when none was, and by which one.
	tried time.Time
	by    types.UID
	// refusal is what keeps all of them, as of at; it is used again for a while, since each look reads every machine.
	refusal disruption.Refusal
	at      time.Time
}

// mayTry reports whether a machine is the one that may go now although many fail together.
func (q *queue) mayTry(n *v1beta1.VPSieNode, now time.Time, interval time.Duration) bool {
	if !q.tried.IsZero() && now.Sub(q.tried) < interval {
		return q.by == n.UID
	}
	q.tried, q.by = now, n.UID
	return true
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

// together says why a machine that is to be repaired stays while many fail together. Where nothing can run, by Kubernetes' or by
// VPSie's word, one is tried at a time.
func (r *Nodes) together(ctx context.Context, n *v1beta1.VPSieNode, idle bool) (string, error) {
	all, err := r.population(ctx)
	if err != nil {
		return "", err
	}
	why := outage.Stops(all.machines, fleet.GroupOf(n))
	if why == "" {
		return "", nil
	}
	if idle {
		if err := r.queueing.enter(ctx); err != nil {
			return "", err
		}
		defer r.queueing.leave()
		// The planner, which asks for it at the same interval, may be a moment early by our clock.
		if r.queueOf(fleet.GroupOf(n)).mayTry(n, r.clock.Now(), outage.TrialInterval*9/10) {
			return "", nil
		}
	}
	return why + "; no machine is repaired until that ends", nil
}

// turn says what keeps a machine that never joined from being deleted now. One goes at a time in a group. While many fail
// together one may be tried at intervals. The caller has entered the turnstile.
func (r *Nodes) turn(ctx context.Context, n *v1beta1.VPSieNode) (disruption.Refusal, error) {
	q, now := r.queueOf(fleet.GroupOf(n)), r.clock.Now()
	if q.refusal.Code != "" && now.Sub(q.at) < turnPoll/2 {
		return q.refusal, nil
	}
	group, err := r.groupOf(ctx, n)
	if err != nil {
		return disruption.Refusal{}, err
	}
	pause, unknown := viewPause(ctx, r.brake)
	if unknown != nil {
		return unknown.refusal(), nil
	}
	all, err := r.population(ctx)
	if err != nil {
		return disruption.Refusal{}, err
	}
	v := &disruption.View{Kind: v1beta1.RetireLaunchFailed, Now: now, Machine: n}
	v.Paused, v.Group = pause, disruption.Known(group)
	goes := func(other *v1beta1.VPSieNode) bool {
		return fleet.GroupOf(other) == fleet.GroupOf(n) && other.UID != n.UID && disruption.IsRetiredFor(other, v1beta1.RetireLaunchFailed) &&
			other.Status.Identifier != "" && !all.isStuck(other)
	}
	busy := ""
	if slices.ContainsFunc(all.objects, goes) {
		busy = "another machine of the group is being terminated for the same reason; this one follows"
	}
	v.Busy = disruption.Known(busy)
	v.Together = disruption.Known(func() (string, time.Time) {
		why := outage.Stops(all.machines, fleet.GroupOf(n))
		if why == "" || busy == "" && q.mayTry(n, now, outage.TrialInterval) {
			return "", time.Time{}
		}
		return fmt.Sprintf("%s; one machine is terminated every %s until that ends; check what the machines have in common", why, outage.TrialInterval), time.Time{}
	})
	q.refusal, q.at = disruption.First(disruption.Decide, v), now
	return q.refusal, nil
}

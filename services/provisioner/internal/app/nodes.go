package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// Nodes takes each machine from its listing to a Ready Node, and from its retirement to the day
// its object may go. It makes no call to VPSie.
type Nodes struct {
	store     *Store
	catalogue *Catalogue
	brake     Brake
	events    events.EventRecorder
	clock     clock.Clock
	config    Config
	log       *slog.Logger

	settling *settling
	// queueing is held while a machine that never joined is chosen to go.
	queueing turnstile
	queues   map[string]*queue
}

// NewNodes returns a reconciler of VPSieNodes.
func NewNodes(store *Store, catalogue *Catalogue, b Brake, recorder events.EventRecorder, c clock.WithTicker, config Config, log *slog.Logger) *Nodes {
	return &Nodes{store: store, catalogue: catalogue, brake: b, events: recorder, clock: c, config: config, log: log, settling: newSettling(), queueing: newTurnstile(), queues: map[string]*queue{}}
}

// Reconcile takes one machine a step further and returns when to look again; zero means when
// something changes.
func (r *Nodes) Reconcile(ctx context.Context, key client.ObjectKey) (time.Duration, error) {
	n := &v1beta1.VPSieNode{}
	if err := r.store.Get(ctx, key, n); err != nil {
		return 0, ignoreGone(err)
	}
	if n.DeletionTimestamp == nil && !controllerutil.ContainsFinalizer(n, v1beta1.FinalizerMachine) {
		// Somebody took it off; without it the object could go before the machine.
		if _, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
			return n.DeletionTimestamp == nil && controllerutil.AddFinalizer(n, v1beta1.FinalizerMachine)
		}); err != nil {
			return 0, ignoreGone(err)
		}
	}
	if machine.IsLeaving(n) {
		wait, err := r.retire(ctx, n)
		return wait, ignoreGone(err)
	}
	switch machine.StateOf(n) {
	case v1beta1.PhaseFailed:
		return r.expire(ctx, n)
	case v1beta1.PhaseDraining:
		// The retirement was withdrawn while the drain went on.
		return r.unlessPaused(ctx, func() error { return r.abort(ctx, n, "", "the retirement was withdrawn") })
	}
	if n.Status.Identifier == "" {
		return 0, nil
	}
	wait, err := r.join(ctx, n)
	return wait, ignoreGone(err)
}

// unlessPaused takes a step, or returns when to try again because everything is paused.
func (r *Nodes) unlessPaused(ctx context.Context, step func() error) (time.Duration, error) {
	err := goOn(ctx, r.brake)
	if err == nil {
		err = step()
	}
	if _, paused := asPaused(err); paused {
		return pausedPoll, nil
	}
	return 0, ignoreGone(err)
}

// expire lets the object of a failed launch go once it has been visible for long enough.
func (r *Nodes) expire(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	since := n.CreationTimestamp.Time
	if a := machine.LastAttempt(n); a != nil {
		since = a.RequestedAt.Time
	}
	keep := failedRetention
	if machine.Answerable(n) != nil {
		keep = machine.AnswerWindow // its machine may turn up, and nothing else knows of it
	}
	if wait := keep - r.clock.Now().Sub(since); wait > 0 && n.Status.Identifier == "" {
		return wait, nil
	}
	return 0, ignoreGone(r.store.Delete(ctx, n, preconditions(n)))
}

// groupPausedPoll is how often a machine that its group's mode keeps is looked at.
const groupPausedPoll = 30 * time.Second

func preconditions(object client.Object) client.Preconditions {
	return client.Preconditions{UID: new(object.GetUID()), ResourceVersion: new(object.GetResourceVersion())}
}

// join connects the machine with its Node.
func (r *Nodes) join(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	node := &corev1.Node{}
	err := r.store.Get(ctx, client.ObjectKey{Name: strings.ToLower(n.Status.Hostname)}, node)
	if apierrors.IsNotFound(err) {
		return r.awaitNode(ctx, n)
	}
	if err != nil {
		return 0, err
	}
	if why := disowned(n, node); why != "" {
		if _, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionRegistered, metav1.ConditionFalse, reasonNotOurs, why)); err != nil {
			return 0, err
		}
		return r.awaitNode(ctx, n)
	}
	if err := r.register(ctx, n, node); err != nil {
		if !apierrors.IsInvalid(err) {
			return 0, err
		}
		// Nothing mends that by itself, so the launch deadline must not wait for it.
		if _, err := r.store.Change(ctx, n, machine.Note(v1beta1.ConditionRegistered, metav1.ConditionFalse, "InvalidTemplate",
			machine.Truncate("Kubernetes refuses what the NodeGroup's template puts on the Node ("+err.Error()+
				"), so the Node is not registered and the machine is deleted at the launch deadline; mend spec.template"))); err != nil {
			return 0, err
		}
		return r.awaitNode(ctx, n)
	}
	opens, err := r.open(ctx, n, node)
	if err != nil {
		return 0, err
	}
	if !isNodeReady(node) && n.Status.ReadyAt == nil {
		wait, err := r.awaitNode(ctx, n)
		return sooner(wait, opens), err
	}
	if err := r.ready(ctx, n, node); err != nil || !hasTaint(node, v1beta1.TaintDraining) {
		return opens, err
	}
	return r.unlessPaused(ctx, func() error { return r.reopen(ctx, n) })
}

// reopen undoes the drain of a machine that stays: whoever began it lost its object, and the machine was adopted.
func (r *Nodes) reopen(ctx context.Context, n *v1beta1.VPSieNode) error {
	if err := r.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return err
	}
	if machine.IsLeaving(n) || n.Status.DrainStartedAt != nil || n.Status.DeleteRequestedAt != nil {
		return nil
	}
	node, _, err := r.nodeOf(ctx, n)
	if err != nil || node == nil {
		return err
	}
	return r.uncordon(ctx, node)
}

// reasonNotOurs is the reason of conditions of a machine whose name a Node has that is not its own.
const reasonNotOurs = "NodeNotOurs"

// disowned says why a Node that has the machine's name is not the machine's: matched by name alone, a Node that belongs to
// another is left alone, and so is one that was there before any machine was asked for that may be this one.
func disowned(n *v1beta1.VPSieNode, node *corev1.Node) string {
	own := v1beta1.ProviderIDPrefix + n.Status.Identifier
	switch {
	case node.Spec.ProviderID == own:
		return ""
	case strings.HasPrefix(node.Spec.ProviderID, v1beta1.ProviderIDPrefix):
		return fmt.Sprintf("Node %s belongs to another machine (providerID %s), so it is left alone", node.Name, node.Spec.ProviderID)
	case node.Labels[v1beta1.LabelVPSieNode] != "" && node.Labels[v1beta1.LabelVPSieNode] != n.Name:
		return fmt.Sprintf("Node %s belongs to VPSieNode %s, so it is left alone", node.Name, node.Labels[v1beta1.LabelVPSieNode])
	case node.Labels[v1beta1.LabelVPSieNode] == n.Name:
		return ""
	case node.CreationTimestamp.Time.Before(machine.IntendedAt(n)):
		return fmt.Sprintf("Node %s is older than the purchase, so it cannot be the new machine's and is left alone; delete it if it is a remnant", node.Name)
	}
	return ""
}

// awaitNode waits for a Ready Node until the launch deadline.
func (r *Nodes) awaitNode(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	if n.Status.ReadyAt != nil {
		_, err := r.store.Change(ctx, n, machine.NodeNotReady("NodeMissing", "the Node does not exist, though the machine does"))
		return 0, err
	}
	if wait := outage.JoinDeadline(n).Sub(r.clock.Now()); wait > 0 {
		return wait, nil
	}
	return r.giveUpJoining(ctx, n)
}

// ready records whether the Node works.
func (r *Nodes) ready(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) error {
	first := n.Status.ReadyAt == nil
	change := machine.NodeNotReady("NodeNotReady", "the Node is not Ready")
	if isNodeReady(node) {
		change = machine.NodeReady(r.catalogue.Price(n), r.clock.Now())
	}
	written, err := r.store.Change(ctx, n, change)
	if err != nil || !written {
		return err
	}
	if first && n.Status.ReadyAt != nil {
		r.traceReady(ctx, n)
		r.log.InfoContext(ctx, "node is ready", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyNode, node.Name)
	}
	return nil
}

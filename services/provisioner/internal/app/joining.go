package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

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
		if err := r.unregistered(ctx, n, reason.HoldNodeNotOurs, why); err != nil {
			return 0, err
		}
		return r.awaitNode(ctx, n)
	}
	if err := r.register(ctx, n, node); err != nil {
		if !apierrors.IsInvalid(err) {
			return 0, err
		}
		// Nothing mends that by itself, so the launch deadline must not wait for it.
		if err := r.unregistered(ctx, n, reason.HoldTemplateInvalid, text.Truncate("Kubernetes refuses what the NodeGroup's template puts on the Node ("+err.Error()+
			"), so the Node is not registered and the machine is terminated at the launch deadline; correct spec.template")); err != nil {
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
	return r.unlessPaused(ctx, n, func() error { return r.reopen(ctx, n) })
}

// unregistered says why a Node is not registered.
func (r *Nodes) unregistered(ctx context.Context, n *v1beta1.VPSieNode, code reason.Code, message string) error {
	_, err := r.store.Decide(ctx, n, decided(reason.Hold, code, message), machine.Note(v1beta1.ConditionRegistered, metav1.ConditionFalse, code.Condition(), message))
	return err
}

// awaitNode waits for a Ready Node until the launch deadline.
func (r *Nodes) awaitNode(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	if n.Status.ReadyAt != nil {
		_, err := r.store.Change(ctx, n, machine.NodeNotReady("NodeMissing", "the machine exists, but its Node does not"))
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
		r.log.InfoContext(ctx, "node ready", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyNode, node.Name)
	}
	return nil
}

// traceReady ends the story of a launch: a span from the request to the Ready Node, below the launch.
func (r *Nodes) traceReady(ctx context.Context, n *v1beta1.VPSieNode) {
	a := machine.LastAttempt(n)
	if a == nil || a.Traceparent == "" {
		return
	}
	ctx = telemetry.ContextWithTraceparent(ctx, a.Traceparent)
	_, span := telemetry.Tracer().Start(ctx, "node ready", trace.WithTimestamp(a.RequestedAt.Time), trace.WithAttributes(
		attribute.String("vpsie.node", fleet.Key(n)), attribute.String("vpsie.machine", n.Status.Identifier),
		attribute.String("k8s.node.name", n.Status.NodeName)))
	span.End()
}

// reopen aborts the drain of a machine that stays: whoever began it lost its object, and the machine was adopted.
func (r *Nodes) reopen(ctx context.Context, n *v1beta1.VPSieNode) error {
	if err := r.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return err
	}
	if fleet.IsRetired(n) || n.Status.DrainStartedAt != nil || n.Status.DeleteRequestedAt != nil {
		return nil
	}
	node, _, err := r.nodeOf(ctx, n)
	if err != nil || node == nil {
		return err
	}
	if err := r.store.record(ctx, n, string(n.UID)+"."+n.ResourceVersion+".reopened", decided(reason.NoScaleDown, reason.NoScaleDownWithdrawn, reopened)); err != nil {
		return err
	}
	if err := r.uncordon(ctx, node); err != nil {
		return err
	}
	r.events.Eventf(node, n, corev1.EventTypeNormal, "ScaleDownAborted", "Drain", reopened)
	_, err = r.store.Change(ctx, n, machine.Reopened(reopened))
	return err
}

const reopened = "an earlier VPSieNode of the machine began a drain that nobody wants any more; the Node is uncordoned"

// giveUpJoining has a machine deleted whose Node was not Ready by the deadline, once it is its turn.
func (r *Nodes) giveUpJoining(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	if err := r.queueing.enter(ctx); err != nil {
		return 0, err
	}
	defer r.queueing.leave()
	refusal, err := r.turn(ctx, n)
	if err != nil {
		return 0, err
	}
	if refusal.Code != "" {
		message := "the machine did not join before the launch deadline; " + refusal.Message
		_, err := r.store.Decide(ctx, n, decision{reason.Hold, refusal.Code, message, refusal.Parameters}, machine.JoinHeld(refusal.Code, message, r.clock.Now()))
		return turnPoll, err
	}
	message := fmt.Sprintf("the Node was not Ready within %s of the launch request, so the machine is terminated and the planner decides again; check the machine's console if this repeats", n.Spec.LaunchDeadline.Duration)
	failed := v1beta1.Retirement{Kind: v1beta1.RetireLaunchFailed, Reason: string(reason.LaunchDeadline), Message: message}
	retired, err := r.store.Retire(ctx, n, failed, reason.Launch, func(n *v1beta1.VPSieNode) bool { return !outage.WasReady(n) })
	if retired {
		r.events.Eventf(n, nil, corev1.EventTypeWarning, reason.LaunchDeadline.Condition(), "Launch", "%s", message)
	}
	return 0, err
}

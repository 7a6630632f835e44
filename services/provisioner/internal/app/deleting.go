package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// remove asks VPSie to delete the machines whose Nodes are drained, and counts the listings that
// lack them. A machine is named by identifier and must have the hostname that we know it by. Where a
// listing is not to be believed, it is VPSie's answer about the machine itself that counts in the end.
func (c *Clusters) remove(ctx context.Context, r *roster, listed []launch.Listed, suspect bool) (bool, error) {
	present := make(map[string]launch.Listed, len(listed))
	for _, worker := range listed {
		present[worker.Identifier] = worker
	}
	believed, progress := !suspect && r.isWhole(present), false
	for _, n := range missingFirst(r.leaving, present) {
		if c.isStale(r.at) {
			return true, nil // no call would be made; the rest is looked at on a new listing
		}
		worker, exists := present[n.Status.Identifier]
		var err error
		var changed bool
		switch {
		case exists:
			changed, err = c.delete(ctx, n, worker, r.at)
		case !c.wasAsked(n.Status.Identifier):
			// A listing may lag or flap: only a machine whose deletion was requested can be absent.
			changed, err = c.ask(ctx, n, r.at, notListed)
		case !believed && n.Status.AbsentSightings == fleet.AbsenceSightings-1:
			changed, err = c.confirm(ctx, n, r.at)
		default:
			changed, err = c.sighted(ctx, n)
		}
		if ignoreGone(err) != nil {
			return progress, err
		}
		progress = progress || changed
	}
	return progress, nil
}

// missingFirst puts the machines first that a listing lacks: that they are gone takes no call to VPSie to see, and must not wait for
// the rate limit, which deletions do.
func missingFirst(leaving []*v1beta1.VPSieNode, present map[string]launch.Listed) []*v1beta1.VPSieNode {
	sorted := make([]*v1beta1.VPSieNode, 0, len(leaving))
	var listed []*v1beta1.VPSieNode
	for _, n := range leaving {
		if _, is := present[n.Status.Identifier]; is {
			listed = append(listed, n)
			continue
		}
		sorted = append(sorted, n)
	}
	return append(sorted, listed...)
}

// delete has a machine deleted that is listed under the name that we know it by.
func (c *Clusters) delete(ctx context.Context, n *v1beta1.VPSieNode, worker launch.Listed, basis time.Time) (bool, error) {
	if !sameHostname(worker.Hostname, n.Status.Hostname) && !sabotage.OwnershipProof() {
		return false, c.holdDeletion(ctx, n, disruption.Refusal{Code: reason.HoldIdentityMismatch, Message: fmt.Sprintf(
			"VPSie lists machine %s as %s, but it was launched as %s; it is not deleted because it may be a foreign machine; delete it in the console if it is not needed",
			worker.Identifier, worker.Hostname, n.Status.Hostname), Parameters: reason.Values{reason.ParamHostname: worker.Hostname}})
	}
	if c.clock.Now().Sub(c.askedAt(worker.Identifier)) < deleteAgain {
		return c.store.Change(ctx, n, machine.SeenAgain())
	}
	return c.ask(ctx, n, basis, isListed)
}

func sameHostname(a, b string) bool { return strings.EqualFold(a, b) }

func (c *Clusters) wasAsked(identifier string) bool { return !c.askedAt(identifier).IsZero() }

// askedAt is when the deletion of a machine was last requested, zero when this process never did.
func (c *Clusters) askedAt(identifier string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[identifier]
}

// presence is whether the listing that a pass rests on shows a machine.
type presence bool

const (
	isListed  presence = true
	notListed presence = false
)

// ask has VPSie delete the machine; asking again does no harm. That VPSie does not know a machine proves its absence only where
// the listing lacks it as well.
// The basis is when reading what says that it must go began.
func (c *Clusters) ask(ctx context.Context, n *v1beta1.VPSieNode, basis time.Time, shown presence) (bool, error) {
	identifier := n.Status.Identifier
	ctx = telemetry.ContextWithTraceparent(ctx, n.Annotations[v1beta1.AnnotationTraceparent])
	ctx, span := telemetry.Tracer().Start(ctx, "delete machine", trace.WithAttributes(attribute.String("vpsie.node", fleet.Key(n))))
	defer span.End()
	if err := c.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return false, err
	}
	if n.Status.DeleteRequestedAt == nil || n.Status.Identifier != identifier {
		return false, nil // another replica went on with it
	}
	again := c.wasAsked(identifier)
	if !again {
		if stays, err := c.mayNotGo(ctx, n); err != nil || stays {
			return false, err
		}
	}
	gone, err := c.cloud.DeleteWorker(ctx, c.stillTrue(basis), n.Spec.Cluster.Identifier, identifier)
	message := "VPSie was asked to delete the machine; two listings must confirm its absence"
	why := "Requested"
	var held decision
	if err != nil {
		e := AsCloudError(err)
		if e.Failure == Held && e.Code == "" {
			return false, nil // the next pass reads again what it is based on
		}
		held = decided(reason.Hold, holdCode(e), explain(e))
		why, message = held.Code.Condition(), held.Message
		span.SetStatus(codes.Error, e.Message)
		c.log.WarnContext(ctx, "deletion request not accepted; it is repeated", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyError, e)
	} else {
		c.mu.Lock()
		c.asked[identifier] = c.clock.Now()
		c.mu.Unlock()
		c.log.InfoContext(ctx, "deletion requested", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyMachine, identifier)
	}
	switch {
	case gone && again && shown == notListed:
		return c.sighted(ctx, n)
	case gone && shown == isListed:
		message = "VPSie lists the machine but answers the deletion request with 'not found'; the machine counts as existing and the request is repeated; check the machine in the console if this lasts"
		held = decided(reason.Hold, reason.HoldContradiction, message)
		why = held.Code.Condition()
	}
	_, updateErr := c.store.Decide(ctx, n, held, machine.DeletionAsked(identifier, why, message))
	return err == nil, updateErr
}

// mayNotGo asks the guards before the deletion is requested for the first time: the Node may have joined after the machine was found to
// have none, and runs pods that would have to move. Whoever retires it has them move.
func (c *Clusters) mayNotGo(ctx context.Context, n *v1beta1.VPSieNode) (bool, error) {
	node := &corev1.Node{}
	if err := c.store.Live.Get(ctx, client.ObjectKey{Name: fleet.NodeName(n)}, node); err != nil {
		return false, ignoreGone(err)
	}
	pods, err := c.store.podsOn(ctx, node, c.clock.Now())
	if err != nil {
		return false, err
	}
	v := &disruption.View{Kind: disruption.KindOf(n), Now: c.clock.Now(), Machine: n}
	v.Pods = disruption.Known(make([]disruption.Pod, len(pods)))
	refusal := disruption.First(disruption.Delete, v)
	if refusal.Code == "" {
		return false, nil
	}
	return true, c.holdDeletion(ctx, n, refusal)
}

// holdDeletion says why a machine is not deleted yet.
func (c *Clusters) holdDeletion(ctx context.Context, n *v1beta1.VPSieNode, why disruption.Refusal) error {
	_, err := c.store.Decide(ctx, n, decision{reason.Hold, why.Code, why.Message, why.Parameters},
		machine.Note(v1beta1.ConditionDeleted, metav1.ConditionFalse, why.Code.Condition(), why.Message))
	return err
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

// confirm asks once more for the deletion of a machine that is missing from a listing which proves nothing:
// it counts as absent when VPSie answers that it does not know it.
func (c *Clusters) confirm(ctx context.Context, n *v1beta1.VPSieNode, basis time.Time) (bool, error) {
	last := c.askedAt(n.Status.Identifier)
	if at := n.Status.LastAbsentAt; at != nil && at.After(last) {
		last = at.Time
	}
	if c.clock.Now().Sub(last) < c.config.AbsenceInterval {
		return false, nil
	}
	return c.ask(ctx, n, basis, notListed)
}

// sighted counts a listing that lacks the machine.
func (c *Clusters) sighted(ctx context.Context, n *v1beta1.VPSieNode) (bool, error) {
	identifier := n.Status.Identifier
	written, err := c.store.Change(ctx, n, machine.SeenAbsent(identifier, c.config.AbsenceInterval, c.clock.Now()))
	if fleet.IsAbsent(n) {
		c.depart(n.Spec.Cluster.Identifier, identifier, c.clock.Now()) // also if the answer to the write is lost
	}
	return written, err
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
	if n.DeletionTimestamp == nil && disruption.IsRetiredFor(n, v1beta1.RetireLaunchFailed) && machine.LastAttempt(n) != nil {
		return 0, r.keepAsFailed(ctx, n)
	}
	if now := r.clock.Now(); len(machine.LateAttempts(n, now)) > 0 {
		return 0, r.keepForAnswers(ctx, n, now)
	}
	return 0, r.finalize(ctx, n, "VPSie confirmed twice that the machine is absent")
}

// keepAsFailed leaves the object of a machine that never joined behind as a failed launch: without it
// the next machine of the size would be launched at once, and the next.
func (r *Nodes) keepAsFailed(ctx context.Context, n *v1beta1.VPSieNode) error {
	if _, err := r.store.Change(ctx, n, machine.NeverJoined(n.Spec.Retirement.Message)); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "machine that never joined terminated", telemetry.KeyVPSieNode, fleet.Key(n))
	return r.dropRetirement(ctx, n)
}

// keepForAnswers leaves the object of a machine that is gone behind, as one without a machine, because another of
// its requests may be answered late: without the object that machine would be unknown.
func (r *Nodes) keepForAnswers(ctx context.Context, n *v1beta1.VPSieNode, now time.Time) error {
	const message = "the machine is terminated; the outcome of an earlier launch request is unclear, and a late answer to it is awaited"
	if _, err := r.store.Change(ctx, n, machine.KeptForAnswers(message, now)); err != nil {
		return err
	}
	return r.dropRetirement(ctx, n)
}

// dropRetirement takes the retirement off an object that stays as a failed one.
func (r *Nodes) dropRetirement(ctx context.Context, n *v1beta1.VPSieNode) error {
	_, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
		had := n.Spec.Retirement != nil && machine.StateOf(n) == v1beta1.PhaseFailed
		if had {
			n.Spec.Retirement = nil
		}
		return had
	})
	return err
}

// finalize deletes the object, unless it is being deleted, and takes the finalizer off.
func (r *Nodes) finalize(ctx context.Context, n *v1beta1.VPSieNode, message string) error {
	if n.DeletionTimestamp == nil {
		// The next pass, which the deletion triggers, takes the finalizer off.
		return ignoreGone(r.store.Delete(ctx, n, preconditions(n)))
	}
	written, err := r.store.RemoveFinalizer(ctx, n, machine.Gone, message)
	if written {
		r.log.InfoContext(ctx, "machine terminated", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyMachine, n.Status.Identifier, telemetry.KeyNode, n.Status.NodeName, telemetry.KeyMessage, message)
	}
	return err
}

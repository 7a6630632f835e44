package app

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
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
			// A listing may lag or flap: only a machine whose deletion was asked for can be absent.
			changed, err = c.ask(ctx, n, r.at, notListed)
		case !believed && n.Status.AbsentSightings == machine.AbsenceSightings-1:
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

// wholeMin is how many machines of ours that stay a listing must show, and every one of them, to be believed
// about those that it lacks: one that leaves some out by chance would not show so many.
const wholeMin = 8

func (r *roster) isWhole(present map[string]launch.Listed) bool {
	shown := 0
	for _, n := range r.nodes {
		if n.Status.Identifier == "" || n.Status.DeleteRequestedAt != nil {
			continue
		}
		if _, is := present[n.Status.Identifier]; !is {
			return false
		}
		shown++
	}
	return shown >= wholeMin
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
	if machine.IsAbsent(n) {
		c.depart(n.Spec.Cluster.Identifier, identifier, c.clock.Now()) // also if the answer to the write is lost
	}
	return written, err
}

// departure is where and when a machine went.
type departure struct {
	cluster string
	at      time.Time
}

// depart remembers that a machine is gone, for as long as listings may lag.
func (c *Clusters) depart(cluster, identifier string, at time.Time) {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.departed[identifier] = departure{cluster, at}
	maps.DeleteFunc(c.departed, func(_ string, d departure) bool { return now.Sub(d.at) > c.config.LaunchSettle })
}

// rememberAbsent remembers the machines that are gone by what an earlier process may have seen.
func (c *Clusters) rememberAbsent(r *roster) {
	for _, n := range r.absent {
		if at := n.Status.LastAbsentAt; at != nil {
			c.depart(r.cluster, n.Status.Identifier, at.Time)
		}
	}
}

// gone are the machines of a cluster that VPSie confirmed to be gone and that a listing may show once more.
func (c *Clusters) gone(cluster string) map[string]bool {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := map[string]bool{}
	for identifier, d := range c.departed {
		if d.cluster == cluster && now.Sub(d.at) <= c.config.LaunchSettle {
			gone[identifier] = true
		}
	}
	return gone
}

// delete has a machine deleted that is listed under the name that we know it by.
func (c *Clusters) delete(ctx context.Context, n *v1beta1.VPSieNode, worker launch.Listed, basis time.Time) (bool, error) {
	if !sameHostname(worker.Hostname, n.Status.Hostname) && !sabotage.OwnershipProof() {
		_, err := c.store.Change(ctx, n, machine.Note(v1beta1.ConditionDeleted, metav1.ConditionFalse, "IdentityMismatch", fmt.Sprintf(
			"VPSie lists machine %s as %s, but it was bought as %s; it is not deleted because it may be somebody else's; delete it in the console if it is not needed",
			worker.Identifier, worker.Hostname, n.Status.Hostname)))
		return false, err
	}
	if c.clock.Now().Sub(c.askedAt(worker.Identifier)) < deleteAgain {
		return c.store.Change(ctx, n, machine.SeenAgain())
	}
	return c.ask(ctx, n, basis, isListed)
}

func (c *Clusters) wasAsked(identifier string) bool { return !c.askedAt(identifier).IsZero() }

// askedAt is when the deletion of a machine was last asked for, zero when this process never did.
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
	ctx, span := telemetry.Tracer().Start(ctx, "delete machine", trace.WithAttributes(attribute.String("vpsie.node", machine.Key(n))))
	defer span.End()
	if err := c.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return false, err
	}
	if n.Status.DeleteRequestedAt == nil || n.Status.Identifier != identifier {
		return false, nil // another replica went on with it
	}
	again := c.wasAsked(identifier)
	if !again {
		if occupied, err := c.isOccupied(ctx, n); err != nil || occupied {
			return false, err
		}
	}
	gone, err := c.cloud.DeleteWorker(ctx, c.stillTrue(basis), n.Spec.Cluster.Identifier, identifier)
	message := "VPSie was asked to delete the machine; its absence is awaited in two listings"
	why := "Requested"
	if err != nil {
		e := AsCloudError(err)
		if e.Failure == Held && e.Code == "" {
			return false, nil // the next pass reads again what it is based on
		}
		h := hindrance(e)
		why, message = h.Reason, h.Message
		span.SetStatus(codes.Error, e.Message)
		c.log.WarnContext(ctx, "machine is not deleted yet", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyError, e)
	} else {
		c.mu.Lock()
		c.asked[identifier] = c.clock.Now()
		c.mu.Unlock()
		c.log.InfoContext(ctx, "deletion asked of VPSie", telemetry.KeyVPSieNode, machine.Key(n), telemetry.KeyMachine, identifier)
	}
	switch {
	case gone && again && shown == notListed:
		return c.sighted(ctx, n)
	case gone && shown == isListed:
		message = "VPSie lists the machine and answers that it knows no such machine; it counts as there, and is asked for again; look at it in the console if this lasts"
		why = "Contradiction"
	}
	_, updateErr := c.store.Change(ctx, n, machine.DeletionAsked(identifier, why, message))
	return err == nil, updateErr
}

// isOccupied reports whether pods run on the machine that would have to move: its Node may have joined after it
// was found to have none. Whoever retires it has them move.
func (c *Clusters) isOccupied(ctx context.Context, n *v1beta1.VPSieNode) (bool, error) {
	node := &corev1.Node{}
	if err := c.store.Live.Get(ctx, client.ObjectKey{Name: machine.NodeName(n)}, node); err != nil {
		return false, ignoreGone(err)
	}
	pods, err := c.store.podsOn(ctx, node, c.clock.Now())
	if err != nil || len(pods) == 0 {
		return false, err
	}
	_, err = c.store.Change(ctx, n, machine.Note(v1beta1.ConditionDeleted, metav1.ConditionFalse, "NodeJoinedLate",
		"the Node joined after the machine was given up, and runs pods; they are moved before the machine is deleted"))
	return true, err
}

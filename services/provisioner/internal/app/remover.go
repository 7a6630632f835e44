package app

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// remove asks VPSie to delete the machines whose Nodes are drained, and counts the listings that
// lack them. A machine is named by identifier and must have the hostname that we know it by.
// What a listing lacks that has just become suspect is not absent.
func (c *Clusters) remove(ctx context.Context, v *view, listed []launch.Listed, suspect bool) (bool, error) {
	present := make(map[string]launch.Listed, len(listed))
	for _, machine := range listed {
		present[machine.Identifier] = machine
	}
	progress := false
	for _, n := range v.leaving {
		machine, exists := present[n.Status.Identifier]
		var err error
		var changed bool
		switch {
		case !exists && suspect:
			continue
		case exists:
			changed, err = c.delete(ctx, n, machine, v.at)
		case !c.wasAsked(n.Status.Identifier):
			// A listing may lag or flap: only a machine whose deletion was asked for can be absent.
			changed, err = c.ask(ctx, n, n.Status.Identifier, v.at)
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

// sighted counts a listing that lacks the machine.
func (c *Clusters) sighted(ctx context.Context, n *v1beta1.VPSieNode) (bool, error) {
	return c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		now := c.clock.Now()
		if n.Status.LastAbsentAt != nil && now.Sub(n.Status.LastAbsentAt.Time) < c.config.AbsenceInterval {
			return false
		}
		n.Status.AbsentSightings++
		n.Status.LastAbsentAt = timestamp(now)
		gone := n.Status.AbsentSightings >= absenceSightings
		message := "VPSie's listing lacks the machine; a second listing must confirm that"
		if gone {
			message = "two complete listings of VPSie lack the machine"
		}
		setCondition(n, v1beta1.ConditionDeleted, gone, "Absent", message)
		return true
	})
}

// delete has a machine deleted that is listed under the name that we know it by.
func (c *Clusters) delete(ctx context.Context, n *v1beta1.VPSieNode, machine launch.Listed, basis time.Time) (bool, error) {
	if !sameHostname(machine.Hostname, n.Status.Hostname) && !sabotage.OwnershipProof() {
		_, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
			return setCondition(n, v1beta1.ConditionDeleted, false, "IdentityMismatch", fmt.Sprintf(
				"VPSie lists machine %s as %s, but it was bought as %s; it is not deleted because it may be somebody else's; delete it in the console if it is not needed",
				machine.Identifier, machine.Hostname, n.Status.Hostname))
		})
		return false, err
	}
	c.mu.Lock()
	recently := c.clock.Now().Sub(c.asked[machine.Identifier]) < deleteAgain
	c.mu.Unlock()
	if recently {
		return c.store.UpdateStatus(ctx, n, backInListing)
	}
	return c.ask(ctx, n, machine.Identifier, basis)
}

func (c *Clusters) wasAsked(identifier string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.asked[identifier].IsZero()
}

// ask has VPSie delete the machine; asking again does no harm.
// The basis is when reading what says that it must go began.
func (c *Clusters) ask(ctx context.Context, n *v1beta1.VPSieNode, identifier string, basis time.Time) (bool, error) {
	ctx = telemetry.ContextWithTraceparent(ctx, n.Annotations[v1beta1.AnnotationTraceparent])
	ctx, span := telemetry.Tracer().Start(ctx, "delete machine", trace.WithAttributes(attribute.String("vpsie.node", keyOf(n))))
	defer span.End()
	if err := c.store.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil {
		return false, err
	}
	if n.Status.DeleteRequestedAt == nil || n.Status.Identifier != identifier {
		return false, nil // another replica went on with it
	}
	err := c.cloud.DeleteWorker(WithCheck(ctx, c.stillTrue(basis)), n.Spec.Cluster.Identifier, identifier)
	message := "VPSie was asked to delete the machine; its absence is awaited in two listings"
	kind := "Requested"
	if err != nil {
		e := AsCloudError(err)
		if e.Failure == Held && e.Code == "" {
			return false, nil // the next pass reads again what it is based on
		}
		message, kind = explain(e), hindrance(e)
		span.SetStatus(codes.Error, e.Message)
		c.log.WarnContext(ctx, "machine is not deleted yet", telemetry.KeyVPSieNode, keyOf(n), telemetry.KeyError, e)
	} else {
		c.mu.Lock()
		c.asked[identifier] = c.clock.Now()
		c.mu.Unlock()
		c.log.InfoContext(ctx, "deletion asked of VPSie", telemetry.KeyVPSieNode, keyOf(n), telemetry.KeyMachine, identifier)
	}
	_, updateErr := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		changed := backInListing(n)
		return setCondition(n, v1beta1.ConditionDeleted, false, kind, message) || changed
	})
	return err == nil, updateErr
}

// backInListing forgets the listings that lacked a machine that is listed.
func backInListing(n *v1beta1.VPSieNode) bool {
	had := n.Status.AbsentSightings > 0
	n.Status.AbsentSightings, n.Status.LastAbsentAt = 0, nil
	return had
}

package app

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// Store reads and writes Kubernetes: from a cache where a stale answer costs time, and live where
// it would cost a machine.
type Store struct {
	client.Client
	Live  client.Reader
	Facts Facts
	// Decisions counts what is decided here.
	Decisions *facts.Decisions
	Clock     clock.PassiveClock
}

// Facts puts on record what happened to machines.
type Facts interface {
	// Publish puts a fact on the bus or returns an error, at once while the bus is known to be away.
	Publish(ctx context.Context, f facts.Fact) error
	// Record returns once the facts are on record, whatever the bus is like.
	Record(ctx context.Context, all ...facts.Fact) error
	// Displace puts on record what an object has no room for any more, or drops and counts it.
	Displace(ctx context.Context, displaced ...facts.Fact)
}

// Change writes what happened to a machine on the condition that nobody else changed the object since it was read; when
// somebody did, it reads and decides again, so the change may be made more than once, each time to what the API server holds
// then. The object is brought up to date, and carries the change of its phase until that is told. It reports whether anything was written.
func (s *Store) Change(ctx context.Context, n *v1beta1.VPSieNode, change machine.Change) (bool, error) {
	return s.update(ctx, n, func(n *v1beta1.VPSieNode) (bool, error) {
		step, err := s.apply(ctx, n, change)
		return step.Changed, err
	}, s.writeStatus(ctx, n))
}

func (s *Store) apply(ctx context.Context, n *v1beta1.VPSieNode, change machine.Change) (machine.Step, error) {
	step, err := machine.Apply(n, change)
	if err != nil || !step.IsTransition() {
		return step, err
	}
	for _, c := range machine.Untold(n, machine.ChangeOf(n, step.From, step.To, step.Why, telemetry.Traceparent(ctx), s.Clock.Now())) {
		if err := s.Facts.Record(ctx, facts.PhaseChanged(n, c)); err != nil {
			return step, err
		}
	}
	return step, nil
}

func (s *Store) writeStatus(ctx context.Context, n *v1beta1.VPSieNode) func(client.Patch) error {
	return func(base client.Patch) error { return s.Status().Patch(ctx, n, base) }
}

// Update does for the rest of the object what Change does for its status.
func (s *Store) Update(ctx context.Context, node *v1beta1.VPSieNode, change func(*v1beta1.VPSieNode) bool) (bool, error) {
	return s.update(ctx, node, func(n *v1beta1.VPSieNode) (bool, error) { return change(n), nil },
		func(base client.Patch) error { return s.Patch(ctx, node, base) })
}

// RemoveFinalizer takes the finalizer off an object that is deleted, if it may go as the API server has it. What it carries, and its end, Gone or Released,
// is on record before, since nobody can look it up after. An end is on record twice where the object changed in between.
// That a machine is released, or not adopted, is a decision, which is on record as well.
func (s *Store) RemoveFinalizer(ctx context.Context, n *v1beta1.VPSieNode, end v1beta1.Phase, why string) (bool, error) {
	if err := s.Live.Get(ctx, client.ObjectKeyFromObject(n), n); err != nil { // an end is not told of what a cache had
		return false, ignoreGone(err)
	}
	ends := false
	written, err := s.update(ctx, n, func(n *v1beta1.VPSieNode) (bool, error) {
		if n.DeletionTimestamp == nil || !machine.MayGo(n, end) || !controllerutil.ContainsFinalizer(n, v1beta1.FinalizerMachine) {
			return false, nil
		}
		last := machine.ChangeOf(n, machine.StateOf(n), end, why, telemetry.Traceparent(ctx), s.Clock.Now())
		all := append(carriedBy(n), facts.PhaseChanged(n, last))
		if end == machine.Released {
			// Its id follows from the object, so that a repeat is known as one.
			all = append(all, s.factOf(ctx, last.ID+".decision", n, decided(reason.Adoption, reason.AdoptReleased, why)))
		}
		ends = machine.AdoptionEnded(n, s.Clock.Now())
		if ends {
			all = append(all, s.factOf(ctx, string(n.UID)+".abandoned", n, decided(reason.Adoption, reason.AdoptAbandoned, why)))
		}
		if err := s.Facts.Record(ctx, all...); err != nil {
			return false, err
		}
		return controllerutil.RemoveFinalizer(n, v1beta1.FinalizerMachine), nil
	}, func(base client.Patch) error { return s.Patch(ctx, n, base) })
	if written && end == machine.Released {
		s.Decisions.Count(reason.Adoption, reason.AdoptReleased)
	}
	if written && ends {
		s.Decisions.Count(reason.Adoption, reason.AdoptAbandoned)
	}
	return written, err
}

// carriedBy are the facts that an object carries: records of decisions, and changes of the phase. What cannot be read is left out.
func carriedBy(n *v1beta1.VPSieNode) []facts.Fact {
	carried := facts.Attached(n)
	for _, record := range n.Status.UntoldDecisions {
		if f, err := facts.Parse(record); err == nil {
			carried = append(carried, f)
		}
	}
	for _, c := range n.Status.Untold {
		carried = append(carried, facts.PhaseChanged(n, c))
	}
	return carried
}

func (s *Store) update(ctx context.Context, node *v1beta1.VPSieNode, change func(*v1beta1.VPSieNode) (bool, error), write func(client.Patch) error) (bool, error) {
	written := false
	key := client.ObjectKeyFromObject(node)
	fresh := true
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if !fresh {
			if err := s.Live.Get(ctx, key, node); err != nil {
				return err
			}
		}
		fresh, written = false, false
		base := node.DeepCopy()
		if changed, err := change(node); err != nil || !changed {
			return err
		}
		if err := write(client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
			return err
		}
		written = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("write VPSieNode %s: %w", key, err)
	}
	return written, nil
}

// acceptsObjects reports whether a namespace exists and is not being deleted.
func (s *Store) acceptsObjects(ctx context.Context, namespace string) (bool, error) {
	object := &corev1.Namespace{}
	err := s.Live.Get(ctx, client.ObjectKey{Name: namespace}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read Namespace %q: %w", namespace, err)
	}
	return object.DeletionTimestamp == nil, nil
}

// allNodes reads every VPSieNode live, because a stale list would count a machine as unclaimed.
func (s *Store) allNodes(ctx context.Context) ([]*v1beta1.VPSieNode, error) {
	return listNodes(ctx, s.Live)
}

// knownNodes reads every VPSieNode from the cache.
func (s *Store) knownNodes(ctx context.Context) ([]*v1beta1.VPSieNode, error) {
	return listNodes(ctx, s.Client)
}

func listNodes(ctx context.Context, r client.Reader) ([]*v1beta1.VPSieNode, error) {
	var list v1beta1.VPSieNodeList
	if err := r.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list VPSieNodes: %w", err)
	}
	nodes := make([]*v1beta1.VPSieNode, len(list.Items))
	for i := range list.Items {
		nodes[i] = &list.Items[i]
	}
	return nodes, nil
}

// ignoreGone drops errors that say that the object is gone.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	return err
}

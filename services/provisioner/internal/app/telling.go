package app

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// Teller publishes the changes of the phase that VPSieNodes carry, in order, and takes them off the objects once the bus has
// them. While the bus is away they stay there.
type Teller struct{ store *Store }

// NewTeller returns a reconciler of what VPSieNodes carry.
func NewTeller(store *Store) *Teller { return &Teller{store} }

// Reconcile tells what one machine carries.
func (t *Teller) Reconcile(ctx context.Context, key client.ObjectKey) (time.Duration, error) {
	n := &v1beta1.VPSieNode{}
	if err := t.store.Get(ctx, key, n); err != nil {
		return 0, ignoreGone(err)
	}
	var told []string
	for _, c := range n.Status.Untold {
		if err := t.store.Facts.Publish(ctx, facts.PhaseChanged(n, c)); err != nil {
			return 0, err
		}
		told = append(told, c.ID)
	}
	if len(told) == 0 {
		return 0, nil
	}
	_, err := t.store.Change(ctx, n, machine.Told(told...))
	return 0, ignoreGone(err)
}

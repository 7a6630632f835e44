package app

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// tellAgain is how soon it is tried again to tell what a machine carries after the bus took nothing.
const tellAgain = 5 * time.Second

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
	wait := time.Duration(0)
	for _, c := range n.Status.Untold {
		if t.store.Facts.Publish(ctx, facts.PhaseChanged(n, c)) != nil {
			wait = tellAgain // that the bus is away is logged once for all
			break
		}
		told = append(told, c.ID)
	}
	if len(told) == 0 {
		return wait, nil
	}
	_, err := t.store.Change(ctx, n, machine.Told(told...))
	return wait, ignoreGone(err)
}

package app

import (
	"context"
	"log/slog"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// tellAgain is how soon it is tried again to tell what a machine carries after the bus took nothing.
const tellAgain = 5 * time.Second

// Teller publishes the changes of the phase and the records that VPSieNodes carry in their status, in order, and takes them off the objects once the bus has
// them. While the bus is away they stay there.
type Teller struct {
	store *Store
	log   *slog.Logger
}

// NewTeller returns a reconciler of what VPSieNodes carry.
func NewTeller(store *Store, log *slog.Logger) *Teller { return &Teller{store, log} }

// Reconcile tells what one machine carries.
func (t *Teller) Reconcile(ctx context.Context, key client.ObjectKey) (time.Duration, error) {
	n := &v1beta1.VPSieNode{}
	if err := t.store.Get(ctx, key, n); err != nil {
		return 0, ignoreGone(err)
	}
	var changes, records []string
	away := false // which is logged once for all
	for _, c := range n.Status.Untold {
		if away = t.store.Facts.Publish(ctx, facts.PhaseChanged(n, c)) != nil; away {
			break
		}
		changes = append(changes, c.ID)
	}
	for _, record := range n.Status.UntoldDecisions {
		if away {
			break
		}
		f, err := facts.Parse(record)
		if err != nil { // it would stay for ever
			t.log.ErrorContext(ctx, "decision record cannot be read and is lost", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyError, err)
		} else if away = t.store.Facts.Publish(ctx, f) != nil; away {
			break
		}
		records = append(records, record)
	}
	wait := time.Duration(0)
	if away {
		wait = tellAgain
	}
	if len(changes)+len(records) == 0 {
		return wait, nil
	}
	_, err := t.store.Change(ctx, n, machine.Told(changes, records))
	return wait, ignoreGone(err)
}

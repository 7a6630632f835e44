package load

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// Emptied is what came of taking every pod away.
type Emptied struct {
	Machines int
	// MachinesGone is the time until VPSie had the last machine no longer, ObjectsGone until the last VPSieNode was gone.
	MachinesGone, ObjectsGone time.Duration
	Calls                     vpsiesim.Calls
}

// Empty takes every pod away, then lets all machines go at once, and returns when nothing of them is left. The time counts from then on, so
// unneededFor is not in it.
func (f *Fleet) Empty(ctx context.Context) (Emptied, error) {
	if err := f.clear(ctx); err != nil {
		return Emptied{}, err
	}
	bought, err := f.Bought(ctx)
	if err != nil {
		return Emptied{}, err
	}
	var e Emptied
	for _, m := range bought {
		if m.GoneAt.IsZero() {
			e.Machines++
		}
	}
	if err := f.Sim.ResetCalls(ctx); err != nil {
		return Emptied{}, fmt.Errorf("reset counts of calls: %w", err)
	}
	began := time.Now()
	if err := f.release(ctx); err != nil {
		return Emptied{}, err
	}
	if err := f.awaitNothing(ctx); err != nil {
		return Emptied{}, err
	}
	e.ObjectsGone = time.Since(began)
	if bought, err = f.Bought(ctx); err != nil {
		return Emptied{}, err
	}
	for _, m := range bought {
		e.MachinesGone = max(e.MachinesGone, m.GoneAt.Sub(began))
	}
	e.Calls, err = f.Sim.Calls(ctx)
	return e, err
}

// release lets machines go that nobody has needed for a second.
func (f *Fleet) release(ctx context.Context) error {
	for _, group := range f.groups {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"scaleDown":{"unneededFor":"1s"}}}`))
		if err := f.Client.Patch(ctx, group, patch); err != nil {
			return fmt.Errorf("change NodeGroup %s: %w", group.Name, err)
		}
	}
	return nil
}

// awaitNothing returns when no VPSieNode and no machine is left.
func (f *Fleet) awaitNothing(ctx context.Context) error {
	return until(ctx, f.Err, "every machine is gone", func() (bool, string, error) {
		var list v1beta1.VPSieNodeList
		if err := f.Client.List(ctx, &list, client.InNamespace(f.Namespace), client.Limit(1)); err != nil {
			return false, "", fmt.Errorf("list VPSieNodes: %w", err)
		}
		if len(list.Items) > 0 {
			left := int64(len(list.Items))
			if list.RemainingItemCount != nil {
				left += *list.RemainingItemCount
			}
			return false, fmt.Sprintf("%d VPSieNodes are left", left), nil
		}
		bought, err := f.Bought(ctx)
		alive := 0
		for _, m := range bought {
			if m.GoneAt.IsZero() {
				alive++
			}
		}
		return alive == 0, fmt.Sprintf("%d machines are paid for", alive), err
	})
}

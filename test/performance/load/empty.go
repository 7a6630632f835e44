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

// Emptied is what came of taking the pods away.
type Emptied struct {
	Machines int
	// MachinesGone is the time until VPSie had the last of them no longer, ObjectsGone until the last VPSieNode of one was gone.
	MachinesGone, ObjectsGone time.Duration
	Calls                     vpsiesim.Calls
}

// Empty takes the pods of every Deployment away, then lets all machines go at once that ran them, and returns when nothing of these is left. The
// time counts from then on, so unneededFor is not in it. Machines of samples stay.
func (f *Fleet) Empty(ctx context.Context) (Emptied, error) {
	if err := f.clear(ctx); err != nil {
		return Emptied{}, err
	}
	launched, err := f.Launched(ctx)
	if err != nil {
		return Emptied{}, err
	}
	e := Emptied{Machines: Alive(launched) - f.Size.Samples}
	if err := f.Sim.ResetCalls(ctx); err != nil {
		return Emptied{}, fmt.Errorf("reset counts of calls: %w", err)
	}
	began := time.Now()
	if err := f.release(ctx); err != nil {
		return Emptied{}, err
	}
	if err := f.awaitLeft(ctx); err != nil {
		return Emptied{}, err
	}
	e.ObjectsGone = time.Since(began)
	if launched, err = f.Launched(ctx); err != nil {
		return Emptied{}, err
	}
	for _, m := range launched {
		e.MachinesGone = max(e.MachinesGone, m.GoneAt.Sub(began))
	}
	e.Calls, err = f.Sim.Calls(ctx)
	return e, err
}

// release shortens unneededFor to one second, so that the planner retires the empty machines.
func (f *Fleet) release(ctx context.Context) error {
	for _, group := range f.groups {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"scaleDown":{"unneededFor":"1s"}}}`))
		if err := f.Client.Patch(ctx, group, patch); err != nil {
			return fmt.Errorf("change NodeGroup %s: %w", group.Name, err)
		}
	}
	return nil
}

// awaitLeft returns when no VPSieNode and no machine is left but those of samples.
func (f *Fleet) awaitLeft(ctx context.Context) error {
	return until(ctx, f.Err, "every machine is gone", func() (bool, string, error) {
		var list v1beta1.VPSieNodeList
		if err := f.Client.List(ctx, &list, client.InNamespace(f.Namespace), client.Limit(1)); err != nil {
			return false, "", fmt.Errorf("list VPSieNodes: %w", err)
		}
		objects := len(list.Items)
		if list.RemainingItemCount != nil {
			objects += int(*list.RemainingItemCount)
		}
		if objects != f.Size.Samples {
			return false, fmt.Sprintf("%d VPSieNodes are left", objects), nil
		}
		launched, err := f.Launched(ctx)
		alive := Alive(launched)
		return alive == f.Size.Samples, fmt.Sprintf("%d machines are paid for", alive), err
	})
}

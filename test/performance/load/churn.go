package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// Churn changes how many pods one group after the other has, a change every beat for a time, and then leaves what the fleet's size says: each
// group has from none to twice its share meanwhile. It returns the number of changes once everything is at rest.
func (f *Fleet) Churn(ctx context.Context, lasts, beat time.Duration, dice *rand.Rand) (int, error) {
	share, changes := f.Size.Pods/f.Size.Groups, 0
	for end := time.Now().Add(lasts); time.Now().Before(end); changes++ {
		group := dice.IntN(f.Size.Groups)
		if err := f.change(ctx, group, dice.IntN(2*share+1)); err != nil {
			return changes, err
		}
		if err := pause(ctx, beat); err != nil {
			return changes, err
		}
	}
	for group := range f.Size.Groups {
		if err := f.change(ctx, group, share); err != nil {
			return changes, err
		}
	}
	if err := f.AwaitPods(ctx); err != nil {
		return changes, err
	}
	return changes, f.awaitExact(ctx)
}

// change scales a group once pods keep away from its machines that are to go: a drain that finds new pods is aborted, and then the
// product leaves the machine alone for longer than a run lasts.
func (f *Fleet) change(ctx context.Context, group, pods int) error {
	err := until(ctx, f.Err, "the Nodes of machines that are to go are cordoned", func() (bool, string, error) {
		var machines v1beta1.VPSieNodeList
		if err := f.Client.List(ctx, &machines, client.InNamespace(f.Namespace)); err != nil {
			return false, "", fmt.Errorf("list VPSieNodes: %w", err)
		}
		for i := range machines.Items {
			n := &machines.Items[i]
			if n.Spec.NodeGroup != f.name(group) || n.Spec.Retirement == nil || n.Status.NodeName == "" {
				continue
			}
			node := &corev1.Node{}
			err := f.Client.Get(ctx, client.ObjectKey{Name: n.Status.NodeName}, node)
			if client.IgnoreNotFound(err) != nil {
				return false, "", fmt.Errorf("read Node %s: %w", n.Status.NodeName, err)
			}
			if err == nil && !node.Spec.Unschedulable {
				return false, "Node " + node.Name + " is not", nil
			}
		}
		return true, "", nil
	})
	if err != nil {
		return err
	}
	return f.Scale(ctx, group, pods)
}

// awaitExact returns when just the machines are there that the fleet's size asks for, and none is on its way or leaving.
func (f *Fleet) awaitExact(ctx context.Context) error {
	return until(ctx, f.Err, fmt.Sprintf("%d machines are left", f.Size.Nodes), func() (bool, string, error) {
		var list v1beta1.VPSieNodeList
		if err := f.Client.List(ctx, &list, client.InNamespace(f.Namespace)); err != nil {
			return false, "", fmt.Errorf("list VPSieNodes: %w", err)
		}
		ready := 0
		for i := range list.Items {
			if n := &list.Items[i]; n.Status.Phase == v1beta1.PhaseReady && n.Spec.Retirement == nil {
				ready++
			}
		}
		launched, err := f.Launched(ctx)
		paid := Alive(launched)
		return ready == f.Size.Nodes && len(list.Items) == ready && paid == ready, fmt.Sprintf("%d of %d VPSieNodes are Ready, and %d machines are paid for", ready, len(list.Items), paid), err
	})
}

// Alive counts the machines that VPSie has.
func Alive(machines []vpsiesim.Machine) int {
	n := 0
	for _, m := range machines {
		if m.GoneAt.IsZero() {
			n++
		}
	}
	return n
}

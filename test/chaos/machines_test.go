//go:build chaos

package chaos_test

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
)

// machineDeleted lets a person delete a machine in the console.
func (s *storm) machineDeleted() trouble {
	return s.loss("a machine deleted in the console", s.Sim.DeleteMachine)
}

// machineVanished takes a machine away at once.
func (s *storm) machineVanished() trouble {
	return s.loss("a machine that vanishes", s.Sim.VanishMachine)
}

// loss takes a machine in use away, with its Node, and waits until the product has noticed: of several that go
// at once from a small cluster it believes nothing for an hour.
func (s *storm) loss(name string, remove func(ctx context.Context, identifier string) error) trouble {
	return trouble{
		name: name,
		begin: func(ctx context.Context) (func() error, error) {
			if err := s.Sim.SetSwitches(ctx, map[string]any{"deleteNodeObject": true}); err != nil {
				return nil, err
			}
			var victim string
			err := s.poll(ctx, func() (done bool, err error) {
				victim, err = s.inUse(ctx)
				if err != nil || victim == "" {
					return false, err
				}
				return true, remove(ctx, victim)
			})
			return func() error {
				ctx, cancel := context.WithTimeout(context.Background(), settlePatience)
				defer cancel()
				return errors.Join(s.awaitNoticed(ctx, victim), s.Sim.SetSwitches(ctx, map[string]any{"deleteNodeObject": false}))
			}, err
		},
	}
}

// inUse is a machine that works and that nobody asked to go, empty when there is none.
func (s *storm) inUse(ctx context.Context) (string, error) {
	nodes, err := s.VPSieNodes(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range nodes {
		if n.Status.Phase == v1beta1.PhaseReady && n.Spec.Retirement == nil && n.DeletionTimestamp == nil {
			return n.Status.Identifier, nil
		}
	}
	return "", nil
}

// awaitNoticed waits until nothing claims a lost machine any more. Meanwhile it ends the pods that ran there, as the
// garbage collector of pods does a minute after it has missed their Node.
func (s *storm) awaitNoticed(ctx context.Context, identifier string) error {
	err := s.poll(ctx, func() (bool, error) {
		if err := s.endOrphans(ctx); err != nil {
			return false, err
		}
		nodes, err := s.VPSieNodes(ctx)
		if err != nil {
			return false, err
		}
		for _, n := range nodes {
			if n.Status.Identifier == identifier {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait until nothing claims the lost machine %s: %w", identifier, err)
	}
	return nil
}

// endOrphans ends the pods whose Node does not exist.
func (s *storm) endOrphans(ctx context.Context) error {
	pods, err := s.Pods(ctx, work)
	if err != nil {
		return err
	}
	for i := range pods {
		pod := &pods[i]
		if pod.Spec.NodeName == "" {
			continue
		}
		err := s.Client.Get(ctx, client.ObjectKey{Name: pod.Spec.NodeName}, &corev1.Node{})
		if !apierrors.IsNotFound(err) {
			continue // it exists, or nobody knows
		}
		if err := s.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// poll looks until something is done, fails, or takes longer than a test waits.
func (s *storm) poll(ctx context.Context, look func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, stacktest.Patience)
	defer cancel()
	for {
		done, err := look()
		if done || err != nil {
			return err
		}
		if !lapse(ctx, lookEvery) {
			return ctx.Err()
		}
	}
}

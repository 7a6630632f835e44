//go:build chaos

package chaos_test

import (
	"context"
	"errors"

	"github.com/vpsie/vpsie-autoscaler/test/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// peers are what services talk to.
var peers = []stack.Peer{stack.Kubernetes, stack.Bus, stack.VPSie, stack.Catalogue}

// rotateToken makes a token the only good one, for VPSie first and for the services then; empty means the usual one.
func (s *storm) rotateToken(ctx context.Context, token string) error {
	if token == "" {
		token = vpsiesim.DefaultToken
	}
	return errors.Join(s.Sim.ChangeToken(ctx, vpsiesim.TokenChange{Token: token}), s.WriteToken(token))
}

// errForeignCluster is returned where a part of the control plane must be stopped.
var errForeignCluster = errors.New("the control plane of KUBECONFIG cannot be frozen; unset KUBECONFIG so that the tests start their own")

func (s *storm) freezeKubernetes() error {
	if s.ControlPlane() == nil {
		return errForeignCluster
	}
	return s.ControlPlane().Freeze(cluster.APIServer)
}

func (s *storm) thawKubernetes() error {
	if s.ControlPlane() == nil {
		return nil
	}
	return s.ControlPlane().Thaw(cluster.APIServer)
}

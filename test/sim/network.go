package sim

import (
	"context"
	"net"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// gatedNetwork gives each process an address of its own and leads who dials to the elected replica, as a
// headless Service and gRPC's health checks do together.
type gatedNetwork struct {
	world *world
	owner *process
}

var _ rpc.Network = (*gatedNetwork)(nil)

// Listen listens under the name of the process.
func (n *gatedNetwork) Listen(ctx context.Context, address string) (net.Listener, error) {
	if address != catalogueAddress {
		return n.world.network.Listen(ctx, "operations:0")
	}
	return n.world.network.Listen(ctx, n.owner.name)
}

// Dial connects to the elected provisioner.
func (n *gatedNetwork) Dial(ctx context.Context, address string) (net.Conn, error) {
	if _, err := n.owner.gate.enter(false); err != nil {
		return nil, err
	}
	if leader := n.world.leader(Provisioner); leader != nil && leader.gate.alive() == nil {
		address = leader.name
	}
	return n.world.network.Dial(ctx, address)
}

// leader is the running process that holds a service's Lease, nil when there is none.
func (w *world) leader(service string) *process {
	lease := kubesim.Get[coordinationv1.Lease](w.cluster.server, namespace, "vpsie-"+service)
	if lease == nil || lease.Spec.HolderIdentity == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holders[*lease.Spec.HolderIdentity]
}

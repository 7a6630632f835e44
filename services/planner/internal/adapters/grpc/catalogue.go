// Package grpc asks the provisioner what can be bought.
package grpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	cataloguev1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/catalogue/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// Config says where the provisioner is.
type Config struct {
	Address string `help:"Address of the provisioner's catalogue service (gRPC)." default:"127.0.0.1:9090"`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	if c.Address == "" {
		return errors.New("catalogue-address is empty: set it to the provisioner's rpc-address")
	}
	return nil
}

// Catalogues asks the provisioner. It is safe for concurrent use.
type Catalogues struct {
	conn   *grpc.ClientConn
	client cataloguev1.CatalogueServiceClient
}

var _ app.Catalogues = (*Catalogues)(nil)

// NewCatalogues returns a client that connects when it is first asked; the caller closes it.
func NewCatalogues(c Config, network rpc.Network) (*Catalogues, error) {
	conn, err := rpc.NewClient(c.Address, network)
	if err != nil {
		return nil, err
	}
	return &Catalogues{conn: conn, client: cataloguev1.NewCatalogueServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Catalogues) Close() error { return c.conn.Close() }

// Describe implements app.Catalogues.
func (c *Catalogues) Describe(ctx context.Context, cluster, datacenter string) (scaling.Catalogue, error) {
	r, err := c.client.Describe(ctx, &cataloguev1.DescribeRequest{Cluster: cluster, Datacenter: datacenter})
	if err != nil {
		return scaling.Catalogue{}, fmt.Errorf("describe cluster %q: %w", cluster, err)
	}
	return decode(r), nil
}

func decode(r *cataloguev1.DescribeResponse) scaling.Catalogue {
	c := scaling.Catalogue{
		HealthMessage:  r.GetHealth().GetMessage(),
		ClusterKnown:   r.GetCluster() != cataloguev1.ClusterState_CLUSTER_STATE_UNSPECIFIED,
		ClusterFound:   r.GetCluster() == cataloguev1.ClusterState_CLUSTER_STATE_FOUND,
		ClusterMessage: r.GetClusterMessage(),
		Known:          r.GetObservedAt() != nil,
	}
	switch r.GetHealth().GetState() {
	case cataloguev1.HealthState_HEALTH_STATE_HEALTHY:
		c.Health = scaling.Healthy
	case cataloguev1.HealthState_HEALTH_STATE_UNAUTHORIZED:
		c.Health = scaling.Unauthorized
	case cataloguev1.HealthState_HEALTH_STATE_UNAVAILABLE:
		c.Health = scaling.Unavailable
	}
	for _, o := range r.GetOfferings() {
		offering := scaling.Offering{
			Offering: scheduling.Offering{
				ID: o.GetId(), Name: o.GetName(), MilliCPU: o.GetCpuMillis(), MemoryBytes: o.GetMemoryBytes(), DiskBytes: o.GetDiskBytes(),
				MonthlyPrice: money.Micros(o.GetMonthlyPriceMicros()),
			},
			BackoffReason: reason.Code(o.GetBackoffReason()), BackoffMessage: o.GetBackoffMessage(),
		}
		if o.GetBackoffUntil() != nil {
			offering.BackoffUntil = o.GetBackoffUntil().AsTime()
		}
		c.Offerings = append(c.Offerings, offering)
	}
	return c
}

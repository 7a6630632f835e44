// Package catalogue asks the provisioner what can be launched.
package catalogue

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	cataloguev1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/catalogue/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
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

// Client asks the provisioner. It is safe for concurrent use.
type Client struct {
	conn   *grpc.ClientConn
	client cataloguev1.CatalogueServiceClient
}

// NewClient returns a client that connects when it is first asked; the caller closes it.
func NewClient(c Config, network rpc.Network) (*Client, error) {
	conn, err := rpc.NewClient(c.Address, network)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, client: cataloguev1.NewCatalogueServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Describe returns what can be launched for one cluster; what is not known is marked so, and an error means that the provisioner does not answer.
func (c *Client) Describe(ctx context.Context, cluster, datacenter string) (fleet.Catalogue, error) {
	r, err := c.client.Describe(ctx, &cataloguev1.DescribeRequest{Cluster: cluster, Datacenter: datacenter})
	if err != nil {
		return fleet.Catalogue{}, fmt.Errorf("describe cluster %q: %w", cluster, err)
	}
	return decode(r), nil
}

func decode(r *cataloguev1.DescribeResponse) fleet.Catalogue {
	c := fleet.Catalogue{
		HealthMessage:  r.GetHealth().GetMessage(),
		ClusterKnown:   r.GetCluster() != cataloguev1.ClusterState_CLUSTER_STATE_UNSPECIFIED,
		ClusterFound:   r.GetCluster() == cataloguev1.ClusterState_CLUSTER_STATE_FOUND,
		ClusterMessage: r.GetClusterMessage(),
		Known:          r.GetObservedAt() != nil,
	}
	switch r.GetHealth().GetState() {
	case cataloguev1.HealthState_HEALTH_STATE_HEALTHY:
		c.Health = fleet.Healthy
	case cataloguev1.HealthState_HEALTH_STATE_UNAUTHORIZED:
		c.Health = fleet.Unauthorized
	case cataloguev1.HealthState_HEALTH_STATE_UNAVAILABLE:
		c.Health = fleet.Unavailable
	}
	for _, o := range r.GetOfferings() {
		offering := fleet.Offering{
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

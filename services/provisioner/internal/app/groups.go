package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// vpsieGroupPrefix starts the names of the VPSie groups that are made, one a size and cluster.
const vpsieGroupPrefix = "vpsie-autoscaler-"

// vpsieGroups finds the VPSie group of each size, and makes those that are missing. VPSie allows one
// group a size and cluster, so it is shared by all NodeGroups that launch the size. For a size without a
// group it returns why VPSie makes none.
func (c *Clusters) vpsieGroups(ctx context.Context, cluster string, batch []launch.Candidate) (map[int64]int64, map[int64]*CloudError, error) {
	have := func() map[int64]int64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.groups[cluster]
	}
	missing := func() []int64 {
		var sizes []int64
		for _, candidate := range batch {
			if have()[candidate.Offering] == 0 {
				sizes = append(sizes, candidate.Offering)
			}
		}
		return sizes
	}
	if len(missing()) == 0 {
		return have(), nil, nil
	}
	if err := c.readGroups(ctx, cluster); err != nil {
		return nil, nil, err
	}
	refused := map[int64]*CloudError{}
	for _, size := range missing() {
		if refused[size] != nil {
			continue
		}
		refused[size] = &CloudError{Failure: Refused, Code: reason.NoScaleUpLaunchFailed, Endpoint: "add group",
			Message: fmt.Sprintf("size %d has no node group at VPSie, and VPSie lists none after the request to create it", size)}
		// Whatever the answer, the listing tells whether the group exists.
		if err := c.cloud.CreateGroup(ctx, c.stillTrue(c.clock.Now()), cluster, vpsieGroupPrefix+strconv.FormatInt(size, 10), size); err != nil {
			c.log.WarnContext(ctx, "node group at VPSie not created", telemetry.KeyCluster, cluster, telemetry.KeyError, err)
			if AsCloudError(err).Failure != Refused {
				return nil, nil, err
			}
			refused[size] = AsCloudError(err)
		}
	}
	if len(refused) > 0 {
		if err := c.readGroups(ctx, cluster); err != nil {
			return nil, nil, err
		}
	}
	return have(), refused, nil
}

func (c *Clusters) readGroups(ctx context.Context, cluster string) error {
	groups, err := c.cloud.Groups(ctx, cluster)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[cluster] = groups
	return nil
}

func (c *Clusters) forgetGroups(cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, cluster)
}

package simulation

import (
	"fmt"
	"strings"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/nodegroup"
)

// Shut says why nothing may be launched for a group whatever its sizes are; the zero Refusal where that is not so.
func (c *Cluster) Shut(g *fleet.Group) disruption.Refusal { return c.shut[g.Key()].Refusal }

// closure is why nothing may be launched for a group.
type closure struct {
	disruption.Refusal
	// keeps says that nothing may be removed from it either.
	keeps bool
}

func (c *Cluster) judge(g *fleet.Group) closure {
	sold, problems := &g.Catalogue, nodegroup.Validate(g.NodeGroup)
	switch {
	case len(problems) > 0:
		return closed(true, reason.NoScaleUpGroupInvalid, strings.Join(problems, "; ")+"; nothing is launched or retired for the group until this is corrected")
	case sold.Health == fleet.Unauthorized:
		return closed(true, reason.NoScaleUpUnauthorized, fmt.Sprintf(
			"VPSie refuses the credentials (%s), so no machine can be launched or terminated; they are read and tried again every few seconds; put a valid token where the provisioner reads it", sold.HealthMessage))
	case sold.ClusterKnown && !sold.ClusterFound:
		return closed(true, reason.NoScaleUpClusterUnknown, fmt.Sprintf(
			"VPSie knows no cluster %s (%s), so nothing is launched for the group; it is looked up again every few seconds; correct spec.cluster.identifier, or give the credentials access to that cluster",
			g.Spec.Cluster.Identifier, sold.ClusterMessage)).with(reason.Values{reason.ParamCluster: g.Spec.Cluster.Identifier})
	case sold.Health == fleet.Unavailable:
		return closed(true, reason.NoScaleUpAPIUnavailable, fmt.Sprintf(
			"VPSie's API fails (%s), so the circuit breaker is open and no machine is launched or terminated; a call is tried every few seconds and work resumes automatically; nothing needs to be done unless this lasts", sold.HealthMessage))
	case !sold.Known || !sold.ClusterKnown || c.Blind[g.Key()]:
		return closed(false, reason.NoScaleUpCatalogueUnknown,
			"the catalogue for the group is not known yet, so nothing is launched; it is requested again at once; check the provisioner's log if this lasts")
	case c.Snapshot.Paused != "":
		return closed(false, reason.HoldPaused, c.Snapshot.Paused).with(reason.UntilOf(c.Snapshot.PausedUntil))
	}
	return closure{}
}

func closed(keeps bool, code reason.Code, message string) closure {
	return closure{disruption.Refusal{Code: code, Message: message}, keeps}
}

func (c closure) with(parameters reason.Values) closure {
	c.Parameters = parameters
	return c
}

// Closed says why nothing may be removed from a group either, whatever it allows; the zero Refusal where that is not so.
func (c *Cluster) Closed(g *fleet.Group) disruption.Refusal {
	if shut := c.shut[g.Key()]; shut.keeps {
		return shut.Refusal
	}
	return disruption.Refusal{}
}

package scaling

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// offeringsShown bounds the sizes that a message lists.
const offeringsShown = 8

// admission is what may be bought for a group now.
type admission struct {
	// refusal says why nothing may be, the zero Refusal that something may.
	refusal Refusal
	// offerings are the sizes that the group can buy, paused those whose purchases pause after VPSie refused them.
	offerings, paused []*fleet.Offering
}

// admit finds out what may be bought for a group.
func (p *planner) admit(g *fleet.Group) admission {
	if refusal := p.shut(g); refusal.Code != "" {
		return admission{refusal: refusal}
	}
	wanted := g.Wanted()
	if len(wanted) == 0 {
		return admission{refusal: p.nothingWanted(g)}
	}
	var a admission
	for _, o := range wanted {
		if o.BackoffUntil.After(p.now) {
			a.paused = append(a.paused, o)
		} else {
			a.offerings = append(a.offerings, o)
		}
	}
	switch {
	case g.Spec.Mode == v1beta1.ModePaused:
		a.refusal = Refusal{reason.NoScaleUpGroupPaused, "the group is paused, so no machine is launched or retired for it; set spec.mode to Enforce to resume"}
	case g.Spec.ScaleUp.Enabled != nil && !*g.Spec.ScaleUp.Enabled:
		a.refusal = Refusal{reason.NoScaleUpGroupDisabled, "scale-up is switched off for the group; set spec.scaleUp.enabled to true to allow launches"}
	case len(a.offerings) == 0:
		soonest := slices.MinFunc(a.paused, func(x, y *fleet.Offering) int { return x.BackoffUntil.Compare(y.BackoffUntil) })
		a.refusal = Refusal{soonest.BackoffReason, fmt.Sprintf("every size of the group is in backoff because VPSie refused it (%s); it is requested again at %s; %s",
			soonest.BackoffMessage, minute(soonest.BackoffUntil), remedy(soonest.BackoffReason))}
	}
	return a
}

// shut says why nothing may be bought for a group whatever its sizes are.
func (p *planner) shut(g *fleet.Group) Refusal {
	c, problems := &g.Catalogue, fleet.Validate(g.NodeGroup)
	switch {
	case len(problems) > 0:
		return Refusal{reason.NoScaleUpGroupInvalid, strings.Join(problems, "; ") + "; nothing is launched or retired for the group until this is corrected"}
	case c.Health == fleet.Unauthorized:
		return Refusal{reason.NoScaleUpUnauthorized, fmt.Sprintf(
			"VPSie refuses the credentials (%s), so no machine can be launched or terminated; they are read and tried again every few seconds; put a valid token where the provisioner reads it", c.HealthMessage)}
	case c.ClusterKnown && !c.ClusterFound:
		return Refusal{reason.NoScaleUpClusterUnknown, fmt.Sprintf(
			"VPSie knows no cluster %s (%s), so nothing is launched for the group; it is looked up again every few seconds; correct spec.cluster.identifier, or give the credentials access to that cluster",
			g.Spec.Cluster.Identifier, c.ClusterMessage)}
	case c.Health == fleet.Unavailable:
		return Refusal{reason.NoScaleUpAPIUnavailable, fmt.Sprintf(
			"VPSie's API fails (%s), so the circuit breaker is open and no machine is launched or terminated; a call is tried every few seconds and work resumes automatically; nothing needs to be done unless this lasts", c.HealthMessage)}
	case !c.Known || !c.ClusterKnown || p.blind[g.Key()]:
		return Refusal{reason.NoScaleUpCatalogueUnknown,
			"the catalogue for the group is not known yet, so nothing is launched; it is requested again at once; check the provisioner's log if this lasts"}
	case p.snapshot.Paused != "":
		return Refusal{reason.HoldPaused, p.snapshot.Paused}
	}
	return Refusal{}
}

// minute is a time for people, rounded up to the minute.
func minute(t time.Time) string {
	return t.Add(time.Minute - 1).UTC().Truncate(time.Minute).Format("2006-01-02T15:04Z07:00")
}

func remedy(code reason.Code) string {
	if code == reason.NoScaleUpQuota {
		return "raise the limit of workers at VPSie, or lower maxNodes"
	}
	return "allow more sizes in the group if this lasts"
}

// nothingWanted says why none of the sizes on sale is for the group.
func (p *planner) nothingWanted(g *fleet.Group) Refusal {
	var sold []string
	for _, o := range g.Catalogue.Offerings {
		if len(sold) == offeringsShown {
			sold = append(sold, "…")
			break
		}
		sold = append(sold, fmt.Sprintf("%d (%s)", o.ID, o.Name))
	}
	shown := "sizes sold: " + strings.Join(sold, ", ")
	if len(sold) == 0 {
		shown = "nothing is sold there; check spec.cluster.datacenter"
	}
	if len(g.Spec.Offerings) > 0 {
		return Refusal{reason.NoScaleUpOfferingUnknown, fmt.Sprintf(
			"VPSie sells none of the sizes %v in datacenter %s, so nothing can be launched for the group; the catalogue is read again every five minutes; name sizes that are sold in spec.offerings: %s",
			g.Spec.Offerings, g.Spec.Cluster.Datacenter, shown)}
	}
	return Refusal{reason.NoScaleUpNoOffering, fmt.Sprintf(
		"no size that VPSie sells in datacenter %s meets spec.offeringSelector, so nothing can be launched for the group; the catalogue is read again every five minutes; widen the selector: %s",
		g.Spec.Cluster.Datacenter, shown)}
}

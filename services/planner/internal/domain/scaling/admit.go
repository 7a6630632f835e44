package scaling

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

// offeringsShown bounds the sizes that a message lists.
const offeringsShown = 8

// admission is what may be launched for a group now.
type admission struct {
	// refusal says why nothing may be, the zero Refusal that something may.
	refusal Refusal
	// offerings are the sizes that the group can launch, paused those in backoff after VPSie refused them.
	offerings, paused []*fleet.Offering
}

// admit finds out what may be launched for a group.
func (p *planner) admit(g *fleet.Group) admission {
	if refusal := p.cluster.Shut(g); refusal.Code != "" {
		return admission{refusal: Refusal{refusal.Code, refusal.Message, refusal.Parameters}}
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
	code, message := g.Policy().NoLaunch()
	switch {
	case code != "" && code != reason.NoScaleUpGroupRecommend: // which shows what it would launch
		a.refusal = Refusal{Code: code, Message: message}
	case len(a.offerings) == 0:
		soonest := slices.MinFunc(a.paused, func(x, y *fleet.Offering) int { return x.BackoffUntil.Compare(y.BackoffUntil) })
		a.refusal = Refusal{soonest.BackoffReason, fmt.Sprintf("every size of the group is in backoff because VPSie refused it (%s); it is requested again at %s; %s",
			soonest.BackoffMessage, minute(soonest.BackoffUntil), remedy(soonest.BackoffReason)),
			reason.Values{reason.ParamOffering: soonest.Name, reason.ParamUntil: reason.TimeOf(soonest.BackoffUntil)}}
	}
	return a
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
			g.Spec.Offerings, g.Spec.Cluster.Datacenter, shown),
			reason.Values{reason.ParamDatacenter: g.Spec.Cluster.Datacenter, reason.ParamOfferings: reason.NamesOf(texts(g.Spec.Offerings))}}
	}
	return Refusal{reason.NoScaleUpNoOffering, fmt.Sprintf(
		"no size that VPSie sells in datacenter %s meets spec.offeringSelector, so nothing can be launched for the group; the catalogue is read again every five minutes; widen the selector: %s",
		g.Spec.Cluster.Datacenter, shown), reason.Values{reason.ParamDatacenter: g.Spec.Cluster.Datacenter}}
}

// texts are identifiers as parameters have them.
func texts(identifiers []int64) []string {
	out := make([]string, len(identifiers))
	for i, id := range identifiers {
		out[i] = strconv.FormatInt(id, 10)
	}
	return out
}

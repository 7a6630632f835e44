package scaling

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// offeringsShown bounds the sizes that a message lists.
const offeringsShown = 8

// admission is what may be bought for a group now.
type admission struct {
	// refusal says why nothing may be, the zero Refusal that something may.
	refusal Refusal
	// offerings are the sizes that the group can buy, paused those whose purchases pause after VPSie refused them.
	offerings, paused []*Offering
}

// admit finds out what may be bought for a group.
func (p *planner) admit(g *Group) admission {
	if refusal := p.shut(g); refusal.Code != "" {
		return admission{refusal: refusal}
	}
	wanted := p.wanted(g)
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
		a.refusal = Refusal{reason.NoScaleUpGroupPaused, "the group is paused, so nothing is bought or removed for it; set spec.mode to Enforce to go on"}
	case g.Spec.ScaleUp.Enabled != nil && !*g.Spec.ScaleUp.Enabled:
		a.refusal = Refusal{reason.NoScaleUpGroupDisabled, "scale-up is switched off for the group; set spec.scaleUp.enabled to true to allow purchases"}
	case len(a.offerings) == 0:
		soonest := slices.MinFunc(a.paused, func(x, y *Offering) int { return x.BackoffUntil.Compare(y.BackoffUntil) })
		a.refusal = Refusal{soonest.BackoffReason, fmt.Sprintf("every size of the group pauses after VPSie refused it (%s); it is tried again by itself at %s; %s",
			soonest.BackoffMessage, minute(soonest.BackoffUntil), remedy(soonest.BackoffReason))}
	}
	return a
}

// shut says why nothing may be bought for a group whatever its sizes are.
func (p *planner) shut(g *Group) Refusal {
	c := &g.Catalogue
	switch {
	case g.Spec.MinNodes > g.Spec.MaxNodes:
		return Refusal{reason.NoScaleUpGroupInvalid, fmt.Sprintf(
			"minNodes (%d) is above maxNodes (%d), so no number of nodes would satisfy both; nothing is bought or removed for the group until this is mended; lower minNodes or raise maxNodes",
			g.Spec.MinNodes, g.Spec.MaxNodes)}
	case invalid(g) != "":
		return Refusal{reason.NoScaleUpGroupInvalid, invalid(g) + "; nothing is bought or removed for the group until this is mended"}
	case c.Health == Unauthorized:
		return Refusal{reason.NoScaleUpUnauthorized, fmt.Sprintf(
			"VPSie refuses the credentials (%s), so nothing can be bought or deleted; they are read and tried again every few seconds; put a valid token where the provisioner reads it", c.HealthMessage)}
	case c.ClusterKnown && !c.ClusterFound:
		return Refusal{reason.NoScaleUpClusterUnknown, fmt.Sprintf(
			"VPSie knows no cluster %s (%s), so nothing is bought for the group; it is looked up again every few seconds; correct spec.cluster.identifier, or give the credentials access to that cluster",
			g.Spec.Cluster.Identifier, c.ClusterMessage)}
	case c.Health == Unavailable:
		return Refusal{reason.NoScaleUpAPIUnavailable, fmt.Sprintf(
			"VPSie's API fails (%s), so calls are kept back and nothing is bought or deleted; it is tried again every few seconds and work resumes by itself; nothing needs to be done unless this lasts", c.HealthMessage)}
	case !c.Known || !c.ClusterKnown || p.blind[g.name()]:
		return Refusal{reason.NoScaleUpCatalogueUnknown,
			"what VPSie sells for the group is not known yet, so nothing is bought on a guess; it is asked again at once; look at the provisioner's log if this lasts"}
	case p.snapshot.Paused != "":
		return Refusal{reason.HoldPaused, p.snapshot.Paused}
	}
	return Refusal{}
}

// invalid says what in a group's specification nothing could be done with, which the schema lets pass.
func invalid(g *Group) string {
	if problems := validation.IsValidLabelValue(g.Name); len(problems) > 0 {
		return fmt.Sprintf("the group's name is no value for a label (%s); give it a name of at most 63 characters", problems[0])
	}
	for _, key := range slices.Sorted(maps.Keys(g.Spec.Template.Labels)) {
		value := g.Spec.Template.Labels[key]
		switch problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); {
		case len(problems) > 0:
			return fmt.Sprintf("template.labels %s=%s is no label (%s)", key, value, problems[0])
		case key == corev1.LabelHostname:
			return "template.labels must not contain " + key + ", which every Node has for itself"
		}
	}
	if problem := invalidTaint("template.taints", g.Spec.Template.Taints) + invalidTaint("template.startupTaints", g.Spec.Template.StartupTaints); problem != "" {
		return problem
	}
	for _, name := range slices.Sorted(maps.Keys(g.Spec.Template.Resources)) {
		quantity := g.Spec.Template.Resources[name]
		if len(validation.IsQualifiedName(string(name))) > 0 || !isDevice(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
			return fmt.Sprintf("template.resources %s is no extended resource, such as nvidia.com/gpu", name)
		}
		if whole, exact := quantity.AsInt64(); !exact || whole < 0 {
			return fmt.Sprintf("template.resources %s=%s is no whole number of devices", name, quantity.String())
		}
	}
	if problem := negative(g); problem != "" {
		return problem
	}
	down := g.Spec.ScaleDown
	if down.UnneededFor != nil && down.UnneededFor.Duration < 0 || down.UnreadyFor != nil && down.UnreadyFor.Duration < 0 ||
		down.DrainTimeout != nil && down.DrainTimeout.Duration <= 0 {
		return "scaleDown.unneededFor and scaleDown.unreadyFor must not be negative and scaleDown.drainTimeout must be positive"
	}
	return ""
}

// negative says which amount of a group's specification is below zero.
func negative(g *Group) string {
	type amount struct {
		field string
		value *resource.Quantity
	}
	amounts := []amount{{"limits.cpu", g.Spec.Limits.CPU}, {"limits.memory", g.Spec.Limits.Memory}, {"limits.monthlyCost", g.Spec.Limits.MonthlyCost}}
	if s := g.Spec.OfferingSelector; s != nil {
		amounts = append(amounts, amount{"offeringSelector.minCPU", s.MinCPU}, amount{"offeringSelector.maxCPU", s.MaxCPU},
			amount{"offeringSelector.minMemory", s.MinMemory}, amount{"offeringSelector.maxMemory", s.MaxMemory}, amount{"offeringSelector.maxMonthlyPrice", s.MaxMonthlyPrice})
	}
	for _, a := range amounts {
		if a.value != nil && a.value.Sign() < 0 {
			return fmt.Sprintf("%s is %s and must not be negative", a.field, a.value)
		}
	}
	return ""
}

// invalidTaint says what is no taint of a list.
func invalidTaint(field string, taints []corev1.Taint) string {
	for _, taint := range taints {
		known := taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectPreferNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
		if problems := append(validation.IsQualifiedName(taint.Key), validation.IsValidLabelValue(taint.Value)...); len(problems) > 0 || !known {
			return fmt.Sprintf("%s %s is no taint; its effect must be NoSchedule, PreferNoSchedule or NoExecute, and its key and value those of a label", field, taint.ToString())
		}
	}
	return ""
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

// wanted are the sizes that the group allows, cheapest first.
func (p *planner) wanted(g *Group) []*Offering {
	var wanted []*Offering
	for i := range g.Catalogue.Offerings {
		o := &g.Catalogue.Offerings[i]
		if len(g.Spec.Offerings) > 0 && !slices.Contains(g.Spec.Offerings, o.ID) || !selected(g.Spec.OfferingSelector, o) {
			continue
		}
		wanted = append(wanted, o)
	}
	slices.SortFunc(wanted, func(a, b *Offering) int {
		if a.MonthlyPrice != b.MonthlyPrice {
			return int(a.MonthlyPrice - b.MonthlyPrice)
		}
		return int(a.ID - b.ID)
	})
	return wanted
}

func selected(s *v1beta1.OfferingSelector, o *Offering) bool {
	if s == nil {
		return true
	}
	return (s.MinCPU == nil || o.MilliCPU >= s.MinCPU.MilliValue()) &&
		(s.MaxCPU == nil || o.MilliCPU <= s.MaxCPU.MilliValue()) &&
		(s.MinMemory == nil || o.MemoryBytes >= s.MinMemory.Value()) &&
		(s.MaxMemory == nil || o.MemoryBytes <= s.MaxMemory.Value()) &&
		(s.MaxMonthlyPrice == nil || o.MonthlyPrice <= money.FromQuantity(s.MaxMonthlyPrice))
}

// nothingWanted says why none of the sizes on sale is for the group.
func (p *planner) nothingWanted(g *Group) Refusal {
	var sold []string
	for _, o := range g.Catalogue.Offerings {
		if len(sold) == offeringsShown {
			sold = append(sold, "…")
			break
		}
		sold = append(sold, fmt.Sprintf("%d (%s)", o.ID, o.Name))
	}
	shown := "sold are " + strings.Join(sold, ", ")
	if len(sold) == 0 {
		shown = "nothing is sold there; check spec.cluster.datacenter"
	}
	if len(g.Spec.Offerings) > 0 {
		return Refusal{reason.NoScaleUpOfferingUnknown, fmt.Sprintf(
			"VPSie sells none of the sizes %v in datacenter %s, so nothing can be bought for the group; the list is read again every five minutes; name sizes that are sold in spec.offerings: %s",
			g.Spec.Offerings, g.Spec.Cluster.Datacenter, shown)}
	}
	return Refusal{reason.NoScaleUpNoOffering, fmt.Sprintf(
		"no size that VPSie sells in datacenter %s meets spec.offeringSelector, so nothing can be bought for the group; the list is read again every five minutes; widen the selector: %s",
		g.Spec.Cluster.Datacenter, shown)}
}

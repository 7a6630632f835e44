package fleet

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/nodegroup"
)

// Group is a NodeGroup and what can be launched for it.
type Group struct {
	*v1beta1.NodeGroup
	Catalogue Catalogue
}

// Key is namespace/name.
func (g *Group) Key() string { return g.Namespace + "/" + g.Name }

// Policy is what the group asks for, with its defaults.
func (g *Group) Policy() nodegroup.Policy { return nodegroup.PolicyOf(g.NodeGroup) }

// PriceOf is what a machine costs a month: what it cost when it was launched, else what its size costs now; false where neither
// is known.
func (g *Group) PriceOf(m *v1beta1.VPSieNode) (money.Micros, bool) {
	if price, known := money.Parse(m.Status.MonthlyPrice); known {
		return price, true
	}
	if o := g.Catalogue.Find(m.Spec.Offering); o != nil {
		return o.MonthlyPrice, true
	}
	return 0, false
}

// Wanted are the sizes that the group allows, the cheapest first.
func (g *Group) Wanted() []*Offering {
	var wanted []*Offering
	for i := range g.Catalogue.Offerings {
		o := &g.Catalogue.Offerings[i]
		if len(g.Spec.Offerings) > 0 && !slices.Contains(g.Spec.Offerings, o.ID) || !selects(g.Spec.OfferingSelector, o) {
			continue
		}
		wanted = append(wanted, o)
	}
	slices.SortFunc(wanted, func(a, b *Offering) int {
		return cmp.Or(cmp.Compare(a.MonthlyPrice, b.MonthlyPrice), cmp.Compare(a.ID, b.ID))
	})
	return wanted
}

func selects(s *v1beta1.OfferingSelector, o *Offering) bool {
	if s == nil {
		return true
	}
	return (s.MinCPU == nil || o.MilliCPU >= count(s.MinCPU, resource.Milli)) &&
		(s.MaxCPU == nil || o.MilliCPU <= count(s.MaxCPU, resource.Milli)) &&
		(s.MinMemory == nil || o.MemoryBytes >= count(s.MinMemory, 0)) &&
		(s.MaxMemory == nil || o.MemoryBytes <= count(s.MaxMemory, 0)) &&
		(s.MaxMonthlyPrice == nil || int64(o.MonthlyPrice) <= count(s.MaxMonthlyPrice, resource.Micro))
}

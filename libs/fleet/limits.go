package fleet

import (
	"math"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// LimitOf is what a NodeGroup's limits allow all its machines to have and cost together, nothing where one is negative. It does not bound how
// many these are.
func LimitOf(l v1beta1.GroupLimits) bounds.Limit {
	limit := bounds.Unlimited
	if l.CPU != nil {
		limit.MilliCPU = max(count(l.CPU, resource.Milli), 0)
	}
	if l.Memory != nil {
		limit.MemoryBytes = max(count(l.Memory, 0), 0)
	}
	if l.MonthlyCost != nil {
		limit.MonthlyPrice = money.Micros(max(count(l.MonthlyCost, resource.Micro), 0))
	}
	return limit
}

// count is a quantity in a unit, rounded up. One that is too large to count is the largest number: resource.Quantity itself makes zero of it.
func count(q *resource.Quantity, unit resource.Scale) int64 {
	if q.Cmp(*resource.NewScaledQuantity(math.MaxInt64, unit)) > 0 {
		return math.MaxInt64
	}
	return q.ScaledValue(unit)
}

// Usage is what a group's machines have and cost, those on their way and those that leave included (see Occupies); false when the size of one of
// them is not known, so that what limits leave over is not either.
func (s *Snapshot) Usage(g *Group) (bounds.Amounts, bool) {
	var used bounds.Amounts
	known := true
	for _, m := range s.Machines {
		if GroupOf(m) != g.Key() || !Occupies(m) {
			continue
		}
		o := g.Catalogue.Find(m.Spec.Offering)
		if o == nil {
			known = false
			continue
		}
		price, _ := g.PriceOf(m) // known where the size is
		used = used.Add(bounds.Amounts{Nodes: 1, MilliCPU: o.MilliCPU, MemoryBytes: o.MemoryBytes, MonthlyPrice: price})
	}
	return used, known
}

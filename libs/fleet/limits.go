package fleet

import (
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// Amounts are what machines have together, and what they cost a month.
type Amounts struct {
	MilliCPU, MemoryBytes int64
	MonthlyPrice          money.Micros
}

// Add returns both together.
func (a Amounts) Add(b Amounts) Amounts {
	return Amounts{a.MilliCPU + b.MilliCPU, a.MemoryBytes + b.MemoryBytes, a.MonthlyPrice + b.MonthlyPrice}
}

// Ceilings bound the amounts of a group; nil bounds nothing.
type Ceilings struct {
	MilliCPU, MemoryBytes *int64
	MonthlyPrice          *money.Micros
}

// CeilingsOf are those of a NodeGroup's limits.
func CeilingsOf(l v1beta1.GroupLimits) Ceilings {
	var c Ceilings
	if l.CPU != nil {
		c.MilliCPU = new(l.CPU.MilliValue())
	}
	if l.Memory != nil {
		c.MemoryBytes = new(l.Memory.Value())
	}
	if l.MonthlyCost != nil {
		c.MonthlyPrice = new(money.FromQuantity(l.MonthlyCost))
	}
	return c
}

// Any reports whether anything is bounded.
func (c Ceilings) Any() bool {
	return c.MilliCPU != nil || c.MemoryBytes != nil || c.MonthlyPrice != nil
}

// Allow reports whether a group may have such amounts.
func (c Ceilings) Allow(a Amounts) bool {
	return (c.MilliCPU == nil || a.MilliCPU <= *c.MilliCPU) && (c.MemoryBytes == nil || a.MemoryBytes <= *c.MemoryBytes) &&
		(c.MonthlyPrice == nil || a.MonthlyPrice <= *c.MonthlyPrice)
}

// Left is what the ceilings leave over beside what is used, nothing where that is more than they allow; what is not bounded stays nil.
func (c Ceilings) Left(used Amounts) Ceilings {
	return Ceilings{left(c.MilliCPU, used.MilliCPU), left(c.MemoryBytes, used.MemoryBytes), left(c.MonthlyPrice, used.MonthlyPrice)}
}

func left[T int64 | money.Micros](ceiling *T, used T) *T {
	if ceiling == nil {
		return nil
	}
	return new(max(*ceiling-used, 0))
}

// Usage is what a group's machines have and cost, those on their way and those that leave included; false when the size of one of
// them is not known, so that what limits leave over is not either.
func (s *Snapshot) Usage(g *Group) (Amounts, bool) {
	var used Amounts
	known := true
	for _, m := range s.Machines {
		if GroupOf(m) != g.Key() || HasFailed(m) {
			continue
		}
		o := g.Catalogue.Find(m.Spec.Offering)
		if o == nil {
			known = false
			continue
		}
		price, _ := g.PriceOf(m) // known where the size is
		used = used.Add(Amounts{o.MilliCPU, o.MemoryBytes, price})
	}
	return used, known
}

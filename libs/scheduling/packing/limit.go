package packing

import "github.com/vpsie/vpsie-autoscaler/libs/money"

// Limit bounds what one plan buys for a group. A negative field does not bound.
type Limit struct {
	Nodes        int
	MilliCPU     int64
	MemoryBytes  int64
	MonthlyPrice money.Micros
}

// Unlimited bounds nothing.
var Unlimited = Limit{Nodes: -1, MilliCPU: -1, MemoryBytes: -1, MonthlyPrice: -1}

// Allows reports whether one more machine of an option keeps within the limit.
func (l Limit) Allows(o *Option) bool {
	return l.Nodes != 0 && fitsBound(l.MilliCPU, o.MilliCPU) && fitsBound(l.MemoryBytes, o.MemoryBytes) &&
		fitsBound(int64(l.MonthlyPrice), int64(o.MonthlyPrice))
}

func fitsBound(bound, amount int64) bool { return bound < 0 || amount <= bound }

// Less is what remains of the limit after one machine of an option.
func (l Limit) Less(o *Option) Limit {
	take := func(bound, amount int64) int64 {
		if bound < 0 {
			return bound
		}
		return max(bound-amount, 0)
	}
	return Limit{
		Nodes: int(take(int64(l.Nodes), 1)), MilliCPU: take(l.MilliCPU, o.MilliCPU), MemoryBytes: take(l.MemoryBytes, o.MemoryBytes),
		MonthlyPrice: money.Micros(take(int64(l.MonthlyPrice), int64(o.MonthlyPrice))),
	}
}

// machines is how many of an option the limit allows, negative when any number.
func (l Limit) machines(o *Option) int64 {
	most := int64(-1)
	bound := func(limit, each int64) {
		if limit >= 0 && each > 0 && (most < 0 || limit/each < most) {
			most = limit / each
		}
	}
	bound(int64(l.Nodes), 1)
	bound(l.MilliCPU, o.MilliCPU)
	bound(l.MemoryBytes, o.MemoryBytes)
	bound(int64(l.MonthlyPrice), int64(o.MonthlyPrice))
	return most
}

// Package bounds is the algebra of what machines have and cost together and of the limits on that, for the planner and for the provisioner.
package bounds

import (
	"math"

	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// Amounts are how many machines there are, what they have together, and what they cost a month.
type Amounts struct {
	Nodes        int64
	MilliCPU     int64
	MemoryBytes  int64
	MonthlyPrice money.Micros
}

// Add returns both together, none of which is negative. What is too large to count is the largest number, which no smaller bound allows.
func (a Amounts) Add(b Amounts) Amounts {
	return Amounts{sum(a.Nodes, b.Nodes), sum(a.MilliCPU, b.MilliCPU), sum(a.MemoryBytes, b.MemoryBytes), sum(a.MonthlyPrice, b.MonthlyPrice)}
}

func sum[T ~int64](a, b T) T {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Limit is the most that may be added. A negative amount bounds nothing.
type Limit Amounts

// unbounded is an amount that bounds nothing.
const unbounded = -1

// Unlimited bounds nothing.
var Unlimited = Limit{unbounded, unbounded, unbounded, unbounded}

// WithNodes is the limit with a bound on the number of machines.
func (l Limit) WithNodes(n int) Limit {
	l.Nodes = int64(n)
	return l
}

// BoundsSizes reports whether what machines have or cost is bounded.
func (l Limit) BoundsSizes() bool {
	return l.MilliCPU >= 0 || l.MemoryBytes >= 0 || l.MonthlyPrice >= 0
}

// Allows reports whether so much keeps within the limit.
func (l Limit) Allows(a Amounts) bool {
	return within(a.Nodes, l.Nodes) && within(a.MilliCPU, l.MilliCPU) && within(a.MemoryBytes, l.MemoryBytes) && within(a.MonthlyPrice, l.MonthlyPrice)
}

func within[T ~int64](amount, bound T) bool { return bound < 0 || amount <= bound }

// Less is what the limit leaves over beside what is used, nothing where that is more than it allows.
func (l Limit) Less(used Amounts) Limit {
	return Limit{less(l.Nodes, used.Nodes), less(l.MilliCPU, used.MilliCPU), less(l.MemoryBytes, used.MemoryBytes), less(l.MonthlyPrice, used.MonthlyPrice)}
}

func less[T ~int64](bound, used T) T {
	if bound < 0 {
		return bound
	}
	return max(bound-used, 0)
}

// Exhausted is the limit with nothing left over of what it bounds.
func (l Limit) Exhausted() Limit {
	return l.Less(Amounts{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64})
}

// Times is how often the limit allows so much, negative when any number of times.
func (l Limit) Times(a Amounts) int64 {
	most, amounts := int64(unbounded), a.Parts()
	for i, bound := range Amounts(l).Parts() {
		if each := amounts[i]; bound >= 0 && each > 0 && (most < 0 || bound/each < most) {
			most = bound / each
		}
	}
	return most
}

// Parts are the amounts in the order of their fields, for what is counted in shares of machines.
func (a Amounts) Parts() [4]int64 {
	return [...]int64{a.Nodes, a.MilliCPU, a.MemoryBytes, int64(a.MonthlyPrice)}
}

package bounds_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

func TestLimit(t *testing.T) {
	limit := bounds.Limit{Nodes: 3, MilliCPU: 8000, MemoryBytes: -1, MonthlyPrice: 100}
	for name, tc := range map[string]struct {
		amounts bounds.Amounts
		allowed bool
		left    bounds.Limit
		times   int64
	}{
		"Nothing":      {bounds.Amounts{}, true, limit, -1},
		"Exactly":      {bounds.Amounts{3, 8000, 1 << 50, 100}, true, bounds.Limit{0, 0, -1, 0}, 1},
		"TooManyNodes": {bounds.Amounts{Nodes: 4}, false, bounds.Limit{0, 8000, -1, 100}, 0},
		"TooManyCores": {bounds.Amounts{MilliCPU: 8001}, false, bounds.Limit{3, 0, -1, 100}, 0},
		"TooDear":      {bounds.Amounts{Nodes: 1, MonthlyPrice: 101}, false, bounds.Limit{2, 8000, -1, 0}, 0},
		"Unbounded":    {bounds.Amounts{MemoryBytes: 1 << 50}, true, limit, -1},
		"Scarcest":     {bounds.Amounts{1, 3000, 1 << 30, 10}, true, bounds.Limit{2, 5000, -1, 90}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := limit.Allows(tc.amounts); got != tc.allowed {
				t.Errorf("Allows = %v, want %v", got, tc.allowed)
			}
			if got := limit.Less(tc.amounts); got != tc.left {
				t.Errorf("Less = %+v, want %+v", got, tc.left)
			}
			if got := limit.Times(tc.amounts); got != tc.times {
				t.Errorf("Times = %d, want %d", got, tc.times)
			}
		})
	}
	if got, want := limit.Exhausted(), (bounds.Limit{0, 0, -1, 0}); got != want {
		t.Errorf("exhausted %+v, want %+v", got, want)
	}
	if bounds.Unlimited.WithNodes(2).BoundsSizes() || !limit.BoundsSizes() || bounds.Unlimited.BoundsSizes() {
		t.Error("BoundsSizes is wrong")
	}
}

// FuzzLimit checks the laws of limits on two uses of one limit, each field alone and beside others.
func FuzzLimit(f *testing.F) {
	for i, bound := range []int64{-1, 0, 1, 7, math.MaxInt64 - 1, math.MaxInt64} {
		for _, used := range []int64{0, 1, 3, math.MaxInt64} {
			f.Add(bound, used, used/2+1, uint8(3*i+5))
		}
	}
	f.Fuzz(func(t *testing.T, bound, a, b int64, fields uint8) {
		if bound < -1 || a < 0 || b < 0 {
			return
		}
		amounts := func(n int64) bounds.Amounts {
			of := func(bit int) int64 { return n * int64(fields>>bit&1) }
			return bounds.Amounts{Nodes: of(0), MilliCPU: of(1), MemoryBytes: of(2), MonthlyPrice: money.Micros(of(3))}
		}
		limit, first, second := bounds.Limit(amounts(bound)), amounts(a), amounts(b)
		both, left := first.Add(second), limit.Less(first)
		if both != second.Add(first) || !bounds.Limit(both).Allows(first) {
			t.Errorf("%+v and %+v are %+v together", first, second, both)
		}
		for i, part := range bounds.Amounts(left).Parts() {
			if was := bounds.Amounts(limit).Parts()[i]; was < 0 && part != was || was >= 0 && (part < 0 || part > was) {
				t.Errorf("%+v less %+v is %+v", limit, first, left)
			}
		}
		// A saturated sum stands for any larger one, which a bound as large cannot tell apart.
		if bound < math.MaxInt64 && limit.Allows(both) != (limit.Allows(first) && left.Allows(second)) {
			t.Errorf("%+v allows %+v and then %+v otherwise than both", limit, first, second)
		}
		if bound < math.MaxInt64 && left.Less(second) != limit.Less(both) {
			t.Errorf("%+v less %+v less %+v is not less both", limit, first, second)
		}
	})
}

// TestLimitsAddUp compares the ways to ask the same of random limits: one at a time, and all at once.
func TestLimitsAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	amounts := func(most int64) bounds.Amounts {
		return bounds.Amounts{random.Int64N(most), random.Int64N(most), random.Int64N(most), money.Micros(random.Int64N(most))}
	}
	for range 10_000 {
		limit, one := bounds.Limit(amounts(30)), amounts(5)
		if random.IntN(3) == 0 {
			limit.MilliCPU = -1
		}
		left, sum := limit, bounds.Amounts{}
		times := int64(0)
		for left.Allows(one) && times < 40 {
			left, sum, times = left.Less(one), sum.Add(one), times+1
		}
		if !limit.Allows(sum) || left != limit.Less(sum) {
			t.Fatalf("%+v taken %d times from %+v leaves %+v, all at once %+v", one, times, limit, left, limit.Less(sum))
		}
		if got := limit.Times(one); got >= 0 && got != times || got < 0 && times < 40 {
			t.Fatalf("%+v fits %d times into %+v, Times says %d", one, times, limit, got)
		}
	}
}

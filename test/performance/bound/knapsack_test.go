package bound

import (
	"math/rand/v2"
	"testing"
)

// What search returns is never less than the best filling, and what it finds is worth what it says.
func TestSearchBoundsEveryFilling(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	found := 0
	for round := range 2000 {
		m := machine{room: []int64{int64(5 + random.IntN(40)), int64(5 + random.IntN(40)), int64(2 + random.IntN(5))}, price: 10}
		var classes []class
		var prices []float64
		for range 1 + random.IntN(4) {
			classes = append(classes, class{needs: []int64{int64(random.IntN(15)), int64(1 + random.IntN(15)), 1}, count: 1 + random.IntN(5)})
			prices = append(prices, random.Float64()*6)
		}
		best := everyFilling(&m, classes, prices, m.room) / m.price
		threshold := []float64{0.2, 1}[random.IntN(2)]
		steps := []int{1, 5, 100_000}[random.IntN(3)]
		k := newKnapsack(&m, classes, prices)
		got := k.search(threshold, steps)
		if got < best-1e-6 {
			t.Fatalf("round %d: bound %v is below a filling worth %v", round, got, best)
		}
		if steps == 100_000 && got > max(best, threshold)+1e-6 {
			t.Fatalf("round %d: bound %v, and the best filling is worth %v", round, got, best)
		}
		if k.filling == nil {
			continue
		}
		found++
		if worth := worthOf(k, &m, classes, prices); worth <= threshold || worth > best+1e-6 {
			t.Fatalf("round %d: a filling worth %v was found, above a threshold of %v and up to %v is possible", round, worth, threshold, best)
		}
	}
	if found < 100 {
		t.Errorf("%d fillings were found: the test needs cases with some", found)
	}
}

// worthOf is what the filling that was found is worth, or nothing if it does not fit.
func worthOf(k *knapsack, m *machine, classes []class, prices []float64) float64 {
	col, worth := k.column(m), 0.0
	free := append([]int64(nil), m.room...)
	for i, row := range col.rows {
		worth += col.amount[i] * prices[row] / m.price
		for r, need := range classes[row].needs {
			if free[r] -= need * int64(col.amount[i]); free[r] < 0 || int(col.amount[i]) > classes[row].count {
				return 0
			}
		}
	}
	return worth
}

// everyFilling tries all fillings and returns the worth of the best.
func everyFilling(m *machine, classes []class, prices []float64, free []int64) float64 {
	if len(classes) == 0 {
		return 0
	}
	best := 0.0
	left := append([]int64(nil), free...)
	for n := 0; n <= classes[0].count; n++ {
		best = max(best, float64(n)*prices[0]+everyFilling(m, classes[1:], prices[1:], left))
		for r, need := range classes[0].needs {
			if left[r] -= need; left[r] < 0 {
				return best
			}
		}
	}
	return best
}

package cover

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// worst is the solution that puts every item on a machine of its own, the dearest that takes it.
func worst(p *Problem) []Pattern {
	var solution []Pattern
	for i := range p.Classes {
		option := -1
		for o, fits := range p.Classes[i].Fits {
			if fits && (option < 0 || p.Options[o].Cost > p.Options[option].Cost) {
				option = o
			}
		}
		for range p.Classes[i].Count {
			solution = append(solution, Pattern{option, []int32{int32(i)}, []int32{1}})
		}
	}
	return solution
}

func clone(solution []Pattern) []Pattern {
	out := slices.Clone(solution)
	for k := range out {
		out[k].Classes, out[k].Counts = slices.Clone(out[k].Classes), slices.Clone(out[k].Counts)
	}
	return out
}

// sixesAndFours are items of which one of each fills a machine.
func sixesAndFours() *Problem {
	p := &Problem{Options: []Option{{Free: []int64{10}, Cost: 10}}}
	p.add(Class{Needs: []int64{6}, Count: 2})
	p.add(Class{Needs: []int64{4}, Count: 2})
	return p
}

func TestRepairPairsWhatFitsTogether(t *testing.T) {
	p := sixesAndFours()
	c := &search{Problem: *p, effort: effort}
	got := c.repair(newPricer(c), []Pattern{{0, []int32{0}, []int32{1}}, {0, []int32{0}, []int32{1}}, {0, []int32{1}, []int32{2}}})
	check(t, p, got)
	if cost := p.Cost(got); cost != 20 {
		t.Errorf("costs %v, want two machines for 20: %+v", cost, got)
	}
}

func TestMergeMovesItemsToRoomThatIsThere(t *testing.T) {
	p := sixesAndFours()
	// The fours move to the sixes one by one.
	c := &search{Problem: *p, effort: effort}
	got := c.merge([]Pattern{{0, []int32{0}, []int32{1}}, {0, []int32{0}, []int32{1}}, {0, []int32{1}, []int32{2}}})
	check(t, p, got)
	if len(got) != 2 {
		t.Errorf("there are %d machines, want 2: %+v", len(got), got)
	}
	p.conflict(0, 1)
	c = &search{Problem: *p, effort: effort}
	got = c.merge([]Pattern{{0, []int32{0}, []int32{1}}, {0, []int32{0}, []int32{1}}, {0, []int32{1}, []int32{2}}})
	check(t, p, got)
	if len(got) != 3 {
		t.Errorf("there are %d machines for classes that conflict, want 3: %+v", len(got), got)
	}
}

// From whatever solution they start, repair and merge lose and double nothing, keep the rules and make nothing dearer; from the
// worst one they win.
func TestRepairAndMergeKeepEveryItem(t *testing.T) {
	for seed := range uint64(60) {
		p := drawn(rand.New(rand.NewPCG(seed, 2)))
		greedy := &search{Problem: *p, effort: effort}
		for name, start := range map[string][]Pattern{"greedy": greedy.correct(newPricer(greedy), greedy.demand()), "worst": worst(p)} {
			c := &search{Problem: *p, effort: effort, prices: greedy.prices}
			before := p.Cost(start)
			repaired := c.repair(newPricer(c), clone(start))
			check(t, p, repaired)
			between := p.Cost(repaired)
			merged := c.merge(clone(repaired))
			check(t, p, merged)
			after := p.Cost(merged)
			if t.Failed() || between > before*(1+rounding) || after > between*(1+rounding) || name == "worst" && after > before/2 {
				t.Fatalf("seed %d, from the %s solution: %v at first, %v repaired, %v merged", seed, name, before, between, after)
			}
		}
	}
}

func TestShrinkTakesTheCheapestThatHolds(t *testing.T) {
	p := &Problem{Options: []Option{{Free: []int64{16}, Cost: 16}, {Free: []int64{4}, Cost: 5}, {Free: []int64{8}, Cost: 9}}}
	p.add(Class{Needs: []int64{3}, Count: 2})
	c := &search{Problem: *p}
	solution := []Pattern{{0, []int32{0}, []int32{2}}}
	if c.shrink(solution); solution[0].Option != 2 {
		t.Errorf("six of sixteen go on option %d, want the one of eight", solution[0].Option)
	}
}

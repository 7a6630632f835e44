package cover

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// effort is more than the problems of the tests need.
const effort = 300_000

// drawn is a problem of a few classes, some of which are capped or conflict with another.
func drawn(random *rand.Rand) *Problem {
	p := &Problem{Caps: []int32{1, 3}}
	for size := range int64(4) {
		for _, ratio := range []int64{2, 8} {
			cores := int64(1000) << size
			p.Options = append(p.Options, Option{Free: []int64{cores, cores * ratio, 110}, Cost: float64(cores) * (10 + float64(ratio)) * (1 + random.Float64()/10)})
		}
	}
	for i := range 3 + random.IntN(12) {
		k := Class{Needs: []int64{50 + random.Int64N(900), 100 + random.Int64N(3000), 1}, Count: 1 + random.Int32N(40)}
		if g := random.Int32N(6); g < 2 {
			k.Caps, k.Count = []int32{g}, min(k.Count, 6)
		}
		p.add(k)
		if other := int32(i - 1); other >= 0 && random.IntN(5) == 0 {
			p.conflict(other, int32(i))
		}
	}
	return p
}

// add takes a class in that every option takes which has the room for it.
func (p *Problem) add(k Class) {
	for o := range p.Options {
		fits := true
		for d, need := range k.Needs {
			fits = fits && need <= p.Options[o].Free[d]
		}
		k.Fits = append(k.Fits, fits)
	}
	p.Classes = append(p.Classes, k)
}

func (p *Problem) conflict(a, b int32) {
	p.Classes[a].Conflicts = append(p.Classes[a].Conflicts, b)
	p.Classes[b].Conflicts = append(p.Classes[b].Conflicts, a)
}

// allows reports whether one machine of an option may hold a pattern. It shares no code with what is tested.
func (p *Problem) allows(option int, pattern Pattern) bool {
	capped, left := make([]int32, len(p.Caps)), slices.Clone(p.Options[option].Free)
	for k, i := range pattern.Classes {
		class := &p.Classes[i]
		if !class.Fits[option] || slices.ContainsFunc(class.Conflicts, func(other int32) bool { return slices.Contains(pattern.Classes, other) }) {
			return false
		}
		for d, need := range class.Needs {
			left[d] -= need * int64(pattern.Counts[k])
		}
		for _, g := range class.Caps {
			capped[g] += pattern.Counts[k]
		}
	}
	for g, n := range capped {
		if n > p.Caps[g] {
			return false
		}
	}
	return slices.Min(left) >= 0
}

// check reports what a solution does wrong: items that are lost or doubled, and machines that may not hold what they do.
func check(t *testing.T, p *Problem, solution []Pattern) {
	t.Helper()
	served := make([]int32, len(p.Classes))
	for k, pattern := range solution {
		if !p.allows(pattern.Option, pattern) {
			t.Errorf("machine %d may not hold %+v", k, pattern)
		}
		for j, i := range pattern.Classes {
			served[i] += pattern.Counts[j]
		}
	}
	for i, n := range served {
		if n != p.Classes[i].Count {
			t.Errorf("%d items of class %d are served, want %d", n, i, p.Classes[i].Count)
		}
	}
}

func TestSolveServesAllWithinTheRules(t *testing.T) {
	for seed := range uint64(150) {
		p := drawn(rand.New(rand.NewPCG(seed, 1)))
		solution, spent := p.Solve(effort)
		check(t, p, solution)
		if spent <= 0 {
			t.Errorf("an effort of %d is said to be spent", spent)
		}
		check(t, p, p.SolveGreedily(effort))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Whatever effort is left, what it does not suffice for is filled greedily.
func TestSolveServesAllWithoutEffort(t *testing.T) {
	for seed := range uint64(50) {
		p := drawn(rand.New(rand.NewPCG(seed, 4)))
		for _, effort := range []int{0, 100, 10_000} {
			solution, _ := p.Solve(effort)
			if check(t, p, solution); t.Failed() {
				t.Fatalf("seed %d, effort %d", seed, effort)
			}
		}
	}
}

func TestSolveChangesNothingAndRepeatsItself(t *testing.T) {
	for seed := range uint64(20) {
		p, same := drawn(rand.New(rand.NewPCG(seed, 5))), drawn(rand.New(rand.NewPCG(seed, 5)))
		first, _ := p.Solve(effort)
		if !reflect.DeepEqual(p, same) {
			t.Fatalf("seed %d: the problem has changed", seed)
		}
		if again, _ := p.Solve(effort); !reflect.DeepEqual(first, again) {
			t.Fatalf("seed %d: the second solution is another", seed)
		}
	}
}

// More classes than a relaxation is worth are solved by value correction.
func TestSolveManyClasses(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 6))
	p := &Problem{Options: []Option{{Free: []int64{1000, 1000}, Cost: 10}, {Free: []int64{4000, 4000}, Cost: 38}}}
	for range rowsMax + 20 {
		p.add(Class{Needs: []int64{10 + random.Int64N(300), 10 + random.Int64N(300)}, Count: 1 + random.Int32N(3)})
	}
	solution, _ := p.Solve(4_000_000)
	check(t, p, solution)
	asked := 0.0
	for i := range p.Classes {
		asked += float64(p.Classes[i].Count) * float64(max(p.Classes[i].Needs[0], p.Classes[i].Needs[1])) * 38 / 4000
	}
	if cost := p.Cost(solution); cost > asked {
		t.Errorf("costs %v, and the larger need of each item alone is worth %v", cost, asked)
	}
}

// few is a problem that is small enough for every solution of it to be tried.
func few(random *rand.Rand) *Problem {
	p := &Problem{Caps: []int32{1 + random.Int32N(2)}}
	for range 2 + random.IntN(2) {
		size := 6 + random.Int64N(12)
		p.Options = append(p.Options, Option{Free: []int64{size, size * (1 + random.Int64N(2))}, Cost: float64(size) * (1 + random.Float64()/2)})
	}
	for i := range int32(2 + random.IntN(3)) {
		k := Class{Needs: []int64{1 + random.Int64N(6), 1 + random.Int64N(6)}, Count: 1 + random.Int32N(4)}
		if random.IntN(4) == 0 {
			k.Caps = []int32{0}
		}
		if p.add(k); i > 0 && random.IntN(4) == 0 {
			p.conflict(i-1, i)
		}
	}
	return p
}

// optimum is the lowest cost there is, found by trying every machine for what is left, with what was found remembered.
func (p *Problem) optimum(left []int32, known map[string]float64) float64 {
	key := make([]byte, len(left))
	for i, n := range left {
		key[i] = byte(n)
	}
	if slices.Max(left) == 0 {
		return 0
	}
	if cost, found := known[string(key)]; found {
		return cost
	}
	best := math.Inf(1)
	pattern := make([]int32, len(left))
	var fill func(i int)
	fill = func(i int) {
		if i < len(left) {
			for n := range left[i] + 1 {
				pattern[i] = n
				fill(i + 1)
			}
			pattern[i] = 0
			return
		}
		var as Pattern
		rest := slices.Clone(left)
		for c, n := range pattern {
			if n > 0 {
				as.Classes, as.Counts = append(as.Classes, int32(c)), append(as.Counts, n)
				rest[c] -= n
			}
		}
		for o := range p.Options {
			if len(as.Classes) > 0 && p.allows(o, as) {
				best = min(best, p.Options[o].Cost+p.optimum(rest, known))
			}
		}
	}
	fill(0)
	known[string(key)] = best
	return best
}

// Small problems are solved exactly by brute force. Pricing and diving are not exact, so a few solutions cost more, most of them
// where items fill two or three machines to the last unit; none may cost less.
func TestSolveAgainstBruteForce(t *testing.T) {
	const seeds, dearerMax, dearestShare, togetherShare = 150, 10, 1.4, 1.01
	dearer, got, want := 0, 0.0, 0.0
	for seed := range uint64(seeds) {
		p := few(rand.New(rand.NewPCG(seed, 7)))
		solution, _ := p.Solve(effort)
		check(t, p, solution)
		left := make([]int32, len(p.Classes))
		for i := range left {
			left[i] = p.Classes[i].Count
		}
		cost, optimum := p.Cost(solution), p.optimum(left, map[string]float64{})
		if got, want = got+cost, want+optimum; cost > optimum*(1+rounding) {
			dearer++
		}
		if cost < optimum*(1-rounding) || cost > optimum*dearestShare {
			t.Errorf("seed %d: costs %v, and the optimum is %v", seed, cost, optimum)
		}
	}
	t.Logf("%d of %d solutions are not optimal, and all together cost %.4f times the optimum", dearer, seeds, got/want)
	if dearer > dearerMax || got > want*togetherShare {
		t.Errorf("%d of %d solutions are not optimal, want at most %d; all together cost %v times the optimum, want at most %v", dearer, seeds, dearerMax, got/want, togetherShare)
	}
}

// A pattern is worth what its items are, its machine may hold it, and it is hardly ever worth less than the best there is.
func TestPricingAgainstBruteForce(t *testing.T) {
	const seeds, worst = 150, 0.75
	got, want := 0.0, 0.0
	for seed := range uint64(seeds) {
		random := rand.New(rand.NewPCG(seed, 8))
		p := few(random)
		c := &search{Problem: *p, effort: effort}
		f, y, left := newPricer(c), make([]float64, len(p.Classes)), c.demand()
		for i := range y {
			y[i] = random.Float64()
		}
		options := make([]int, len(p.Options))
		for o := range options {
			options[o] = o
		}
		for o, found := range f.fill(y, left, options) {
			f.improve(&found, y, left)
			sum := 0.0
			for k, i := range found.Classes {
				sum += y[i] * float64(found.Counts[k])
			}
			best := p.bestWorth(o, y, left)
			if !p.allows(o, found.Pattern) || math.Abs(sum-found.worth) > rounding || found.worth > best+rounding || found.worth < best*worst {
				t.Errorf("seed %d: option %d: %+v is worth %v, and the best %v", seed, o, found, sum, best)
			}
			got, want = got+found.worth, want+best
		}
	}
	if got < 0.98*want {
		t.Errorf("all patterns are worth %v, and the best of each option %v", got, want)
	}
}

// bestWorth is what the best pattern of an option is worth.
func (p *Problem) bestWorth(option int, y []float64, left []int32) float64 {
	var pattern Pattern
	best := 0.0
	var fill func(i int, worth float64)
	fill = func(i int, worth float64) {
		best = max(best, worth)
		if i == len(left) {
			return
		}
		fill(i+1, worth)
		for n := int32(1); n <= left[i]; n++ {
			pattern.Classes, pattern.Counts = append(pattern.Classes, int32(i)), append(pattern.Counts, n)
			if p.allows(option, pattern) {
				fill(i+1, worth+float64(n)*y[i])
			}
			pattern.Classes, pattern.Counts = pattern.Classes[:len(pattern.Classes)-1], pattern.Counts[:len(pattern.Counts)-1]
		}
	}
	fill(0, 0)
	return best
}

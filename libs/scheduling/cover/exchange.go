package cover

import "slices"

const (
	// exchangeScales are the directions in which sizes are compared for exchanges: the prices of resources, and the first corner.
	exchangeScales = 2
	// exchangeMax are the most items of a class that go at a time.
	exchangeMax = 3
)

// improve exchanges items of a pattern for others while that makes it worth more: one or a few of a class
// go, and what is worth most for its size comes in their place.
func (f *pricer) improve(best *found, y []float64, left []int32) {
	for _, scale := range f.scales[:min(len(f.scales), exchangeScales)] {
		f.sortBy(y, left, scale)
		least := f.leastNeeds()
		for improved := true; improved; {
			improved = false
			f.begin(best)
			for k := 0; !improved && k < len(best.Classes); k++ {
				for out := int32(1); !improved && out <= min(best.Counts[k], exchangeMax); out++ {
					if worth := best.worth + f.exchange(best, k, out, y, left, least); worth > best.worth+epsilon {
						*best = found{f.takingAll(best), worth}
						improved = true
					}
					f.undo(best)
				}
			}
			f.clearAll(best)
		}
	}
}

// begin lays a pattern's items into the machine: spare is what they leave, and taken what they are.
func (f *pricer) begin(p *found) {
	copy(f.spare, f.Options[p.Option].Free)
	copy(f.spareCaps, f.Caps)
	for j, i := range p.Classes {
		for d, need := range f.Classes[i].Needs {
			f.spare[d] -= need * int64(p.Counts[j])
		}
		for _, g := range f.Classes[i].Caps {
			f.spareCaps[g] -= p.Counts[j]
		}
		f.taken[i] = p.Counts[j]
	}
}

// exchange takes some items of a pattern's k-th class out and fills the room in the present order without that class. It
// returns what that wins.
func (f *pricer) exchange(p *found, k int, out int32, y []float64, left []int32, least []int64) float64 {
	copy(f.left, f.spare)
	copy(f.capped, f.spareCaps)
	gone := p.Classes[k]
	c := &f.Classes[gone]
	for d, need := range c.Needs {
		f.left[d] += need * int64(out)
	}
	for _, g := range c.Caps {
		f.capped[g] += out
	}
	f.taken[gone] -= out
	f.added = f.added[:0]
	won := -float64(out) * y[gone]
	fits := f.fits[p.Option]
	for _, i := range f.order {
		f.effort--
		if i == gone || !fits[i] {
			continue
		}
		n := f.most(i, left[i]-f.taken[i])
		if n <= 0 || f.conflicts(&f.Classes[i]) {
			continue
		}
		f.added = append(f.added, i)
		won += float64(n) * y[i]
		if f.lay(i, n, least) {
			break
		}
	}
	return won
}

// takingAll is what begin and exchange left in the machine, as a pattern.
func (f *pricer) takingAll(p *found) Pattern {
	out := Pattern{Option: p.Option}
	classes := slices.Concat(p.Classes, f.added)
	slices.Sort(classes)
	for _, i := range slices.Compact(classes) {
		if n := f.taken[i]; n > 0 {
			out.Classes = append(out.Classes, i)
			out.Counts = append(out.Counts, n)
		}
	}
	f.replaced = p.Classes
	return out
}

// undo takes back what exchange changed in taken; after an exchange that was kept there is nothing to keep, since begin
// starts anew.
func (f *pricer) undo(p *found) {
	for _, i := range f.added {
		f.taken[i] = 0
	}
	for _, i := range f.replaced {
		f.taken[i] = 0
	}
	f.replaced = nil
	for j, i := range p.Classes {
		f.taken[i] = p.Counts[j]
	}
}

func (f *pricer) clearAll(p *found) {
	for _, i := range p.Classes {
		f.taken[i] = 0
	}
}

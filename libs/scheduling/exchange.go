package scheduling

import "slices"

// improve exchanges pods of a pattern for others while that makes it worth more: one or a few of a class
// go, and what is worth most for its size comes in their place.
func (f *filler) improve(best *found, y []float64, left []int32) {
	for _, scale := range f.scales[:min(len(f.scales), 2)] {
		f.sortBy(y, left, scale)
		least := f.leastNeeds()
		for improved := true; improved; {
			improved = false
			f.begin(best)
			for k := 0; !improved && k < len(best.classes); k++ {
				for out := int32(1); !improved && out <= min(best.counts[k], 3); out++ {
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

// begin lays a pattern's pods into the machine: spare is what they leave, and taken what they are.
func (f *filler) begin(p *found) {
	copy(f.spare, f.options[p.option].free)
	copy(f.spareCaps, f.caps)
	for j, i := range p.classes {
		for d, need := range f.classes[i].needs {
			f.spare[d] -= need * int64(p.counts[j])
		}
		for _, g := range f.classes[i].caps {
			f.spareCaps[g] -= p.counts[j]
		}
		f.taken[i] = p.counts[j]
	}
}

// exchange takes some pods of a pattern's k-th class out and fills the room in the present order without that class. It
// returns what that wins.
func (f *filler) exchange(p *found, k int, out int32, y []float64, left []int32, least []int64) float64 {
	copy(f.left, f.spare)
	copy(f.capped, f.spareCaps)
	gone := p.classes[k]
	c := &f.classes[gone]
	for d, need := range c.needs {
		f.left[d] += need * int64(out)
	}
	for _, g := range c.caps {
		f.capped[g] += out
	}
	f.taken[gone] -= out
	f.added = f.added[:0]
	won := -float64(out) * y[gone]
	fits := f.fits[p.option]
	for _, i := range f.order {
		f.effort--
		if i == gone || !fits[i] {
			continue
		}
		n := f.most(i, left[i]-f.taken[i])
		if n <= 0 || f.hasFoe(&f.classes[i]) {
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
func (f *filler) takingAll(p *found) pattern {
	out := pattern{option: p.option}
	classes := slices.Concat(p.classes, f.added)
	slices.Sort(classes)
	for _, i := range slices.Compact(classes) {
		if n := f.taken[i]; n > 0 {
			out.classes = append(out.classes, i)
			out.counts = append(out.counts, n)
		}
	}
	f.replaced = p.classes
	return out
}

// undo takes back what exchange changed in taken; after an exchange that was kept there is nothing to keep, since begin
// starts anew.
func (f *filler) undo(p *found) {
	for _, i := range f.added {
		f.taken[i] = 0
	}
	for _, i := range f.replaced {
		f.taken[i] = 0
	}
	f.replaced = nil
	for j, i := range p.classes {
		f.taken[i] = p.counts[j]
	}
}

func (f *filler) clearAll(p *found) {
	for _, i := range p.classes {
		f.taken[i] = 0
	}
}

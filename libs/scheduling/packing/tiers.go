package packing

import "slices"

// plan finds machines for what waits, weight by weight: what those of a higher weight leave goes to the next. Where pods
// go whose rules speak of zones is chosen before for all of them, since a rule looks at the zones of every weight.
func (d *drafting) plan() ([]*Option, []*share) {
	d.assignSites(0)
	var options []*Option
	shares := make([]*share, len(d.targets))
	for i, t := range d.targets {
		shares[i] = &share{target: t}
	}
	for from := 0; from < len(d.options); {
		to := d.tierEnd(from)
		more, added, within := d.packTier(from, to)
		for i, s := range added {
			for _, p := range s.parts {
				shares[i].parts = append(shares[i].parts, part{p.machine + len(options), p.count})
			}
		}
		options = append(options, more...)
		if from = to; from < len(d.options) && !within {
			d.leave(options, shares, from)
		}
	}
	return options, shares
}

// tierEnd is where the options end that have the weight of one.
func (d *drafting) tierEnd(from int) int {
	to := from + 1
	for to < len(d.options) && d.options[to].Weight == d.options[from].Weight {
		to++
	}
	return to
}

// leave finds out what machines that limits cut leave, by placing pods on them by priority, and chooses sites for that
// among the options from one on.
func (d *drafting) leave(options []*Option, shares []*share, from int) {
	left := make([]int, len(d.targets))
	d.state.Try(func() bool {
		d.begin()
		for _, o := range options {
			d.add(o)
		}
		d.placeShares(cloneShares(shares))
		d.placeLeft()
		for i, t := range d.targets {
			left[i] = t.left
		}
		d.assignSites(from)
		return false
	})
	d.begin()
	for i, t := range d.targets {
		t.left = left[i]
	}
}

func cloneShares(shares []*share) []*share {
	out := make([]*share, len(shares))
	for i, s := range shares {
		out[i] = &share{s.target, slices.Clone(s.parts)}
	}
	return out
}

// packTier finds machines among options of one weight for pods that are alike, whole patterns at a time, says which pods
// go to which and takes those out of what is left. Where limits cut the plan there are no shares, and what they leave
// room for goes by priority.
func (d *drafting) packTier(from, to int) (options []*Option, shares []*share, within bool) {
	tier := *d
	tier.options, tier.empties, tier.site = d.options[from:to], d.empties[from:to], d.site[from:to]
	b := newClassBook(&tier)
	if len(b.cover.Classes) == 0 {
		return nil, nil, true
	}
	patterns, within := tier.solveWithin(b)
	options = make([]*Option, len(patterns))
	sites := make([]int, len(patterns))
	for i, p := range patterns {
		options[i], sites[i] = tier.options[p.Option], tier.site[p.Option]
	}
	if !within {
		return options, nil, false
	}
	shares = b.share(patterns, sites)
	for i, s := range shares {
		for _, p := range s.parts {
			d.targets[i].left -= p.count
			if d.targets[i].sites != nil {
				d.targets[i].sites[sites[p.machine]] -= p.count
			}
		}
	}
	return options, shares, true
}

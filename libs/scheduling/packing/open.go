package packing

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// open launches machines one at a time for what is left: each time the one whose price is lowest for what it takes. It
// reports whether it launched any.
func (d *drafting) open() bool {
	before := len(d.draft.machines)
	for d.launchAndFill(d.bestValue()) {
	}
	return len(d.draft.machines) > before
}

// holdsAll reports whether an empty machine has the room for all that is left of a target.
func (d *drafting) holdsAll(o *Option, t *target) bool {
	i := slices.Index(d.options, o)
	if !d.takes(i, t) {
		return false
	}
	return d.empties[i].Room(t.variant) >= t.left
}

// launchAndFill adds a machine of an option and gives it what is left; it reports false for no option.
func (d *drafting) launchAndFill(option int) bool {
	if option < 0 {
		return false
	}
	node := d.add(d.options[option])
	for _, t := range d.targets {
		if t.left > 0 && d.fitsWhole(t, node) {
			d.fill(t, node, t.left)
		}
	}
	if slices.ContainsFunc(d.targets, func(t *target) bool { return t.left > 0 && !t.variant.IsFree() }) {
		d.placeLeft()
	}
	return true
}

// wholeNodes are those of the nodes that a target may go to: for one that must not be divided, the first that takes all.
func (d *drafting) wholeNodes(t *target, nodes []int) []int {
	if !t.whole || t.left < t.count {
		return nodes
	}
	for _, node := range nodes {
		if d.state.Judge(t.variant, node).OK() && d.fitsWhole(t, node) {
			return []int{node}
		}
	}
	return nil
}

// fitsWhole reports whether a node takes all of a target that must not be divided.
func (d *drafting) fitsWhole(t *target, node int) bool {
	if !t.whole || t.left < t.count {
		return true
	}
	all := false
	d.state.Try(func() bool {
		all = d.state.Fill(t.variant, node, t.left) == t.left
		return false
	})
	return all
}

// bestValue is the option, of the highest weight that takes anything of what is left, whose price is lowest for what one
// machine of it takes; -1 when none takes anything.
func (d *drafting) bestValue() int {
	for from := 0; from < len(d.options); from = d.tierEnd(from) {
		if best := d.bestValueAmong(from, d.tierEnd(from)); best >= 0 {
			return best
		}
	}
	return -1
}

// bestValueAmong tries options by what they could take at best, and ends where that is no better than what was found.
func (d *drafting) bestValueAmong(from, to int) int {
	type candidate struct {
		option int
		score  float64
	}
	var candidates []candidate
	for i, o := range d.options[from:to] {
		i += from
		if !d.limits[o.Group].Allows(o.Amounts()) {
			continue
		}
		if most := d.valueAtBest(i); most > 0 {
			candidates = append(candidates, candidate{i, float64(o.MonthlyPrice) / float64(most)})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.option, b.option))
	})
	best, bestScore := -1, 0.0
	for _, c := range candidates {
		if best >= 0 && c.score >= bestScore {
			break
		}
		value := d.valueOf(d.options[c.option])
		if score := float64(d.options[c.option].MonthlyPrice) / float64(value); value > 0 && (best < 0 || score < bestScore) {
			best, bestScore = c.option, score
		}
	}
	return best
}

// valueAtBest is at least what valueOf finds: the size of what one machine of an option has the room for, each target
// for itself, and no more than all resources hold of cpu and memory.
func (d *drafting) valueAtBest(option int) int64 {
	value := int64(0)
	for _, t := range d.targets {
		if t.left == 0 || !d.takes(option, t) || t.whole && t.left == t.count && !d.holdsAll(d.options[option], t) {
			continue
		}
		value += int64(min(t.left, t.variant.PerNode(), d.empties[option].Room(t.variant))) * t.is.Size()
	}
	// Pods without requests weigh one each, and the limit of pods bounds those.
	return min(value, d.empties[option].Size()+d.options[option].Empty.Allocatable[corev1.ResourcePods]+1)
}

// valueOf is the size of what one more machine of an option would take of what is left.
func (d *drafting) valueOf(o *Option) int64 {
	value := int64(0)
	d.state.Try(func() bool {
		n := *o.Empty
		node := d.state.AddNode(&n)
		taken := make([]int, len(d.targets))
		for again := true; again; {
			again = false
			for i, t := range d.targets {
				if n := t.left - taken[i]; n > 0 && d.fitsWhole(t, node) {
					put := d.state.Fill(t.variant, node, n)
					taken[i] += put
					value += int64(put) * t.is.Size()
					again = again || put > 0 && t.leads
				}
			}
		}
		return false
	})
	return value
}

// spreadShare is the share of a draft's machines that a group of spread pods must need for itself to decide their
// number, in percent.
const spreadShare = 80

// isDrivenBySpread reports whether some pods are on most of the machines only because they are spread over nodes.
func (d *drafting) isDrivenBySpread() bool {
	if d.level || len(d.draft.machines) < 2 {
		return false
	}
	pods := map[string]int{}
	for _, t := range d.targets {
		spreads := t.variant.Spreads()
		for i := range spreads {
			if s := &spreads[i]; s.Key() == corev1.LabelHostname && s.Self {
				skew := int(s.MaxSkew())
				if pods[s.Selection()] += (t.count + skew - 1) / skew; pods[s.Selection()]*100 >= spreadShare*len(d.draft.machines) {
					return true
				}
			}
		}
	}
	return false
}

package scheduling

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// buy plans the purchases of one tier on top of what earlier tiers buy, without wishes and then with as many as its
// price allows.
func (k *packer) buy(options []*Option, prior *draft) *draft {
	if k.waiting(prior) == 0 {
		return prior
	}
	best := k.draft(options, 0, prior)
	if best == nil {
		return prior
	}
	most := best.cost + best.cost/100*float64(k.SoftShare)
	granted := wishSet(0)
	for kind := range wishCount {
		set := granted | 1<<kind
		if !k.isWished(kind, options) || k.isTooDear(set, options, most) {
			continue
		}
		if d := k.draft(options, set, prior); d != nil && d.served >= best.served && d.cost <= most*(1+epsilon) {
			best, granted = d, set
		}
	}
	return best
}

// waiting counts the pods that a draft leaves.
func (k *packer) waiting(d *draft) int {
	n := 0
	for _, d := range k.demands {
		n += d.count
	}
	if d != nil {
		n -= d.served
	}
	return n
}

func (k *packer) isWished(kind wish, options []*Option) bool {
	if kind == wishTaint {
		some, all := false, true
		for _, o := range options {
			soft := slices.ContainsFunc(o.Empty.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectPreferNoSchedule })
			some, all = some || soft, all && soft
		}
		return some && !all
	}
	return slices.ContainsFunc(k.demands, func(d *demand) bool { return d.count > 0 && slices.Contains(d.item.wishes, kind) })
}

// isTooDear reports whether granting wishes costs more than most for certain: so many machines at the lowest
// price would be needed for pods that want a machine of their own.
func (k *packer) isTooDear(set wishSet, options []*Option, most float64) bool {
	machines := map[string]int{}
	for _, d := range k.demands {
		variant := d.item.insist(set)
		if d.count == 0 || variant == d.item {
			continue
		}
		for id, perNode := range variant.ownLimits() {
			machines[id] += (d.count + perNode - 1) / perNode
			if float64(machines[id]-k.state.Len())*float64(options[0].MonthlyPrice) > most {
				return true
			}
		}
	}
	return false
}

// ownLimits are how many pods of its kind an item allows on a new node, by rule.
func (i *Item) ownLimits() map[string]int {
	limits := map[string]int{}
	for j := range i.spread {
		if t := &i.spread[j]; t.TopologyKey == corev1.LabelHostname && t.matches(i, i.Shape.Namespace) {
			limits["spread|"+t.id] = int(t.MaxSkew)
		}
	}
	for j := range i.repels {
		if t := &i.repels[j]; t.key == corev1.LabelHostname && t.matches(i, nil) {
			limits["anti|"+t.id] = 1
		}
	}
	return limits
}

// perNodeMax is how many pods of an item its own rules allow on a new node at most.
func perNodeMax(item *Item) int {
	most := 1 << 30
	for _, limit := range item.ownLimits() {
		most = min(most, limit)
	}
	return most
}

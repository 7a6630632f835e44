package packing

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// rounding is the share of a cost that adding up may lose.
const rounding = 1e-9

// launch plans the launches, without wishes and then with as many as the price of the plan allows; nil where there are none.
func (k *packer) launch(options []*Option) *draft {
	if k.waiting() == 0 {
		return nil
	}
	best := k.draft(options, 0)
	if best == nil {
		return nil
	}
	most := best.cost + best.cost/100*float64(k.SoftShare)
	granted := wishSet(0)
	for kind := range wishCount {
		set := granted | 1<<kind
		if !k.isWished(kind, options) || k.isTooDear(set, options, most) {
			continue
		}
		if d := k.draft(options, set); d != nil && d.servesNoLess(best) && d.cost <= most*(1+rounding) {
			best, granted = d, set
		}
	}
	return best
}

// servesNoLess reports whether a draft serves as many pods as another, and as many from groups of each weight or above.
func (d *draft) servesNoLess(than *draft) bool {
	if d.served < than.served {
		return false
	}
	weights := map[int32]bool{}
	for _, m := range than.machines {
		weights[m.option.Weight] = true
	}
	for weight := range weights {
		if d.servedFrom(weight) < than.servedFrom(weight) {
			return false
		}
	}
	return true
}

// servedFrom counts the pods on machines of groups of a weight or above.
func (d *draft) servedFrom(weight int32) int {
	n := 0
	for _, m := range d.machines {
		if m.option.Weight >= weight {
			n += m.pods
		}
	}
	return n
}

// waiting counts the pods that wait.
func (k *packer) waiting() int {
	n := 0
	for _, d := range k.demands {
		n += d.count
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
	return slices.ContainsFunc(k.demands, func(d *demand) bool { return d.count > 0 && slices.Contains(d.wishes, kind) })
}

// isTooDear reports whether granting wishes costs more than most for certain: so many machines at the lowest
// price would be needed for pods that want a machine of their own.
func (k *packer) isTooDear(set wishSet, options []*Option, most float64) bool {
	machines := map[string]int{}
	least := leastPrice(options)
	for _, d := range k.demands {
		if d.count == 0 || !slices.ContainsFunc(d.wishes, set.has) {
			continue
		}
		for id, perNode := range k.insist(d, set).HostLimits() {
			machines[id] += (d.count + perNode - 1) / perNode
			if float64(machines[id]-k.state.Len())*least > most {
				return true
			}
		}
	}
	return false
}

// leastPrice is that of the cheapest option.
func leastPrice(options []*Option) float64 {
	return float64(slices.MinFunc(options, func(a, b *Option) int { return cmp.Compare(a.MonthlyPrice, b.MonthlyPrice) }).MonthlyPrice)
}

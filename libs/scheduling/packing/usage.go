package packing

import (
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// usage is what pods that were given a site take of each part of their group's limit, in shares of machines.
type usage [4]float64

func (u usage) add(o *Option, machines float64) usage {
	for i, amount := range o.Amounts().Parts() {
		u[i] += machines * float64(amount)
	}
	return u
}

// usageSlack forgives what adding up shares loses.
const usageSlack = 1e-6

// leaves reports whether a limit has room for a share of a machine besides what is used.
func (u usage) leaves(l bounds.Limit, o *Option, machines float64) bool {
	more := u.add(o, machines)
	for i, bound := range bounds.Amounts(l).Parts() {
		if bound >= 0 && more[i] > float64(bound)+usageSlack*float64(bound) {
			return false
		}
	}
	return true
}

// of is what remains of a limit, machines that have room left counted as free.
func (u usage) of(l bounds.Limit) bounds.Limit {
	part := func(i int) int64 { return int64(u[i] + usageSlack) }
	return l.Less(bounds.Amounts{Nodes: part(0), MilliCPU: part(1), MemoryBytes: part(2), MonthlyPrice: money.Micros(part(3))})
}

// isFull reports whether the limits leave none of a site's options room for a pod of a target.
func (a *siteAssignment) isFull(t *target, site int) bool {
	leaves := func(option, per int) bool {
		o := a.options[option]
		return a.used[o.Group].leaves(a.limits[o.Group], o, 1/float64(per))
	}
	p := &t.places[site]
	if leaves(p.option, p.perMachine) {
		return false
	}
	for i := a.from; i < len(a.options); i++ {
		if a.site[i] == site && a.options[i].Group != a.options[p.option].Group && a.takes(i, t) && leaves(i, a.perMachineOf(i, t)) {
			return false
		}
	}
	return true
}

package packing

import "github.com/vpsie/vpsie-autoscaler/libs/money"

// usage is what pods that were given a site take of their group's limit, in shares of machines.
type usage struct {
	nodes, milliCPU, memory, price float64
}

func (u usage) add(o *Option, machines float64) usage {
	u.nodes += machines
	u.milliCPU += machines * float64(o.MilliCPU)
	u.memory += machines * float64(o.MemoryBytes)
	u.price += machines * float64(o.MonthlyPrice)
	return u
}

// usageSlack forgives what adding up shares loses.
const usageSlack = 1e-6

// leaves reports whether a limit has room for a share of a machine besides what is used.
func (u usage) leaves(l Limit, o *Option, machines float64) bool {
	more := u.add(o, machines)
	within := func(used float64, bound int64) bool {
		return bound < 0 || used <= float64(bound)+usageSlack*float64(bound)
	}
	return within(more.nodes, int64(l.Nodes)) && within(more.milliCPU, l.MilliCPU) && within(more.memory, l.MemoryBytes) &&
		within(more.price, int64(l.MonthlyPrice))
}

// of is what remains of a limit, machines that have room left counted as free.
func (u usage) of(l Limit) Limit {
	less := func(bound int64, used float64) int64 {
		if bound < 0 {
			return bound
		}
		return max(bound-int64(used+usageSlack), 0)
	}
	l.Nodes, l.MilliCPU = int(less(int64(l.Nodes), u.nodes)), less(l.MilliCPU, u.milliCPU)
	l.MemoryBytes, l.MonthlyPrice = less(l.MemoryBytes, u.memory), money.Micros(less(int64(l.MonthlyPrice), u.price))
	return l
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

package bound

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

// class is pods that ask for the same.
type class struct {
	// needs are amounts by resource.
	needs []int64
	count int
}

// machine is a kind of machine to launch.
type machine struct {
	room  []int64
	price float64
}

// fits is how many pods of a class the machine holds, of those that there are.
func (m *machine) fits(c *class) int {
	n := int64(c.count)
	for r, need := range c.needs {
		if need > 0 {
			n = min(n, max(m.room[r], 0)/need)
		}
	}
	return int(n)
}

// instance is what is left of a problem when all rules but those on resources are dropped.
type instance struct {
	classes  []class
	machines []machine
}

// classesMax bounds the rows of the linear program. Beyond it requests are rounded down, which only lowers the bound.
const classesMax = 160

// newInstance reads demands and options, processors and memory rounded down to multiples of step units. Pods too
// large for every machine are left out.
func newInstance(demands []packing.Demand, options []*packing.Option, step int64) *instance {
	resources := resourcesOf(demands)
	in := &instance{machines: machinesOf(options, resources)}
	tooLarge := func(c class) bool {
		return !slices.ContainsFunc(in.machines, func(m machine) bool { return m.fits(&c) > 0 })
	}
	served := slices.DeleteFunc(slices.Clone(demands), func(d packing.Demand) bool {
		return tooLarge(classesOf([]packing.Demand{d}, resources, 1)[0])
	})
	in.classes = classesOf(served, resources, step)
	return in
}

// newSmallInstance rounds no more than it must for a linear program of a bounded size.
func newSmallInstance(demands []packing.Demand, options []*packing.Option) *instance {
	const stepMax = 1 << 30
	for step := int64(1); ; step *= 2 {
		if in := newInstance(demands, options, step); len(in.classes) <= classesMax || step >= stepMax {
			return in
		}
	}
}

func resourcesOf(demands []packing.Demand) []corev1.ResourceName {
	seen := map[corev1.ResourceName]bool{}
	var out []corev1.ResourceName
	for _, d := range demands {
		for name := range d.Item.Shape.Requests {
			if !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// machinesOf are the options without those that another one makes needless: not smaller, and not dearer.
func machinesOf(options []*packing.Option, resources []corev1.ResourceName) []machine {
	var all []machine
	for _, o := range options {
		m := machine{price: float64(o.MonthlyPrice), room: make([]int64, len(resources))}
		for r, name := range resources {
			m.room[r] = o.Empty.Allocatable[name] - o.Empty.Reserved[name]
		}
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(a, b machine) int { return cmp.Or(cmp.Compare(a.price, b.price), slices.Compare(b.room, a.room)) })
	var out []machine
	for _, m := range all {
		if !slices.ContainsFunc(out, func(other machine) bool { return covers(other.room, m.room) }) {
			out = append(out, m)
		}
	}
	return out
}

func covers(larger, smaller []int64) bool {
	for r := range larger {
		if larger[r] < smaller[r] {
			return false
		}
	}
	return true
}

// classesOf counts pods by what they ask for, processors and memory rounded down to multiples of step units.
func classesOf(demands []packing.Demand, resources []corev1.ResourceName, step int64) []class {
	const milliCPUUnit, memoryUnit = 5, 4 << 20
	index := map[string]int{}
	var out []class
	for _, d := range demands {
		needs := make([]int64, len(resources))
		for r, name := range resources {
			unit := int64(1)
			switch {
			case step > 1 && name == corev1.ResourceCPU:
				unit = milliCPUUnit * step
			case step > 1 && name == corev1.ResourceMemory:
				unit = memoryUnit * step
			}
			needs[r] = d.Item.Shape.Requests[name] / unit * unit
		}
		key := fmt.Sprint(needs)
		if _, known := index[key]; !known {
			index[key] = len(out)
			out = append(out, class{needs: needs})
		}
		out[index[key]].count += d.Count
	}
	slices.SortFunc(out, func(a, b class) int { return slices.Compare(b.needs, a.needs) })
	return out
}

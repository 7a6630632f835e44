package sim

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

const hoursPerMonth = 730

// holdCeilings holds what the machines of a run's only group may have and cost together (I20), by VPSie's own books.
func (j *judge) holdCeilings() {
	if len(j.world.plan.groups) != 1 {
		return
	}
	var milliCPU, bytes, micros int64
	for _, m := range j.world.cloud.sim.Truth().Machines {
		if !m.Foreign && m.State != "lost" && m.GoneAt.IsZero() {
			milliCPU += int64(m.VCPU) * 1000
			bytes += int64(m.RAMMiB) << 20
			micros += int64(m.PricePerHour) * hoursPerMonth
		}
	}
	limits := j.world.plan.groups[0].Spec.Limits
	for _, c := range []struct {
		what  string
		has   int64
		limit *resource.Quantity
		unit  resource.Scale
	}{
		{"thousandths of a processor", milliCPU, limits.CPU, resource.Milli},
		{"bytes of memory", bytes, limits.Memory, 0},
		{"millionths of a dollar a month", micros, limits.MonthlyCost, resource.Micro},
	} {
		if c.limit != nil && c.has > c.limit.ScaledValue(c.unit) {
			j.failLocked("I20", "the group's machines have %d %s, and its limit is %s", c.has, c.what, c.limit)
		}
	}
}

package sim

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// holdCeilings holds what the machines of a run's only group may have and cost together (I20), by VPSie's own books. It is asked
// before each call that launches or deletes, so a machine too many is seen at the next of them.
func (j *judge) holdCeilings() {
	groups := j.world.plan.groups
	if len(groups) != 1 || groups[0].Spec.Limits == (v1beta1.GroupLimits{}) {
		return
	}
	var milliCPU, bytes, micros int64
	for _, m := range j.world.cloud.sim.Truth().Machines {
		if !m.Foreign && m.State != "lost" && m.GoneAt.IsZero() {
			milliCPU += int64(m.VCPU) * 1000
			bytes += int64(m.RAMMiB) << 20
			micros += int64(m.PricePerHour) * money.HoursPerMonth
		}
	}
	limits := groups[0].Spec.Limits
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

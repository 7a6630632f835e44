package bounds

import "github.com/vpsie/vpsie-autoscaler/api/reason"

// Values are the limits on what machines have and cost as records have them, without those that bound nothing.
func (l Limit) Values() reason.Values {
	values := reason.Values{}
	for name, amount := range map[string]int64{
		reason.ParamLimitMilliCPU: l.MilliCPU, reason.ParamLimitMemoryBytes: l.MemoryBytes, reason.ParamLimitMonthlyPriceMicros: int64(l.MonthlyPrice),
	} {
		if amount >= 0 {
			values[name] = reason.CountOf(amount)
		}
	}
	return values
}

// ValuesWith are those of the limits, and what machines have and cost.
func (l Limit) ValuesWith(used Amounts) reason.Values {
	values := l.Values()
	values[reason.ParamUsedMilliCPU], values[reason.ParamUsedMemoryBytes] = reason.CountOf(used.MilliCPU), reason.CountOf(used.MemoryBytes)
	values[reason.ParamUsedMonthlyPriceMicros] = reason.CountOf(int64(used.MonthlyPrice))
	return values
}

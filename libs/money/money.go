// Package money holds amounts of US dollars exactly.
package money

import (
	"fmt"
	"math"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Micros is an amount in millionths of a US dollar.
type Micros int64

// HoursPerMonth converts VPSie's monthly prices to hourly ones for display.
const HoursPerMonth = 730

const microsPerDollar = 1_000_000

// FromDollars rounds a decimal amount, as it comes off the wire, to millionths. It returns an
// error for amounts that are negative, not finite, or beyond what Micros can hold.
func FromDollars(dollars float64) (Micros, error) {
	if math.IsNaN(dollars) || math.IsInf(dollars, 0) || dollars < 0 || dollars > 1e9 {
		return 0, fmt.Errorf("price %v is not between 0 and 1e9", dollars)
	}
	return Micros(math.Round(dollars * microsPerDollar)), nil
}

// PerHour is a monthly amount spread over the hours of a month.
func (m Micros) PerHour() Micros { return m / HoursPerMonth }

// String renders the amount as dollars with two decimals, more only where they are needed.
func (m Micros) String() string {
	if m < 0 {
		return "-$" + (-m).Dollars()
	}
	return "$" + m.Dollars()
}

// Dollars is String without the currency, for where that stands already.
func (m Micros) Dollars() string {
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	whole, rest := int64(m)/microsPerDollar, int64(m)%microsPerDollar
	if rest%10_000 == 0 {
		return fmt.Sprintf("%s%d.%02d", sign, whole, rest/10_000)
	}
	return fmt.Sprintf("%s%d.%04d", sign, whole, rest/100)
}

// Parse reads an amount of dollars, as Dollars writes it; false for what is none, such as an empty text.
func Parse(dollars string) (Micros, bool) {
	q, err := resource.ParseQuantity(dollars)
	if err != nil {
		return 0, false
	}
	return Micros(q.ScaledValue(resource.Micro)), true
}

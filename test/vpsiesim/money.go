package vpsiesim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Money is an amount in millionths of a US dollar, written in JSON as an exact decimal number.
type Money int64

const (
	microsPerCent  = 10_000
	microsPerUSD   = 1_000_000
	hoursPerMonth  = 730
	millisPerHour  = 3_600_000
	moneyDecimals  = 6
	centsPerDollar = 100
)

// Cost returns what a machine of hourly price m costs over d, rounded down.
func (m Money) Cost(d time.Duration) Money {
	// Milliseconds keep a century at a dollar an hour inside 64 bits.
	return Money(int64(m) * d.Milliseconds() / millisPerHour)
}

// String formats m as a decimal number of dollars.
func (m Money) String() string {
	sign, v := "", int64(m)
	if v < 0 {
		sign, v = "-", -v
	}
	return fmt.Sprintf("%s%d.%0*d", sign, v/microsPerUSD, moneyDecimals, v%microsPerUSD)
}

// MarshalJSON writes m as a decimal number of dollars.
func (m Money) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON reads a decimal number of dollars with at most six decimals.
func (m *Money) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	digits := strings.TrimPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if len(fraction) > moneyDecimals {
		return fmt.Errorf("money %q has more than %d decimals", text, moneyDecimals)
	}
	fraction += strings.Repeat("0", moneyDecimals-len(fraction))
	v, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || whole == "" {
		return fmt.Errorf("money %q is not a decimal number", text)
	}
	if strings.HasPrefix(text, "-") {
		v = -v
	}
	*m = Money(v)
	return nil
}

// centsText formats cents as the wire writes a price, for instance 14.60.
func centsText(cents int64) string {
	return fmt.Sprintf("%d.%02d", cents/centsPerDollar, cents%centsPerDollar)
}

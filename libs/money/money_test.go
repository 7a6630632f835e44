package money_test

import (
	"math"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

func TestFromDollars(t *testing.T) {
	tests := map[string]struct {
		dollars float64
		want    money.Micros
		fail    bool
	}{
		"Whole":    {24, 24_000_000, false},
		"Cents":    {14.6, 14_600_000, false},
		"Rounded":  {0.1 + 0.2, 300_000, false},
		"Nothing":  {0, 0, false},
		"Negative": {-1, 0, true},
		"NaN":      {math.NaN(), 0, true},
		"Infinite": {math.Inf(1), 0, true},
		"TooMuch":  {1e12, 0, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := money.FromDollars(tc.dollars)
			if got != tc.want || (err != nil) != tc.fail {
				t.Errorf("FromDollars(%v) = %d, %v; want %d, failure: %v", tc.dollars, got, err, tc.want, tc.fail)
			}
		})
	}
}

func TestString(t *testing.T) {
	for amount, want := range map[money.Micros]string{
		0: "$0.00", 24_000_000: "$24.00", 14_600_000: "$14.60", 80_000: "$0.08", 32_876: "$0.0328", -29_200_000: "-$29.20",
	} {
		if got := amount.String(); got != want {
			t.Errorf("%d millionths = %s, want %s", amount, got, want)
		}
		if got, want := amount.Dollars(), strings.Replace(want, "$", "", 1); got != want {
			t.Errorf("%d millionths = %s dollars, want %s", amount, got, want)
		}
	}
	if got := money.Micros(58_400_000).PerHour().String(); got != "$0.08" {
		t.Errorf("$58.40 a month = %s an hour, want $0.08", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, amount := range []int64{0, 100, 58_400_000, 1e15} {
		f.Add(amount)
	}
	f.Fuzz(func(t *testing.T, amount int64) {
		if amount < 0 || amount > 1e15 {
			return // no amount of money
		}
		want := money.Micros(amount / 100 * 100) // ten-thousandths of a dollar are written
		if got, ok := money.Parse(want.Dollars()); got != want || !ok {
			t.Errorf("%s became %s", want, got)
		}
	})
}

func TestWhatIsNoAmountIsNotZero(t *testing.T) {
	for _, text := range []string{"", "free", "$5"} {
		if got, ok := money.Parse(text); ok {
			t.Errorf("%q is %s", text, got)
		}
	}
}

package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

func TestConfigIsJudged(t *testing.T) {
	tests := map[string]struct {
		change func(*app.Config)
		want   string
	}{
		"Defaults":          {change: func(*app.Config) {}},
		"DrainSettleNone":   {change: func(c *app.Config) { c.DrainSettle = 0 }},
		"DrainSettleLong":   {change: func(c *app.Config) { c.DrainSettle = time.Minute }},
		"DrainSettleTooBig": {change: func(c *app.Config) { c.DrainSettle = time.Minute + time.Second }, want: "drain-settle"},
		"DrainSettleTooLow": {change: func(c *app.Config) { c.DrainSettle = -time.Second }, want: "drain-settle"},
		"LaunchSettle":      {change: func(c *app.Config) { c.LaunchSettle = 0 }, want: "launch-settle"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := app.Config{LaunchSettle: 12 * time.Minute, LaunchPoll: time.Second, DrainSettle: 5 * time.Second, AbsenceInterval: 10 * time.Second, MissingAfter: 13 * time.Minute, ClusterPoll: 15 * time.Second}
			tc.change(&c)
			switch err := c.Validate(); {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want an error about %s", err, tc.want)
			}
		})
	}
}

func TestProblemsOfTheConfigComeInOrder(t *testing.T) {
	first := app.Config{}.Validate().Error()
	for range 20 {
		if again := (app.Config{}).Validate().Error(); again != first {
			t.Fatalf("%q, and then %q", first, again)
		}
	}
}

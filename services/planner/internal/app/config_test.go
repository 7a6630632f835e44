package app_test

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
)

// TestDefaultCutOffIsThatOfRetirementsWithoutOne: a person's deletion of a VPSieNode must ignore the pods that the planner ignores.
func TestDefaultCutOffIsThatOfRetirementsWithoutOne(t *testing.T) {
	field, _ := reflect.TypeFor[app.Config]().FieldByName("PriorityCutoff")
	if got := field.Tag.Get("default"); got != strconv.Itoa(int(disruption.PriorityCutoff)) {
		t.Errorf("the flag's default is %q, want %d", got, disruption.PriorityCutoff)
	}
}

func TestConfigIsJudged(t *testing.T) {
	tests := map[string]struct {
		change func(*app.Config)
		want   string
	}{
		"Defaults":       {change: func(*app.Config) {}},
		"IntervalLong":   {change: func(c *app.Config) { c.PlanInterval = time.Minute }},
		"IntervalTooLow": {change: func(c *app.Config) { c.PlanInterval = 999 * time.Millisecond }, want: "plan-interval"},
		"IntervalTooBig": {change: func(c *app.Config) { c.PlanInterval = time.Hour }, want: "plan-interval"},
		"BatchIdle":      {change: func(c *app.Config) { c.BatchIdle = 2 * time.Second }, want: "batch-idle"},
		"SoftCost":       {change: func(c *app.Config) { c.SoftCost = -1 }, want: "soft-cost"},
		"LaunchDeadline": {change: func(c *app.Config) { c.LaunchDeadline = 0 }, want: "launch-deadline"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := app.Config{BatchIdle: 100 * time.Millisecond, BatchMax: time.Second, PlanInterval: 10 * time.Second, LaunchDeadline: 15 * time.Minute, SoftCost: 5}
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

package scaling_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// TestGroupBelowItsMinimumSaysWhy has groups of which no pod wants anything.
func TestGroupBelowItsMinimumSaysWhy(t *testing.T) {
	type want struct {
		launched map[string]int
		code     reason.Code
		missing  int
		capacity scaling.Truth
	}
	for name, test := range map[string]struct {
		change func(*world, *fleet.Group)
		want   want
	}{
		"Reached": {func(*world, *fleet.Group) {}, want{launched: map[string]int{"default/g/small": 3}, capacity: scaling.True}},
		"Limit": {func(_ *world, g *fleet.Group) { g.Spec.Limits.CPU = cpu(4) },
			want{map[string]int{"default/g/small": 1}, reason.NoScaleUpGroupLimit, 2, scaling.False}},
		"AnotherSizeIsWithinTheLimit": {func(_ *world, g *fleet.Group) {
			g.Spec.Limits.CPU = cpu(4)
			g.Spec.MinNodes = 1
			g.Catalogue.Offerings[1].MonthlyPrice = 1_000_000
		}, want{launched: map[string]int{"default/g/small": 1}, capacity: scaling.True}},
		"Disabled": {func(_ *world, g *fleet.Group) { g.Spec.ScaleUp.Enabled = new(false) },
			want{nil, reason.NoScaleUpGroupDisabled, 3, scaling.False}},
		"Paused": {func(w *world, _ *fleet.Group) { w.Paused = "paused" },
			want{nil, reason.HoldPaused, 3, scaling.False}},
		"Backoff": {func(_ *world, g *fleet.Group) {
			for i := range g.Catalogue.Offerings {
				o := &g.Catalogue.Offerings[i]
				o.BackoffUntil, o.BackoffReason, o.BackoffMessage = noon.Add(time.Minute), reason.NoScaleUpOfferingSoldOut, "sold out"
			}
		}, want{nil, reason.NoScaleUpOfferingSoldOut, 3, scaling.False}},
		"NotKnownYet": {func(_ *world, g *fleet.Group) { g.Catalogue.Known = false },
			want{nil, reason.NoScaleUpCatalogueUnknown, 3, scaling.Unknown}},
		"LeavingOnesTakePlace": {func(w *world, g *fleet.Group) {
			g.Spec.MinNodes, g.Spec.MaxNodes = 1, 1
			w.Machine(g.NodeGroup, "n1", v1beta1.PhaseDraining, nil)
		}, want{nil, reason.NoScaleUpGroupMaxSize, 1, scaling.False}},
		"NextDecisionContinues": {func(_ *world, g *fleet.Group) { g.Spec.ScaleUp.MaxNodesPerStep = new(int32(2)) },
			want{launched: map[string]int{"default/g/small": 2}, capacity: scaling.True}},
		"RecommendationsHaveLimits": {func(_ *world, g *fleet.Group) {
			g.Spec.Mode = v1beta1.ModeRecommend
			g.Spec.Limits.MonthlyCost = new(resource.MustParse("80"))
		}, want{nil, reason.NoScaleUpGroupLimit, 1, scaling.False}},
		"InvalidWithoutAnyNeed": {func(_ *world, g *fleet.Group) { g.Spec.MinNodes, g.Spec.Offerings = 0, []int64{99} },
			want{nil, reason.NoScaleUpOfferingUnknown, 0, scaling.True}},
		"DisabledWithoutAnyNeed": {func(_ *world, g *fleet.Group) { g.Spec.MinNodes, g.Spec.ScaleUp.Enabled = 0, new(false) },
			want{capacity: scaling.True}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(group("g", func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 3 }))
			test.change(w, &w.Groups[0])
			plan := w.plan(scaling.Memory{})
			refused := plan.Refused["default/g"]
			c := condition(plan, "default/g", v1beta1.ConditionCapacityAvailable)
			got := want{launched(plan), refused.Code, refused.Missing, c.Status}
			if test.want.launched == nil {
				test.want.launched = map[string]int{}
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if refused.Missing > 0 && (c.Reason != refused.Code.Condition() || c.Message != refused.Message || !strings.Contains(c.Message, "below minNodes: ")) {
				t.Errorf("condition %+v, want it to say %+v", c, refused)
			}
		})
	}
}

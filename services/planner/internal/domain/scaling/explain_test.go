package scaling_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// TestRefusalOfEachGroupIsOnRecord: the condition of each group shows the refusal, so the record of the pods says it of each, however many there are.
func TestRefusalOfEachGroupIsOnRecord(t *testing.T) {
	for name, build := range map[string]func() *world{
		"ManyGroups": func() *world {
			var groups []*v1beta1.NodeGroup
			for i := range 25 {
				groups = append(groups, group(fmt.Sprintf("g%02d", i)))
			}
			return newWorld(groups...)
		},
		"ManySizes": func() *world {
			w := newWorld(group("many"), group("few"))
			for i := range 30 {
				o := w.Groups[0].Catalogue.Offerings[0]
				o.ID, o.Name, o.MonthlyPrice = int64(100+i), fmt.Sprintf("tiny-%d", i), 1_000_000
				w.Groups[0].Catalogue.Offerings = append(w.Groups[0].Catalogue.Offerings, o)
			}
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := build()
			w.Wait(w.Shape("huge", 1_000_000, 64), 1)
			plan := w.plan(scaling.Memory{})
			candidates := plan.Shapes[scheduling.ShapeID("huge")].Candidates
			for _, g := range w.Groups {
				key := g.Key()
				c := condition(plan, key, v1beta1.ConditionCapacityAvailable)
				if c.Status != scaling.False || c.Reason != reason.NoScaleUpResources.Condition() {
					t.Fatalf("%s shows %+v, want the refusal", key, c)
				}
				if !slices.ContainsFunc(candidates, func(c scaling.Candidate) bool {
					return c.Group == key && c.Rejection == reason.NoScaleUpResources
				}) {
					t.Errorf("%s shows a refusal of which the record does not tell", key)
				}
			}
			if most := max(20, len(w.Groups)); len(candidates) > most {
				t.Errorf("the record names %d candidates, want %d at most", len(candidates), most)
			}
		})
	}
}

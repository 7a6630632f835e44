package scaling_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

func TestNegativeAmountsAreRefused(t *testing.T) {
	below := new(resource.MustParse("-500m"))
	for field, change := range map[string]func(*v1beta1.NodeGroupSpec){
		"limits.cpu":                       func(s *v1beta1.NodeGroupSpec) { s.Limits.CPU = below },
		"limits.memory":                    func(s *v1beta1.NodeGroupSpec) { s.Limits.Memory = below },
		"limits.monthlyCost":               func(s *v1beta1.NodeGroupSpec) { s.Limits.MonthlyCost = below },
		"offeringSelector.minCPU":          func(s *v1beta1.NodeGroupSpec) { s.OfferingSelector = &v1beta1.OfferingSelector{MinCPU: below} },
		"offeringSelector.maxCPU":          func(s *v1beta1.NodeGroupSpec) { s.OfferingSelector = &v1beta1.OfferingSelector{MaxCPU: below} },
		"offeringSelector.minMemory":       func(s *v1beta1.NodeGroupSpec) { s.OfferingSelector = &v1beta1.OfferingSelector{MinMemory: below} },
		"offeringSelector.maxMemory":       func(s *v1beta1.NodeGroupSpec) { s.OfferingSelector = &v1beta1.OfferingSelector{MaxMemory: below} },
		"offeringSelector.maxMonthlyPrice": func(s *v1beta1.NodeGroupSpec) { s.OfferingSelector = &v1beta1.OfferingSelector{MaxMonthlyPrice: below} },
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorld(group("g", func(g *v1beta1.NodeGroup) { change(&g.Spec) }))
			plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
			c := condition(plan, "default/g", v1beta1.ConditionReady)
			if c.Status != scaling.False || c.Reason != reason.NoScaleUpGroupInvalid.Condition() || !strings.Contains(c.Message, field+" is -500m and must not be negative") {
				t.Errorf("Ready is %+v", c)
			}
		})
	}
}

package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// TestCeilingsHoldAgainstAnyPlanner has pods want more than a group may have, and somebody write intents past the planner:
// what the group's machines have and cost together stays below its limits.
func TestCeilingsHoldAgainstAnyPlanner(t *testing.T) {
	for name, limits := range map[string]v1beta1.GroupLimits{
		"cpu":    {CPU: resource.NewQuantity(7, resource.DecimalSI)},
		"memory": {Memory: resource.NewQuantity(15<<30, resource.BinarySI)},
		"money":  {MonthlyCost: resource.NewQuantity(100, resource.DecimalSI)},
	} {
		t.Run(name, func(t *testing.T) {
			p := smallLife()
			p.groups[0].Spec.Limits = limits
			p.loads[0].name = "impossible-all" // some of them have to wait
			p.waves = []wave{{time.Minute, 0, 20}, {30 * time.Minute, 0, 0}}
			const rogue, intents = "rogue", 20
			p.ownFaults = []fault{{rogue, func(w *world, _ *rand.Rand) func() {
				all := machines(w)
				if len(all) == 0 {
					t.Error("nothing was launched")
					return func() {}
				}
				for i := range intents {
					w.must(w.cluster.server.As(rogue).Create(&v1beta1.VPSieNode{
						ObjectMeta: metav1.ObjectMeta{Namespace: all[0].Namespace, Name: fmt.Sprintf("%s-%d", rogue, i), Labels: all[0].Labels},
						Spec:       all[0].Spec,
					}))
				}
				return func() {}
			}}}
			p.faults = []occurrence{{fault: rogue, at: 5 * time.Minute, length: time.Minute}}
			r := play(t, p)
			judged(t, r)
			// Three machines of the middle size come near each of the limits.
			if got := endingOf(r); got.launched < 3 || got.lives != got.launched || got.launched >= intents {
				t.Errorf("%+v", got)
			}
		})
	}
}

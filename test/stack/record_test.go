package stack

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// TestClaims has one VPSieNode name two machines after the other.
func TestClaims(t *testing.T) {
	seen := func(identifier string, sightings int32) *v1beta1.VPSieNode {
		n := &v1beta1.VPSieNode{}
		n.UID, n.Name, n.Status.Identifier, n.Status.AbsentSightings = "a", "a", identifier, sightings
		return n
	}
	tests := map[string]struct {
		seen    []*v1beta1.VPSieNode
		doubles int
	}{
		"ConfirmedToBeGoneThenLateAnswer": {seen: []*v1beta1.VPSieNode{seen("m1", 0), seen("m1", 2), seen("", 0), seen("m2", 0)}},
		"ChangesItsMachine":               {seen: []*v1beta1.VPSieNode{seen("m1", 0), seen("m2", 0)}, doubles: 1},
		"ChangesItWhenItIsGone":           {seen: []*v1beta1.VPSieNode{seen("m1", 2), seen("m2", 0)}, doubles: 1},
		"ForgetsIt":                       {seen: []*v1beta1.VPSieNode{seen("m1", 0), seen("", 0), seen("m2", 0)}, doubles: 1},
		"ForgetsItAfterOneLook":           {seen: []*v1beta1.VPSieNode{seen("m1", 1), seen("", 0), seen("m2", 0)}, doubles: 1},
		"TakesASecondLateAnswer":          {seen: []*v1beta1.VPSieNode{seen("m1", 2), seen("", 0), seen("m2", 0), seen("", 0), seen("m3", 0)}, doubles: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClaims()
			for _, n := range test.seen {
				c.see(n, false)
			}
			if v := vpsiesim.Judge(vpsiesim.Truth{}, c.list()); len(v.Doubles) != test.doubles {
				t.Errorf("%v, want %d", v.Doubles, test.doubles)
			}
		})
	}
}

// TestMachineThatIsGoneIsHeldByNobody has the cloud go on with a machine that an object has confirmed to be gone.
func TestMachineThatIsGoneIsHeldByNobody(t *testing.T) {
	c, n := newClaims(), &v1beta1.VPSieNode{}
	n.Status.Identifier, n.Status.AbsentSightings = "m1", absenceSightings
	c.see(n.DeepCopy(), false)
	truth := vpsiesim.Truth{Machines: []vpsiesim.Machine{{Identifier: "m1"}}}
	if v := vpsiesim.Judge(truth, c.list()); len(v.Leaks) != 0 {
		t.Fatalf("leaks %v while the object names it", v.Leaks)
	}
	n.Status = v1beta1.VPSieNodeStatus{}
	c.see(n, false)
	if v := vpsiesim.Judge(truth, c.list()); len(v.Leaks) != 1 {
		t.Errorf("leaks %v, want m1, which nobody holds any more", v.Leaks)
	}
}

package simulation_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
)

func TestWhatShutsAGroup(t *testing.T) {
	declares := func(name corev1.ResourceName, amount string) func(*fleet.Group) {
		return func(g *fleet.Group) {
			g.Spec.Template.Resources = corev1.ResourceList{name: resource.MustParse(amount)}
		}
	}
	for name, tc := range map[string]struct {
		change func(*fleet.Group)
		code   reason.Code
		closed bool
	}{
		"Nothing":      {func(*fleet.Group) {}, "", false},
		"Native":       {declares("cpu", "1"), reason.NoScaleUpGroupInvalid, true},
		"HugePages":    {declares("hugepages-2Mi", "1"), reason.NoScaleUpGroupInvalid, true},
		"Volumes":      {declares("attachable.kubernetes.io/x", "1"), reason.NoScaleUpGroupInvalid, true},
		"Requests":     {declares("requests.example.com/gpu", "1"), reason.NoScaleUpGroupInvalid, true},
		"HalfADevice":  {declares(gpu, "500m"), reason.NoScaleUpGroupInvalid, true},
		"Unauthorized": {func(g *fleet.Group) { g.Catalogue.Health = fleet.Unauthorized }, reason.NoScaleUpUnauthorized, true},
		"Unavailable":  {func(g *fleet.Group) { g.Catalogue.Health = fleet.Unavailable }, reason.NoScaleUpAPIUnavailable, true},
		"NoCluster":    {func(g *fleet.Group) { g.Catalogue.ClusterFound = false }, reason.NoScaleUpClusterUnknown, true},
		"NoCatalogue":  {func(g *fleet.Group) { g.Catalogue.Known = false }, reason.NoScaleUpCatalogueUnknown, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(group("a", offerings(smallID)))
			tc.change(&w.Groups[0])
			c := w.cluster(nil)
			g := c.Find("default/a")
			if got := c.Shut(g); got.Code != tc.code {
				t.Errorf("shut for %+v, want code %q", got, tc.code)
			}
			if got := c.Closed(g); (got.Code != "") != tc.closed {
				t.Errorf("closed for %+v, want that it is: %t", got, tc.closed)
			}
		})
	}
}

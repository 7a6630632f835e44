package nodegroup_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/nodegroup"
)

func group(change ...func(*v1beta1.NodeGroup)) *v1beta1.NodeGroup {
	g := &v1beta1.NodeGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "g"}, Spec: v1beta1.NodeGroupSpec{MaxNodes: 5}}
	for _, c := range change {
		c(g)
	}
	return g
}

func TestValidateReportsEveryProblem(t *testing.T) {
	if problems := nodegroup.Validate(group()); len(problems) > 0 {
		t.Errorf("problems %q of a good group", problems)
	}
	bad := group(func(g *v1beta1.NodeGroup) {
		g.Name = strings.Repeat("x", 64)
		g.Spec.MinNodes = 6
		g.Spec.Template.Labels = map[string]string{"team": "a b", corev1.LabelHostname: "h"}
		g.Spec.Template.Taints = []corev1.Taint{{Key: "a", Effect: "Never"}}
		g.Spec.Template.StartupTaints = []corev1.Taint{{Key: "b c", Effect: corev1.TaintEffectNoSchedule}}
		g.Spec.Template.Resources = corev1.ResourceList{"cpu": resource.MustParse("1"), "nvidia.com/gpu": resource.MustParse("1500m")}
		g.Spec.Limits.MonthlyCost = new(resource.MustParse("-5"))
		g.Spec.OfferingSelector = &v1beta1.OfferingSelector{MinCPU: new(resource.MustParse("-1"))}
		g.Spec.ScaleDown.UnneededFor, g.Spec.ScaleDown.UnreadyFor = &metav1.Duration{Duration: -1}, &metav1.Duration{Duration: -1}
		g.Spec.ScaleDown.DrainTimeout = &metav1.Duration{}
	})
	problems := nodegroup.Validate(bad)
	for _, part := range []string{
		"minNodes (6)", "63 characters", "template.labels must not contain", "template.labels team=a b", "template.taints a", "template.startupTaints b c", "template.resources cpu",
		"nvidia.com/gpu=1500m", "limits.monthlyCost is -5", "offeringSelector.minCPU is -1", "scaleDown.unneededFor", "scaleDown.unreadyFor", "scaleDown.drainTimeout",
	} {
		if !strings.Contains(strings.Join(problems, "\n"), part) {
			t.Errorf("%q is missing in %q", part, problems)
		}
	}
}

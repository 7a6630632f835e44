package nodegroup_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/nodegroup"
)

var defaults = nodegroup.Policy{
	Mode:    v1beta1.ModeEnforce,
	ScaleUp: nodegroup.ScaleUp{Enabled: true, NodesPerStepMax: nodegroup.Unbounded, PodsPerNodeMax: nodegroup.Unbounded},
	ScaleDown: nodegroup.ScaleDown{
		Enabled: true, UtilizationThreshold: 50, UnneededFor: 10 * time.Minute, UnreadyFor: 20 * time.Minute, DrainTimeout: 15 * time.Minute, LeavingMax: 5,
	},
}

func TestPolicyHasDefaults(t *testing.T) {
	for name, g := range map[string]*v1beta1.NodeGroup{"OfAGroupThatIsGone": nil, "OfAnEmptyGroup": {}} {
		if diff := cmp.Diff(defaults, nodegroup.PolicyOf(g)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPolicyIsWhatTheGroupSays(t *testing.T) {
	g := &v1beta1.NodeGroup{Spec: v1beta1.NodeGroupSpec{
		Mode:    v1beta1.ModeRecommend,
		ScaleUp: v1beta1.ScaleUpPolicy{Enabled: new(false), MaxNodesPerStep: new(int32(3)), MaxPodsPerNode: new(int32(7))},
		ScaleDown: v1beta1.ScaleDownPolicy{
			Enabled: new(false), UtilizationThreshold: new(int32(0)), UnneededFor: &metav1.Duration{}, UnreadyFor: &metav1.Duration{Duration: time.Second},
			MaxNodesPerStep: new(int32(2)), DrainTimeout: &metav1.Duration{Duration: time.Minute},
		},
	}}
	want := nodegroup.Policy{
		Mode:      v1beta1.ModeRecommend,
		ScaleUp:   nodegroup.ScaleUp{NodesPerStepMax: 3, PodsPerNodeMax: 7},
		ScaleDown: nodegroup.ScaleDown{UnreadyFor: time.Second, LeavingMax: 2, DrainTimeout: time.Minute},
	}
	if diff := cmp.Diff(want, nodegroup.PolicyOf(g)); diff != "" {
		t.Error(diff)
	}
}

// What the API server stores and what we assume without it must be the same.
func TestSchemaHasTheSameDefaults(t *testing.T) {
	text, err := os.ReadFile("../../api/crds/autoscaler.vpsie.com_nodegroups.yaml")
	if err != nil {
		t.Fatal(err)
	}
	spec := func(section string) map[string]any {
		var crd map[string]any
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		at := crd["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
		for _, name := range []string{"spec", section} {
			at = at["properties"].(map[string]any)[name].(map[string]any)
		}
		out := map[string]any{}
		for name, field := range at["properties"].(map[string]any) {
			if value, has := field.(map[string]any)["default"]; has {
				out[name] = value
			}
		}
		return out
	}
	down := defaults.ScaleDown
	minutes := func(d time.Duration) string { return regexp.MustCompile(`0s$`).ReplaceAllString(d.String(), "") }
	want := map[string]any{
		"enabled": down.Enabled, "utilizationThreshold": down.UtilizationThreshold, "unneededFor": minutes(down.UnneededFor),
		"unreadyFor": minutes(down.UnreadyFor), "maxNodesPerStep": int64(down.LeavingMax), "drainTimeout": minutes(down.DrainTimeout),
	}
	if diff := cmp.Diff(want, spec("scaleDown")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"enabled": defaults.ScaleUp.Enabled}, spec("scaleUp")); diff != "" {
		t.Error(diff)
	}
}

func TestNoLaunch(t *testing.T) {
	tests := map[v1beta1.Mode]reason.Code{
		"": "", v1beta1.ModeEnforce: "", v1beta1.ModeRecommend: reason.NoScaleUpGroupRecommend, v1beta1.ModePaused: reason.NoScaleUpGroupPaused, "Later": reason.NoScaleUpGroupInvalid,
	}
	for mode, want := range tests {
		g := &v1beta1.NodeGroup{Spec: v1beta1.NodeGroupSpec{Mode: mode}}
		if got, _ := nodegroup.PolicyOf(g).NoLaunch(); got != want {
			t.Errorf("mode %q forbids launches with %q, want %q", mode, got, want)
		}
		g.Spec.ScaleUp.Enabled = new(false)
		if got, message := nodegroup.PolicyOf(g).NoLaunch(); got == "" || message == "" {
			t.Errorf("mode %q launches although scale-up is switched off, or does not say why not (%q)", mode, message)
		}
	}
}

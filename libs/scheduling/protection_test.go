package scheduling_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

func TestNodeProtection(t *testing.T) {
	annotated := func(key, value string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Annotations: map[string]string{key: value}}
	}
	labelled := func(key, value string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Labels: map[string]string{key: value}}
	}
	for name, tc := range map[string]struct {
		meta metav1.ObjectMeta
		want reason.Code
	}{
		"Plain":              {},
		"Protected":          {annotated("autoscaler.vpsie.com/protected", "true"), reason.NoScaleDownNodeProtected},
		"NotProtected":       {annotated("autoscaler.vpsie.com/protected", "false"), ""},
		"ScaleDown":          {annotated("autoscaler.vpsie.com/scale-down", "disabled"), reason.NoScaleDownNodeProtected},
		"ScaleDownEnabled":   {annotated("autoscaler.vpsie.com/scale-down", "enabled"), ""},
		"ScaleDownDisabled":  {labelled("autoscaler.vpsie.com/scale-down-disabled", "true"), reason.NoScaleDownNodeProtected},
		"ClusterAutoscalers": {annotated("cluster-autoscaler.kubernetes.io/scale-down-disabled", "true"), reason.NoScaleDownNodeProtected},
		"Karpenters":         {annotated("karpenter.sh/do-not-disrupt", "true"), reason.NoScaleDownNodeProtected},
		"KarpentersNo":       {annotated("karpenter.sh/do-not-disrupt", "false"), ""},
		"Shared":             {annotated("node-autoscaling.kubernetes.io/do-not-disrupt", "true"), reason.NoScaleDownNodeProtected},
		"ControlPlane":       {labelled("node-role.kubernetes.io/control-plane", ""), reason.NoScaleDownControlPlane},
		"OwnedByKarpenter":   {labelled("karpenter.sh/nodepool", "default"), reason.NoScaleDownNodeProtected},
	} {
		t.Run(name, func(t *testing.T) {
			if got := scheduling.NodeProtection(&corev1.Node{ObjectMeta: tc.meta}); got != tc.want {
				t.Errorf("protection %q, want %q", got, tc.want)
			}
		})
	}
}

// TestProtectionsAreDocumented finds every key that the rules name in the documentation.
func TestProtectionsAreDocumented(t *testing.T) {
	rules, err := os.ReadFile("protection.go")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := os.ReadFile("../../docs/scheduling.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`= "([a-z.-]+\.[a-z]+/[a-z-]+)"`).FindAllStringSubmatch(string(rules), -1)
	if len(keys) < 9 {
		t.Fatalf("found %d keys in the rules", len(keys))
	}
	for _, key := range append(keys, []string{"", "autoscaler.vpsie.com/protected"}) {
		if !strings.Contains(string(pages), "`"+key[1]+"`") {
			t.Errorf("docs/scheduling.md does not name %s", key[1])
		}
	}
}

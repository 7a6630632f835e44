package facts_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/vpsie/vpsie-autoscaler/libs/facts"
)

// TestPermissionsCoverEveryConfigMap reads the rules that services are installed with: a ConfigMap that is left out would be noticed in a long outage only.
func TestPermissionsCoverEveryConfigMap(t *testing.T) {
	for _, service := range []string{"planner", "provisioner"} {
		body, err := os.ReadFile("../../deploy/rbac/" + service + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		granted := map[string][]string{}
		for _, document := range strings.Split(string(body), "\n---\n") {
			var role rbacv1.Role
			if err := yaml.Unmarshal([]byte(document), &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				if !slices.Contains(rule.Resources, "configmaps") {
					continue
				}
				for _, name := range rule.ResourceNames {
					granted[name] = append(granted[name], rule.Verbs...)
				}
			}
		}
		for _, name := range facts.ConfigMaps("vpsie-" + service + "-records") {
			if !slices.Contains(granted[name], "get") || !slices.Contains(granted[name], "patch") {
				t.Errorf("%s: %v is granted, want get and patch", name, granted[name])
			}
		}
	}
}

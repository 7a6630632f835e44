//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// TestMistakesAreExplained checks that a mistake shows on the NodeGroup and on the pods that wait for
// it, with what is wrong, why, what happens next and what to do, and that nothing is launched.
func TestMistakesAreExplained(t *testing.T) {
	const nowhere = "00000000-44dd-11f0-8f00-0242ac110005"
	tests := map[string]struct {
		why       string
		group     func(*v1beta1.NodeGroup)
		requests  corev1.ResourceList
		condition string
		code      reason.Code
		says      []string
	}{
		"UnknownCluster": {
			group:     func(g *v1beta1.NodeGroup) { g.Spec.Cluster.Identifier = nowhere },
			requests:  workload.OnePerNode,
			condition: v1beta1.ConditionReady,
			code:      reason.NoScaleUpClusterUnknown,
			says:      []string{nowhere, "nothing is launched", "looked up again", "correct spec.cluster.identifier"},
		},
		"OfferingThatDoesNotExist": {
			group:     func(g *v1beta1.NodeGroup) { g.Spec.Offerings = []int64{999} },
			requests:  workload.OnePerNode,
			condition: v1beta1.ConditionReady,
			code:      reason.NoScaleUpOfferingUnknown,
			says:      []string{"999", "nothing can be launched", "read again", "name sizes that are sold", "g-4vcpu-8gb"},
		},
		"SelectorThatMatchesNothing": {
			group: func(g *v1beta1.NodeGroup) {
				g.Spec.Offerings = nil
				g.Spec.OfferingSelector = &v1beta1.OfferingSelector{MinCPU: new(resource.MustParse("512"))}
			},
			requests:  workload.OnePerNode,
			condition: v1beta1.ConditionReady,
			code:      reason.NoScaleUpNoOffering,
			says:      []string{"offeringSelector", "nothing can be launched", "widen the selector"},
		},
		"GroupThatNoPodFits": {
			why:       "the group is fine, and the pod is too large for every size it may launch",
			group:     func(*v1beta1.NodeGroup) {},
			requests:  corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("64")},
			condition: v1beta1.ConditionCapacityAvailable,
			code:      reason.NoScaleUpResources,
			says:      []string{"64", "nothing is launched", "lower the pod's requests or allow larger sizes"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := stacktest.New(t)
			group := workload.NodeGroup(s.Namespace, "general", 3)
			tc.group(group)
			s.Create(group, workload.Deployment(s.Namespace, "web", 1, tc.requests))
			explained(t, s, tc.condition, tc.code, tc.says)
			s.WantLaunched(0)
		})
	}
}

// explained checks a condition, the event that goes with it, and the event on a pod.
func explained(t *testing.T, s *stacktest.Scenario, condition string, code reason.Code, says []string) {
	t.Helper()
	var c metav1.Condition
	s.Eventually("the NodeGroup's condition "+condition+" explains "+string(code), func(ctx context.Context) (bool, string) {
		g, err := s.Group(ctx, "general")
		if err != nil {
			return false, err.Error()
		}
		for _, c = range g.Status.Conditions {
			if c.Type == condition && c.Status == metav1.ConditionFalse && c.Reason == code.Condition() {
				return true, ""
			}
		}
		return false, asText(g.Status.Conditions)
	})
	for _, part := range says {
		if !strings.Contains(c.Message, part) {
			t.Errorf("condition says %q, want %q in it", c.Message, part)
		}
	}
	s.AwaitEvent("NodeGroup", "general", code.Condition(), says...)
	s.AwaitEvent("Pod", "", "NotTriggerScaleUp", says...)
}

func asText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestWrongTokenIsExplainedAndMended refuses the credentials while a pod waits, and accepts them again.
func TestWrongTokenIsExplainedAndMended(t *testing.T) {
	s := stacktest.New(t)
	restore := s.RefuseToken()
	s.Create(workload.NodeGroup(s.Namespace, "general", 3))
	// Until VPSie is called for the first time nobody can know.
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionFalse)
	s.Create(workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
	says := []string{"VPSie refuses the credentials", "no machine can be launched or terminated", "tried again", "put a valid token"}
	explained(t, s, v1beta1.ConditionReady, reason.NoScaleUpUnauthorized, says)
	s.AwaitCondition("general", v1beta1.ConditionAPIHealthy, metav1.ConditionFalse)
	s.WantLaunched(0)

	restore()
	s.AwaitCondition("general", v1beta1.ConditionReady, metav1.ConditionTrue)
	s.AwaitRunning("web", 1)
	s.WantLaunched(1)
}

// TestMinimumAboveMaximum is refused at the door, and explained where the door is missing.
func TestMinimumAboveMaximum(t *testing.T) {
	says := []string{"no number of nodes satisfies both", "nothing is launched", "lower minNodes or raise maxNodes"}
	s := stacktest.New(t)
	impossible := func() *v1beta1.NodeGroup {
		group := workload.NodeGroup(s.Namespace, "general", 3)
		group.Spec.MinNodes = 5
		return group
	}
	err := s.Client.Create(t.Context(), impossible())
	if !apierrors.IsInvalid(err) {
		t.Fatalf("create: error %v, want that it is invalid", err)
	}
	for _, part := range append(says, "minNodes is above maxNodes", "the change was refused") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("refusal says %q, want %q in it", err, part)
		}
	}

	withoutValidation(t, s)
	s.Eventually("the API server takes any NodeGroup", func(ctx context.Context) (bool, string) {
		if err := s.Client.Create(ctx, impossible()); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
	s.Create(workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
	explained(t, s, v1beta1.ConditionReady, reason.NoScaleUpGroupInvalid, append(says, "minNodes (5) is above maxNodes (3)", "until this is corrected"))
	s.WantLaunched(0)
}

// withoutValidation takes the rules of NodeGroups away for the rest of the test, as an API server does
// that is older than they are.
func withoutValidation(t *testing.T, s *stacktest.Scenario) {
	t.Helper()
	read := func(ctx context.Context) *unstructured.Unstructured {
		crd := &unstructured.Unstructured{}
		crd.SetAPIVersion("apiextensions.k8s.io/v1")
		crd.SetKind("CustomResourceDefinition")
		if err := s.Client.Get(ctx, client.ObjectKey{Name: "nodegroups.autoscaler.vpsie.com"}, crd); err != nil {
			t.Fatal(err)
		}
		return crd
	}
	crd := read(t.Context())
	before := crd.DeepCopy().Object["spec"]
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		unstructured.RemoveNestedField(version.(map[string]any), "schema", "openAPIV3Schema", "properties", "spec", "x-kubernetes-validations")
	}
	if err := unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.Update(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		crd := read(context.Background())
		crd.Object["spec"] = before
		if err := s.Client.Update(context.Background(), crd); err != nil {
			t.Error(err)
		}
	})
}

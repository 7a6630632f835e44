//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// TestPodsAreBoundWhereTheyAreNominated: kube-scheduler follows the planner, and the Nodes open when it has spoken.
func TestPodsAreBoundWhereTheyAreNominated(t *testing.T) {
	const pods, needed = 60, 6
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", needed+2), workload.Deployment(s.Namespace, "web", pods, workload.TenPerNode))
	nominated := map[string]string{}
	var bound []corev1.Pod
	s.Eventually("every pod is bound", func(ctx context.Context) (bool, string) {
		all, err := s.Pods(ctx, "web")
		if err != nil {
			return false, err.Error()
		}
		bound = bound[:0]
		for i := range all {
			pod := &all[i]
			switch {
			case pod.Spec.NodeName != "":
				bound = append(bound, *pod)
			case pod.Status.NominatedNodeName != "":
				nominated[pod.Name] = pod.Status.NominatedNodeName
				if !slices.ContainsFunc(pod.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == v1beta1.FieldManagerNominations }) {
					t.Errorf("pod %s is nominated by somebody else: %v", pod.Name, pod.ManagedFields)
				}
			}
		}
		return len(bound) == pods, fmt.Sprintf("%d of %d are", len(bound), pods)
	})
	s.WantLaunched(needed)
	followed := 0
	for _, pod := range bound {
		if node, was := nominated[pod.Name]; was && node == pod.Spec.NodeName {
			followed++
		}
	}
	// A pod may be bound before it was ever looked at here. One that is tried before its Node is open finds room elsewhere, which is
	// more of them the slower the machine is; by chance one in six would be bound where it was nominated.
	if len(nominated) < pods/2 || followed < len(nominated)/3 {
		t.Errorf("%d of %d pods were seen nominated, and %d of these are bound there", len(nominated), pods, followed)
	}
	s.Eventually("every Node is open", func(ctx context.Context) (bool, string) {
		for _, node := range nodesOf(ctx, t, s) {
			if isOpening(&node) {
				return false, node.Name + " is closed"
			}
		}
		return true, ""
	})
}

func nodesOf(ctx context.Context, t *testing.T, s *stacktest.Scenario) []corev1.Node {
	t.Helper()
	var list corev1.NodeList
	if err := s.Client.List(ctx, &list, client.MatchingLabels{workload.LabelPool: s.Namespace}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func isOpening(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == v1beta1.TaintOpening })
}
